"""What every `Presence` promises, in one process and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from syncline.adapters.cache.line import RedisLine
from syncline.adapters.machine import MachineChance
from syncline.adapters.presence.memory import MemoryPresence
from syncline.adapters.presence.redis import RedisPresence
from syncline.model.errors import Unavailable
from syncline.model.ids import DeviceId, UserId
from syncline.ports.presence import Presence
from syncline.testing.clocks import ManualClock
from syncline.testing.services.redis import Redis

ANN, BOB = UserId("ann"), UserId("bob")
ONE, TWO = DeviceId("one"), DeviceId("two")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "redis"])
async def presence(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Presence]:
    if request.param == "memory":
        yield MemoryPresence(clock)
        return
    line = RedisLine(request.getfixturevalue("redis_service").url, clock, MachineChance(), timeout_s=10.0)
    yield RedisPresence(line, clock)
    await line.close()


async def test_a_device_is_there_for_so_long_after_it_was_seen(presence: Presence, clock: ManualClock) -> None:
    began_us = clock.now_us()
    await presence.seen(ANN, ONE, 60.0)
    clock.advance(30)
    await presence.seen(ANN, TWO, 60.0)
    assert await presence.who(ANN) == {ONE: began_us, TWO: clock.now_us()}
    clock.advance(31)
    assert await presence.who(ANN) == {TWO: began_us + 30_000_000}
    await presence.seen(ANN, TWO, 60.0)
    clock.advance(59)
    assert await presence.who(ANN) == {TWO: began_us + 61_000_000}
    clock.advance(2)
    assert await presence.who(ANN) == {}


async def test_people_are_kept_apart_and_whoever_goes_is_gone(presence: Presence, clock: ManualClock) -> None:
    for user in (ANN, BOB):
        for device in (ONE, TWO):
            await presence.seen(user, device, 60.0)
    await presence.gone(ANN, ONE)
    await presence.gone(ANN, DeviceId("never seen"))
    assert list(await presence.who(ANN)) == [TWO]
    assert list(await presence.who(BOB)) == [ONE, TWO]


async def test_what_cannot_be_known_is_said_to_be_so(redis_service: Redis, clock: ManualClock) -> None:
    line = RedisLine(redis_service.url, clock, MachineChance())
    presence = RedisPresence(line, clock)
    redis_service.kill()
    for call in (presence.seen(ANN, ONE, 60.0), presence.gone(ANN, ONE), presence.who(ANN), presence.who(ANN)):
        with pytest.raises(Unavailable):
            await call
    await line.close()
