"""Waking many: who is asked for, who is told what, and how what they do next is spread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from syncline.adapters.bus.memory import MemoryBus
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.presence.memory import MemoryPresence
from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.errors import NotFound, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.audience import EARS_MAX, Ear
from syncline.ports.bus import Hint
from syncline.server.accounts.notes import DeviceNotes
from syncline.server.caller import Caller
from syncline.server.notify import hearing as hearings
from syncline.server.notify import sweep as sweeps
from syncline.server.notify.hearing import Hearing
from syncline.server.notify.hub import AT_ONCE, READS_PER_S, End, Hub, Waiter, spread_s
from syncline.server.notify.presence import Presences
from syncline.server.notify.standings import Together
from syncline.server.notify.sweep import Sweep
from syncline.server.notify.teller import Teller
from syncline.testing.faulty_bus import FaultyBus

WAIT_S = 10.0
N, M = NamespaceId("N"), NamespaceId("M")


class Known:
    """An audience where everybody is let in but for some, and that counts its questions."""

    def __init__(self, heads: dict[NamespaceId, int]) -> None:
        self.heads = heads
        self.unlinked: set[DeviceId] = set()
        self.outside: set[Ear] = set()
        self.asked: list[int] = []
        self.failing = False

    async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
        assert len(ears) <= EARS_MAX
        self.asked.append(len(ears))
        await asyncio.sleep(0)
        if self.failing:
            raise Unavailable(what="The metadata database", reason="a test has it so")
        linked = [ear for ear in ears if ear[0] not in self.unlinked]
        return {ear: None if ear in self.outside else self.heads.get(ear[1], 0) for ear in linked}


def _caller(number: int) -> Caller:
    return Caller(UserId(f"U{number // 1000}"), DeviceId(f"D{number}"))


async def test_ten_thousand_ask_in_a_few_questions() -> None:
    audience = Known({N: 1})
    together = Together(audience)
    audience.unlinked.add(DeviceId("D7"))
    audience.outside.add((DeviceId("D8"), N))
    answers = await asyncio.gather(*(together.check(_caller(number), [N]) for number in range(10_000)), return_exceptions=True)
    assert len(audience.asked) == 10_000 // EARS_MAX
    refused = {number: type(answer) for number, answer in enumerate(answers) if answer is not None}
    assert refused == {7: Unauthenticated, 8: NotFound}


async def test_a_question_that_fails_fails_for_all_who_asked() -> None:
    audience = Known({})
    audience.failing = True
    together = Together(audience)
    answers = await asyncio.gather(*(together.check(_caller(number), [N]) for number in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    audience.failing = False
    await together.check(_caller(0), [N])


async def test_one_who_gives_up_takes_no_other_along() -> None:
    together = Together(Known({}))
    first, other = (asyncio.ensure_future(together.check(_caller(number), [N])) for number in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await other
    with pytest.raises(asyncio.CancelledError):
        await first


def test_what_many_do_next_is_spread() -> None:
    hub = Hub()
    with_all = [hub.listen(_caller(number), {N: 0}, lambda: None) for number in range(AT_ONCE + 500)]
    waiters = [context.__enter__() for context in with_all]
    hub.publish(N, 1)
    delays = [waiter.delay_s for waiter in waiters]
    assert delays == sorted(delays)
    assert delays[: AT_ONCE + 1] == [0.0] * (AT_ONCE + 1)
    assert delays[-1] == spread_s(len(waiters) - 1) == 499 / READS_PER_S
    hub.close()
    assert {waiter.ended for waiter in waiters} == {End.CLOSING}
    for context in with_all:
        context.__exit__(None, None, None)


class Ear1:
    """Somebody with a socket."""

    def __init__(self, number: int, hub: Hub, teller: Teller) -> None:
        self.device = DeviceId(f"D{number}")
        self.told: list[dict[NamespaceId, int]] = []
        self.on_its_own = 0
        self._context = hub.listen(_caller(number), {N: 0}, lambda: teller.stir(self))
        self.waiter: Waiter = self._context.__enter__()

    def due(self) -> dict[NamespaceId, int] | None:
        return self.waiter.pending() if self.waiter.has_moved and self.waiter.ended is None else None

    async def tell(self, moved: dict[NamespaceId, int]) -> None:
        self.waiter.told(moved)
        self.told.append(moved)

    def tell_itself(self) -> None:
        self.on_its_own += 1


async def test_the_teller_tells_many_and_nobody_who_may_not_hear() -> None:
    hub, audience = Hub(), Known({N: 1})
    teller = Teller(audience)
    ears = [Ear1(number, hub, teller) for number in range(2500)]
    audience.unlinked.add(DeviceId("D3"))
    audience.outside.add((DeviceId("D4"), N))
    hub.publish(N, 1)
    hub.drop_device(DeviceId("D5"))
    async with asyncio.timeout(WAIT_S):
        while sum(len(ear.told) + ear.on_its_own for ear in ears) < len(ears):
            await asyncio.sleep(0)
    assert sorted(audience.asked) == [499, 1000, 1000]
    assert [number for number, ear in enumerate(ears) if not ear.told] == [3, 4, 5]
    assert all(ear.told == [{N: 1}] for number, ear in enumerate(ears) if number not in (3, 4, 5))


async def test_who_cannot_be_asked_for_is_told_nothing() -> None:
    hub, audience = Hub(), Known({N: 1})
    audience.failing = True
    ear = Ear1(0, hub, Teller(audience))
    hub.publish(N, 1)
    async with asyncio.timeout(WAIT_S):
        while not ear.on_its_own:
            await asyncio.sleep(0)
    assert ear.told == []


async def test_a_sweep_finds_what_nobody_said() -> None:
    hub, audience = Hub(), Known({N: 5, M: 5})
    seen: list[Waiter] = []
    counted: list[int] = []
    audience.unlinked.add(DeviceId("D1"))
    audience.outside.add((DeviceId("D2"), M))
    contexts = [hub.listen(_caller(number), {N: 5, M: 4 if number == 0 else 5}) for number in range(3)]
    behind, unlinked, outside = (context.__enter__() for context in contexts)
    await Sweep(audience, hub, _unheard, seen.extend, counted.append).sweep()
    assert await behind.wait(0)
    assert behind.moved() == {M: 5}
    for waiter, refusal in ((unlinked, Unauthenticated), (outside, NotFound)):
        assert await waiter.wait(0)
        with pytest.raises(refusal):
            waiter.moved()
    assert set(seen) == {behind, unlinked, outside}
    assert audience.asked == [6]
    assert counted == [3]


async def test_a_sweep_asks_for_a_bounded_number_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "REST_S", 0.0)
    hub, audience = Hub(), Known({})
    wide = {NamespaceId(f"N{number}"): 0 for number in range(700)}
    contexts = [hub.listen(_caller(number), wide) for number in range(3)]
    for context in contexts:
        context.__enter__()
    await Sweep(audience, hub, _unheard, lambda _: None, lambda _: None).sweep()
    assert sum(audience.asked) == 2100


def _unheard(_error: SynclineError) -> None:
    """Nobody complains here."""


async def test_hearing_goes_on_where_the_bus_left_it_and_doubts_at_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearings, "PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(hearings, "LISTEN_S", 0.02)
    hub, kept = Hub(), MemoryBus(kept_max=2)
    bus = FaultyBus(kept)
    hearing = Hearing(bus, hub, MachineChance(), _unheard)
    running = asyncio.ensure_future(hearing.run())

    async def heard(count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while hearing.heard < count:
                await asyncio.sleep(0.005)

    try:
        await asyncio.wait_for(hub.doubted.wait(), WAIT_S)
        hub.doubted.clear()
        with hub.listen(_caller(0), {N: 0}) as waiter:
            await kept.publish([Hint(N, 1)])
            assert await waiter.wait(WAIT_S)
        bus.down = True
        async with asyncio.timeout(WAIT_S):
            while hearing.failures < 2:
                await asyncio.sleep(0.005)
        await kept.publish([Hint(N, 2), Hint(N, 3)])
        bus.down = False
        await heard(3)
        assert not hub.doubted.is_set()
        bus.down = True
        async with asyncio.timeout(WAIT_S):
            while not hearing.failures:
                await asyncio.sleep(0.005)
        await kept.publish([Hint(N, number) for number in range(4, 8)])
        bus.down = False
        await heard(5)
        assert hub.doubted.is_set()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class HandClock(MachineClock):
    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


async def test_presence_is_who_was_seen_lately() -> None:
    clock = HandClock()
    presence = MemoryPresence(clock, devices_max=3)
    ann, bob = UserId("ann"), UserId("bob")
    await presence.seen(ann, DeviceId("a"), 10)
    await presence.seen(ann, DeviceId("b"), 20)
    assert list(await presence.who(ann)) == ["a", "b"]
    assert await presence.who(bob) == {}
    clock.now_s = 15
    assert list(await presence.who(ann)) == ["b"]
    await presence.gone(ann, DeviceId("b"))
    await presence.gone(ann, DeviceId("never"))
    assert await presence.who(ann) == {}
    for name in "cdef":
        await presence.seen(bob, DeviceId(name), 10)
    assert list(await presence.who(bob)) == ["d", "e", "f"]


async def test_presence_is_passed_on_now_and_then_and_never_in_the_way() -> None:
    clock, said = HandClock(), []

    class Counting(MemoryPresence):
        async def seen(self, user: UserId, device: DeviceId, ttl_s: float) -> None:
            said.append(device)
            await super().seen(user, device, ttl_s)

    presences = Presences(Counting(clock), clock)
    running = asyncio.ensure_future(presences.run())
    for _ in range(3):
        presences.came(_caller(1))
    presences.came(_caller(2))
    async with asyncio.timeout(WAIT_S):
        while len(said) < 2:
            await asyncio.sleep(0)
    assert set(await presences.who(_caller(1))) == {DeviceId("D1"), DeviceId("D2")}
    clock.now_s = 31
    presences.came(_caller(1))
    async with asyncio.timeout(WAIT_S):
        while len(said) < 3:
            await asyncio.sleep(0)
    assert said == [DeviceId("D1"), DeviceId("D2"), DeviceId("D1")]
    running.cancel()


@pytest.fixture(params=["sql", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    where = request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "metadata.db"
    return await open_stores(where)


async def test_the_database_knows_who_may_hear(stores: Stores) -> None:
    people = [await _person(stores, name) for name in ("ann", "bob", "eve")]
    ann, bob, eve = people
    await stores.accounts.set_disabled(eve.id, True)
    a, b, e = (DeviceId(f"device-{user.name}") for user in people)
    ears = [(a, ann.root_namespace), (a, bob.root_namespace), (b, bob.root_namespace), (e, eve.root_namespace)]
    ears += [(DeviceId("gone"), ann.root_namespace), (a, NamespaceId("nowhere"))]
    found = await stores.audience.may_hear(ears)
    assert found == {
        (a, ann.root_namespace): 0,
        (a, bob.root_namespace): None,
        (a, NamespaceId("nowhere")): None,
        (b, bob.root_namespace): 0,
    }
    assert await stores.audience.may_hear([]) == {}
    await stores.close()


async def _person(stores: Stores, name: str) -> User:
    user = User(
        id=UserId(name),
        email=f"{name}@example.org",
        name=name,
        password_hash="",
        root_namespace=NamespaceId(f"root-{name}"),
        created_us=1,
    )
    await stores.accounts.add_user(user)
    await stores.accounts.add_device(
        DeviceRow(id=DeviceId(f"device-{name}"), user_id=user.id, name="", created_us=1, refresh_hash=name)
    )
    return user


async def test_what_is_noted_of_devices_is_written_together(tmp_path: Path) -> None:
    stores = await open_stores(tmp_path / "metadata.db")
    ann = await _person(stores, "ann")
    notes = DeviceNotes(stores.accounts)
    device = DeviceId("device-ann")
    notes.seen(device, 5)
    notes.seen(device, 6)
    notes.synced(device, 7)
    await notes.flush()
    (row,) = await stores.accounts.devices(ann.id)
    assert (row.last_seen_us, row.last_synced_us) == (6, 7)
    await stores.close()


async def test_what_a_subscription_said_meanwhile_is_not_said_again() -> None:
    hub = Hub()
    told = asyncio.Event()

    class Slow(Known):
        async def may_hear(self, ears: Sequence[Ear]) -> dict[Ear, int | None]:
            ear.waiter.told({N: 1})
            told.set()
            return await super().may_hear(ears)

    ear = Ear1(0, hub, Teller(Slow({N: 1})))
    hub.publish(N, 1)
    await asyncio.wait_for(told.wait(), WAIT_S)
    async with asyncio.timeout(WAIT_S):
        while not ear.on_its_own:
            await asyncio.sleep(0)
    assert ear.told == []
