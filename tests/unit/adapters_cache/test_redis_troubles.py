"""Redis as it is on a bad day: dead, stalled, flushed, full of other people's values. Nobody is told, and nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.scraping import Figures

from syncline.adapters.cache.breaker import FAILURES_MAX
from syncline.adapters.cache.line import RedisLine
from syncline.adapters.cache.redis import PREFIX, RedisCache
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.telemetry.prometheus import PrometheusMeter
from syncline.model.errors import InvalidRequest
from syncline.ports import metrics
from syncline.testing.services.redis import Redis

pytestmark = pytest.mark.real


@pytest.fixture
def meter() -> PrometheusMeter:
    return PrometheusMeter()


@pytest.fixture
async def line(redis_service: Redis, meter: PrometheusMeter) -> AsyncIterator[RedisLine]:
    line = RedisLine(redis_service.url, MachineClock(), MachineChance(), meter)
    yield line
    await line.close()


@pytest.fixture
async def patient(redis_service: Redis) -> AsyncIterator[RedisLine]:
    """One that takes its time, for what a test itself asks of Redis."""
    line = RedisLine(redis_service.url, MachineClock(), MachineChance(), timeout_s=10.0)
    yield line
    await line.close()


async def _until_it_answers(cache: RedisCache) -> None:
    async with asyncio.timeout(30):
        while await cache.get("g", ["a"]) != [b"one"]:
            await cache.put("g", "a", b"one", 60)
            await asyncio.sleep(0.02)


def _calls(meter: PrometheusMeter, outcome: str) -> float:
    return Figures(meter.page().decode()).of(metrics.CACHE_CALLS, outcome=outcome)


@pytest.mark.parametrize("trouble", ["stalled", "dead"])
async def test_trouble_costs_a_bounded_time_and_ends_by_itself(
    redis_service: Redis, line: RedisLine, meter: PrometheusMeter, trouble: str
) -> None:
    cache = RedisCache(line)
    await _until_it_answers(cache)
    if trouble == "stalled":
        redis_service.stop()
    else:
        redis_service.kill()
    for _ in range(200):
        assert await cache.get("g", ["a"]) == [None]
        await cache.put("g", "a", b"two", 60)
        await cache.forget("g")
    # Of six hundred calls a handful waited for their timeout; the rest were not even tried.
    failed = _calls(meter, "failed")
    assert FAILURES_MAX <= failed <= 20
    assert _calls(meter, "skipped") > 500
    assert line.breaker.is_open
    assert Figures(meter.page().decode()).of(metrics.CACHE_OPEN) == 1
    if trouble == "stalled":
        redis_service.go_on()
    else:
        redis_service.restart()
    await _until_it_answers(cache)
    assert not line.breaker.is_open
    assert Figures(meter.page().decode()).of(metrics.CACHE_OPEN) == 0


async def test_calls_at_once_on_a_stalled_redis_all_come_back(redis_service: Redis, line: RedisLine) -> None:
    cache = RedisCache(line)
    await _until_it_answers(cache)
    redis_service.stop()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(cache.get("g", ["a"]) for _ in range(300)))
    assert answers == [[None]] * 300
    redis_service.go_on()
    await _until_it_answers(cache)


async def test_an_answer_that_came_too_late_is_nobody_elses(redis_service: Redis, line: RedisLine) -> None:
    """The connection of a call that was given up is not used again: its answer would be taken for the next one's."""
    cache = RedisCache(line)
    await _until_it_answers(cache)
    await cache.put("h", "b", b"of another", 60)
    for _ in range(3):
        redis_service.stop()
        assert await cache.get("h", ["b"]) == [None]
        redis_service.go_on()
        given_up = asyncio.ensure_future(cache.get("h", ["b"]))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        for _ in range(20):
            assert await cache.get("g", ["a"]) in ([b"one"], [None])
        await _until_it_answers(cache)


async def test_a_flushed_redis_has_nothing(redis_service: Redis, line: RedisLine) -> None:
    cache = RedisCache(line)
    await _until_it_answers(cache)
    redis_service.flush()
    assert await cache.get("g", ["a"]) == [None]


async def test_values_of_another_kind_are_no_error(line: RedisLine, patient: RedisLine) -> None:
    cache = RedisCache(line)
    await _until_it_answers(cache)
    await patient.client.set(PREFIX + "odd", "a string, where a hash should be")
    assert await cache.get("odd", ["a"]) == [None]
    await cache.put("odd", "a", b"x", 60)
    await cache.forget("odd")
    await _until_it_answers(cache)


async def test_groups_end_by_themselves(patient: RedisLine) -> None:
    await RedisCache(patient).put("g", "a", b"one", 3600)
    assert 3500 < await patient.client.ttl(PREFIX + "g") <= 3600


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(InvalidRequest, match="redis"):
        RedisLine("http://127.0.0.1", MachineClock(), MachineChance())


def test_a_process_has_a_bounded_number_of_connections(line: RedisLine) -> None:
    assert line.pool.max_connections == 32
