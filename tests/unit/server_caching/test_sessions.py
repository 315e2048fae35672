"""Shared sessions: a revoked device stays revoked, whatever the cache remembers, and the law on their age holds."""

from __future__ import annotations

import pytest

from syncline.adapters.cache.memory import MemoryCache
from syncline.adapters.machine import MachineChance
from syncline.model.errors import Unauthenticated, Unavailable
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.ports import freshness
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.cache import Cache
from syncline.ports.clock import Ids
from syncline.server.accounts.sessions import LIVE_S, Accounts
from syncline.server.accounts.shared import SHARED_S, SharedSessions
from syncline.server.accounts.tokens import AccessTokens, fresh_signing_key, signing_keys
from syncline.server.caching.sealed import SealedCache
from syncline.server.caller import Caller
from syncline.testing.clocks import ManualClock
from syncline.testing.lying import LyingCache
from syncline.testing.server_store import MemoryStores

KEY = bytes(32)
USER, DEVICE = UserId("01HZZZZZZZZZZZZZZZZZZZZZZA"), DeviceId("01HZZZZZZZZZZZZZZZZZZZZZZB")


class StaleCache:
    """Keeps the first value for ever."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def get(self, group: str, names: list[str]) -> list[bytes | None]:
        return [self.kept.get((group, name)) for name in names]

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        self.kept.setdefault((group, name), value)

    async def forget(self, group: str) -> None:
        return


class Processes:
    """Gateways over one database and one cache, each with its clock."""

    def __init__(self, cache: Cache) -> None:
        self.clock, self.chance = ManualClock(), MachineChance()
        self.ids = Ids(self.clock, self.chance)
        self.stores = MemoryStores(self.ids)
        self.cache = cache
        self.keys = signing_keys(fresh_signing_key(self.ids))
        self.looked = 0
        look = self.stores.accounts.device

        async def device(device_id: DeviceId) -> DeviceRow | None:
            self.looked += 1
            return await look(device_id)

        self.stores.accounts.device = device  # type: ignore[method-assign]

    async def begin(self) -> Processes:
        root = NamespaceId(self.ids.fresh())
        user = User(id=USER, email="ann@example.org", name="Ann", password_hash="pw-hash", root_namespace=root, created_us=1)
        await self.stores.accounts.add_user(user)
        row = DeviceRow(id=DEVICE, user_id=USER, name="laptop", created_us=1, refresh_hash="rt-hash", previous_refresh_hash="old")
        await self.stores.accounts.add_device(row)
        return self

    def gateway(self, clock: ManualClock | None = None) -> Accounts:
        clock = clock or self.clock
        shared = SharedSessions(SealedCache(self.cache, KEY, self.chance), clock)
        tokens = AccessTokens(self.keys, "SERVER", clock, self.ids)
        return Accounts(self.stores.accounts, tokens, clock, self.chance, on_unlink=lambda _: None, shared=shared)


@pytest.fixture
async def processes() -> Processes:
    return await Processes(MemoryCache(ManualClock())).begin()


async def test_what_one_looked_up_the_others_need_not(processes: Processes) -> None:
    gateways = [processes.gateway() for _ in range(3)]
    sessions = [await gateway.live(DEVICE) for gateway in gateways]
    assert processes.looked == 1
    assert {session.caller for session in sessions} == {Caller(USER, DEVICE)}
    assert {(session.email, session.device_name) for session in sessions} == {("ann@example.org", "laptop")}
    told = await SharedSessions(SealedCache(processes.cache, KEY, processes.chance), processes.clock).get(DEVICE)
    assert told is not None
    _, user, device = told
    assert (user.password_hash, device.refresh_hash, device.previous_refresh_hash) == ("", "", None)


async def test_a_look_up_is_never_believed_for_longer_than_its_age(processes: Processes) -> None:
    first, second = processes.gateway(), processes.gateway()
    await first.live(DEVICE)
    processes.clock.advance(SHARED_S)
    await second.live(DEVICE)
    assert processes.looked == 1
    processes.clock.advance(LIVE_S - SHARED_S - 0.01)
    await second.live(DEVICE)
    assert processes.looked == 1
    processes.clock.advance(0.02)
    await second.live(DEVICE)
    assert processes.looked == 2


async def test_unlinked_here_is_unlinked_at_once_whatever_the_cache_keeps() -> None:
    processes = await Processes(StaleCache()).begin()  # type: ignore[arg-type]
    gateway = processes.gateway()
    session = await gateway.live(DEVICE)
    await gateway.unlink(session.caller, DEVICE)
    for _ in range(50):
        with pytest.raises(Unauthenticated):
            await gateway.live(DEVICE)
        processes.clock.advance(0.1)


async def test_unlinked_elsewhere_is_unlinked_within_the_law_whatever_the_cache_keeps() -> None:
    processes = await Processes(StaleCache()).begin()  # type: ignore[arg-type]
    first, second, third = (processes.gateway() for _ in range(3))
    session = await first.live(DEVICE)
    await second.live(DEVICE)
    await first.unlink(session.caller, DEVICE)
    processes.clock.advance(LIVE_S)
    for gateway in (second, third):
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await gateway.live(DEVICE)
            processes.clock.advance(0.25)


@pytest.mark.parametrize("seed", range(5))
async def test_no_lie_keeps_a_device_alive(seed: int) -> None:
    cache = LyingCache(seed)
    processes = await Processes(cache).begin()
    gateways = [processes.gateway() for _ in range(3)]
    for _ in range(60):
        for gateway in gateways:
            assert (await gateway.live(DEVICE)).caller == Caller(USER, DEVICE)
        processes.clock.advance(0.3)
    await processes.stores.accounts.remove_device(USER, DEVICE)
    processes.clock.advance(LIVE_S)
    for _ in range(60):
        for gateway in gateways:
            with pytest.raises(Unauthenticated):
                await gateway.live(DEVICE)
        processes.clock.advance(0.05)
    assert cache.told > 20


async def test_a_clock_that_is_ahead_or_behind_makes_nobody_live_longer() -> None:
    processes = await Processes(StaleCache()).begin()  # type: ignore[arg-type]
    for skew_s in (-60.0, -SHARED_S, SHARED_S, 60.0):
        writer = processes.gateway(ManualClock(1_000_000_000.0 + skew_s))
        await writer.live(DEVICE)
    await processes.stores.accounts.remove_device(USER, DEVICE)
    processes.clock.advance(LIVE_S)
    with pytest.raises(Unauthenticated):
        await processes.gateway().live(DEVICE)


async def test_nobodys_name_lies_in_the_cache() -> None:
    cache = StaleCache()
    processes = await Processes(cache).begin()  # type: ignore[arg-type]
    await processes.gateway().live(DEVICE)
    (value,) = cache.kept.values()
    for secret in (b"ann@example.org", b"Ann", b"laptop", b"pw-hash", b"rt-hash"):
        assert secret not in value


async def test_nobody_is_turned_away_or_vouched_for_by_an_old_state(processes: Processes) -> None:
    """The primary database is away, and the replica that answers may lag."""
    look = processes.stores.accounts.device

    async def behind(device_id: DeviceId) -> DeviceRow | None:
        freshness.note(1)
        return None if device_id != DEVICE else await look(device_id)

    processes.stores.accounts.device = behind  # type: ignore[method-assign]
    freshness.begin(may_be_behind=True)
    with pytest.raises(Unavailable):
        await processes.gateway().live(DeviceId("01HZZZZZZZZZZZZZZZZZZZZZZC"))
    await processes.gateway().live(DEVICE)
    freshness.begin(may_be_behind=True)
    await processes.gateway().live(DEVICE)
    assert processes.looked == 2
