"""The seal: what comes back is what this server put there, under that name, or nothing."""

from __future__ import annotations

from syncline.adapters.cache.memory import MemoryCache
from syncline.adapters.machine import MachineChance
from syncline.server.caching.sealed import Kept, SealedCache
from syncline.testing.clocks import ManualClock

ONE, TWO = bytes(32), bytes(range(32))


async def test_what_was_put_comes_back_with_its_time() -> None:
    cache = SealedCache(MemoryCache(ManualClock()), ONE, MachineChance())
    await cache.put("g", "a", b"value", true_us=-5, ttl_s=60)
    assert await cache.get("g", ["a", "b"]) == [Kept(-5, b"value"), None]
    await cache.forget("g")
    assert await cache.get("g", ["a"]) == [None]


async def test_nothing_else_opens() -> None:
    memory = MemoryCache(ManualClock())
    cache = SealedCache(memory, ONE, MachineChance())
    await cache.put("g", "a", b"secret-plan", true_us=1, ttl_s=60)
    (value,) = await memory.get("g", ["a"])
    assert value is not None
    assert b"secret-plan" not in value
    assert await SealedCache(memory, TWO, MachineChance()).get("g", ["a"]) == [None]
    for group, name in (("g", "b"), ("h", "a"), ("g\0a", "")):
        await memory.put(group, name, value, 60)
        assert await cache.get(group, [name]) == [None]
    for at in range(len(value)):
        turned = bytearray(value)
        turned[at] ^= 1
        await memory.put("g", "a", bytes(turned), 60)
        assert await cache.get("g", ["a"]) == [None]
    for short in (b"", value[:12], value[:-1]):
        await memory.put("g", "a", short, 60)
        assert await cache.get("g", ["a"]) == [None]
