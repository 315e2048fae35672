"""What every `Limiter` promises, in this process and shared through Redis, and while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from syncline.adapters.cache.line import RedisLine
from syncline.adapters.limits.memory import MemoryLimiter
from syncline.adapters.limits.redis import RedisLimiter
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.ports.limiter import Limiter, Rule
from syncline.testing.clocks import ManualClock
from syncline.testing.services.redis import Redis

# So long that no second of a slow test matters.
RULE = Rule("calls", 5, 3600)
AWAY = "redis://127.0.0.1:9/0"


@pytest.fixture(params=["memory", "redis", "redis away"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Limiter]:
    clock = MachineClock()
    if request.param == "memory":
        yield MemoryLimiter(clock)
        return
    url = AWAY if request.param == "redis away" else request.getfixturevalue("redis_service").url
    line = RedisLine(url, clock, MachineChance(), timeout_s=10.0)
    yield RedisLimiter(url, line, clock, MemoryLimiter(clock))
    await line.close()


async def test_so_many_pass_and_no_more(limiter: Limiter) -> None:
    assert [await limiter.take(RULE, "ann") for _ in range(RULE.amount)] == [0.0] * RULE.amount
    for _ in range(3):
        assert 0 < await limiter.take(RULE, "ann") <= RULE.period_s


async def test_keys_and_rules_are_counted_apart(limiter: Limiter) -> None:
    for _ in range(RULE.amount):
        await limiter.take(RULE, "ann")
    assert await limiter.take(RULE, "ann") > 0
    assert await limiter.take(RULE, "bob") == 0
    assert await limiter.take(Rule("other", 5, 3600), "ann") == 0


async def test_many_at_once_are_counted_each(limiter: Limiter) -> None:
    waits = await asyncio.gather(*(limiter.take(RULE, "ann") for _ in range(20)))
    assert sum(wait == 0 for wait in waits) == RULE.amount


async def test_what_is_forgiven_was_not_counted(limiter: Limiter) -> None:
    for _ in range(RULE.amount + 1):
        await limiter.take(RULE, "ann")
        await limiter.take(RULE, "bob")
    await limiter.forgive(RULE, "ann")
    assert await limiter.take(RULE, "ann") == 0
    assert await limiter.take(RULE, "bob") > 0


async def test_two_processes_count_together(redis_service: Redis) -> None:
    clock = MachineClock()
    lines = [RedisLine(redis_service.url, clock, MachineChance(), timeout_s=10.0) for _ in range(2)]
    limiters = [RedisLimiter(redis_service.url, line, clock, MemoryLimiter(clock)) for line in lines]
    waits = await asyncio.gather(*(limiter.take(RULE, "ann") for limiter in limiters for _ in range(10)))
    assert sum(wait == 0 for wait in waits) == RULE.amount
    for line in lines:
        await line.close()


async def test_waiting_so_long_is_enough() -> None:
    clock = ManualClock()
    limiter = MemoryLimiter(clock)
    for _ in range(RULE.amount):
        await limiter.take(RULE, "ann")
    wait_s = await limiter.take(RULE, "ann")
    clock.advance(wait_s - 1)
    assert await limiter.take(RULE, "ann") == pytest.approx(1.0)
    clock.advance(1.001)
    assert await limiter.take(RULE, "ann") == 0


async def test_the_table_is_bounded() -> None:
    limiter = MemoryLimiter(ManualClock(), buckets_max=10)
    once = Rule("once", 1, 60)
    for number in range(11):
        assert await limiter.take(once, str(number)) == 0
    assert await limiter.take(once, "10") > 0
    assert await limiter.take(once, "0") == 0
