"""What every `Cache` promises, in this process and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from syncline.adapters.cache.line import RedisLine
from syncline.adapters.cache.memory import MemoryCache
from syncline.adapters.cache.redis import RedisCache
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.ports.cache import NAMES_MAX, VALUE_MAX_BYTES, Cache


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache(MachineClock())
        return
    # Patient, since here an answer that does not come in time would be taken for a wrong one.
    url = request.getfixturevalue("redis_service").url
    line = RedisLine(url, MachineClock(), MachineChance(), timeout_s=10.0)
    yield RedisCache(line)
    await line.close()


async def test_what_was_put_comes_back_byte_for_byte(cache: Cache) -> None:
    every = bytes(range(256))
    await cache.put("g", "a", every, 60)
    await cache.put("g", "b", b"", 60)
    await cache.put("g", "a:\u00e9\0", b"odd", 60)
    assert await cache.get("g", ["b", "none", "a", "a", "a:\u00e9\0"]) == [b"", None, every, every, b"odd"]
    assert await cache.get("other", ["a"]) == [None]
    assert await cache.get("g", []) == []


async def test_the_last_value_stands(cache: Cache) -> None:
    await cache.put("g", "a", b"one", 60)
    await cache.put("g", "a", b"two", 60)
    assert await cache.get("g", ["a"]) == [b"two"]


async def test_a_group_is_forgotten_as_a_whole_and_no_other(cache: Cache) -> None:
    for group in ("g", "h"):
        for name in ("a", "b"):
            await cache.put(group, name, group.encode(), 60)
    await cache.forget("g")
    await cache.forget("never was")
    assert await cache.get("g", ["a", "b"]) == [None, None]
    assert await cache.get("h", ["a", "b"]) == [b"h", b"h"]


async def test_what_is_too_large_is_not_kept(cache: Cache) -> None:
    await cache.put("g", "a", bytes(VALUE_MAX_BYTES), 60)
    await cache.put("g", "b", bytes(VALUE_MAX_BYTES + 1), 60)
    found = await cache.get("g", ["a", "b"])
    assert [value and len(value) for value in found] == [VALUE_MAX_BYTES, None]


async def test_a_group_does_not_grow_without_end(cache: Cache) -> None:
    names = [str(number) for number in range(NAMES_MAX + 1)]
    for name in names:
        await cache.put("g", name, b"x", 60)
    assert await cache.get("g", names[:5]) == [None] * 5
