"""The relay: everything committed is published, in order, whoever dies and whatever is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.unit.server_metadata.world import Member, World

from syncline.adapters.bus.memory import MemoryBus
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.model.errors import SynclineError
from syncline.model.ids import NamespaceId
from syncline.ports.bus import Hint
from syncline.server.notify import relay as relays
from syncline.server.notify.relay import Relay
from syncline.testing.faulty_bus import FaultyBus
from syncline.testing.stores.leases import MemoryLeases

WAIT_S = 10.0


class Scene:
    """A server's metadata, a bus, and as many relays as a test wants."""

    def __init__(self) -> None:
        self.world = World.in_memory()
        self.clock = MachineClock()
        self.leases = MemoryLeases(self.clock)
        self.bus = FaultyBus(MemoryBus())
        self.told: list[SynclineError] = []

    def relay(self, holder: str = "one") -> Relay:
        outbox = self.world.stores.metadata
        return Relay(outbox, self.leases, self.bus, self.clock, MachineChance(), holder, self.told.append)

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.ensure_future(relay.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def unpublished(self) -> list[tuple[NamespaceId, int]]:
        return await self.world.stores.metadata.unpublished(1000)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    for name, value in {"MARK_S": 0.0, "PAUSE_FIRST_S": 0.01, "PAUSE_MAX_S": 0.05, "LEASE_RENEW_S": 0.05}.items():
        monkeypatch.setattr(relays, name, value)
    return Scene()


async def _commits(member: Member, count: int) -> int:
    for _ in range(count):
        await member.commit(member.mkdir(f"folder {member.world.machine.drawn}"))
    return (await member.entries())[-1].sequence


async def test_what_was_committed_is_published_and_marked(scene: Scene) -> None:
    ada, bob = await scene.world.person("ada"), await scene.world.person("bob")
    heads = {ada.namespace: await _commits(ada, 3), bob.namespace: await _commits(bob, 1)}
    await scene.relay().round()
    assert {hint.namespace: hint.sequence for hint in scene.bus.published} == heads
    assert await scene.unpublished() == []


async def test_its_own_process_wakes_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "POLL_S", 3600.0)
    ada = await scene.world.person("ada")
    relay = scene.relay()
    async with scene.running(relay):
        await scene.until(lambda: relay.relayed.rounds > 0)
        head = await _commits(ada, 1)
        relay.wake()
        await scene.until(lambda: scene.bus.published == [Hint(ada.namespace, head)])


async def test_a_bus_that_is_down_stops_no_commit_and_the_backlog_drains_in_order(scene: Scene) -> None:
    ada, bob = await scene.world.person("ada"), await scene.world.person("bob")
    relay = scene.relay()
    async with scene.running(relay), scene.bus.subscribe() as subscription:
        await _commits(ada, 1)
        await scene.until(lambda: len(scene.bus.published) == 1)
        scene.bus.down = True
        heads = {ada.namespace: await _commits(ada, 5), bob.namespace: await _commits(bob, 5)}
        await scene.until(lambda: scene.bus.refused >= 3)
        assert len(scene.bus.published) == 1
        scene.bus.down = False
        await scene.until(lambda: len(scene.bus.published) >= 3)
        heard: dict[NamespaceId, list[int]] = {}
        for delivery in [await subscription.next(WAIT_S), await subscription.next(0.2)]:
            for hint in delivery.hints if delivery is not None else ():
                heard.setdefault(hint.namespace, []).append(hint.sequence)
    assert all(sequences == sorted(sequences) for sequences in heard.values())
    assert {namespace: sequences[-1] for namespace, sequences in heard.items()} == heads
    assert scene.told


async def test_an_answer_that_is_lost_publishes_twice_and_loses_nothing(scene: Scene) -> None:
    ada = await scene.world.person("ada")
    head = await _commits(ada, 1)
    scene.bus.losing_answers = True
    async with scene.running(scene.relay()):
        await scene.until(lambda: len(scene.bus.published) >= 2)
        scene.bus.losing_answers = False
        async with asyncio.timeout(WAIT_S):
            while await scene.unpublished():
                await asyncio.sleep(0.005)
    assert set(scene.bus.published) == {Hint(ada.namespace, head)}


async def test_a_relay_killed_between_publishing_and_marking_is_followed(scene: Scene) -> None:
    ada = await scene.world.person("ada")
    head = await _commits(ada, 2)
    marked = asyncio.Event()
    store = scene.world.stores.metadata
    real = store.mark_published

    async def never(_heads: Sequence[tuple[NamespaceId, int]]) -> None:
        marked.set()
        await asyncio.Event().wait()

    store.mark_published = never  # type: ignore[method-assign]
    first = asyncio.ensure_future(scene.relay("first").round())
    await asyncio.wait_for(marked.wait(), WAIT_S)
    first.cancel()
    store.mark_published = real  # type: ignore[method-assign]
    await scene.relay("second").round()
    assert scene.bus.published == [Hint(ada.namespace, head)] * 2
    assert await scene.unpublished() == []


async def test_one_leads_and_a_killed_one_is_followed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "LEASE_TTL_S", 0.3)
    ada = await scene.world.person("ada")
    one, other = scene.relay("one"), scene.relay("other")
    # A holder that was killed: its lease is there, and nobody lets go of it.
    await scene.leases.hold(relays.LEASE, "dead", 0.3)
    await _commits(ada, 1)
    async with scene.running(one), scene.running(other):
        await scene.until(lambda: len(scene.bus.published) == 1)
        assert one.relayed.leading != other.relayed.leading
        leader, standby = (one, other) if one.relayed.leading else (other, one)
        await _commits(ada, 1)
        await scene.until(lambda: len(scene.bus.published) == 2)
        assert standby.relayed.published == 0
        assert leader.relayed.published == 2


async def test_a_leader_that_ends_in_order_is_followed_at_once(scene: Scene) -> None:
    """Its lease would hold for seconds."""
    ada = await scene.world.person("ada")
    one, other = scene.relay("one"), scene.relay("other")
    async with scene.running(one):
        await scene.until(lambda: one.relayed.leading)
    async with scene.running(other):
        await scene.until(lambda: other.relayed.leading)
        await _commits(ada, 1)
        await scene.until(lambda: len(scene.bus.published) == 1)


async def test_a_leader_that_cannot_publish_steps_down(scene: Scene) -> None:
    ada = await scene.world.person("ada")
    scene.bus.down = True
    await _commits(ada, 1)
    one = scene.relay("one")
    async with scene.running(one):
        await scene.until(lambda: one.relayed.failures > 0)
        await scene.until(lambda: not one.relayed.leading)
        scene.bus.down = False
        await scene.until(lambda: len(scene.bus.published) == 1)


async def test_a_backlog_larger_than_a_page_is_drained_in_one_round(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "PUBLISHED_MAX", 3)
    people = [await scene.world.person(f"p{number}") for number in range(8)]
    for person in people:
        await _commits(person, 1)
    relay = scene.relay()
    await relay.round()
    assert {hint.namespace for hint in scene.bus.published} == {person.namespace for person in people}
    assert await scene.unpublished() == []
