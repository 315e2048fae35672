"""`ports.presence.Presence` in Redis, for all processes of a server: a hash a person, with a field a device."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Final, TypeVar, cast

from redis.asyncio import Redis

from syncline.adapters.cache.line import RedisLine
from syncline.model.errors import Unavailable
from syncline.model.ids import DeviceId, UserId
from syncline.ports.clock import Clock

_T = TypeVar("_T")
PREFIX: Final = "syncline:p:"


class RedisPresence:
    """Times are those of the process that saw a device."""

    def __init__(self, line: RedisLine, clock: Clock) -> None:
        self._line = line
        self._clock = clock

    async def seen(self, user: UserId, device: DeviceId, ttl_s: float) -> None:
        now_us = self._clock.now_us()

        async def call(redis: Redis) -> bool:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.hset(PREFIX + user, device, f"{now_us} {now_us + round(ttl_s * 1e6)}")
                pipe.expire(PREFIX + user, math.ceil(ttl_s))
                await pipe.execute()
            return True

        _answered(await self._line.ask("seen", call))

    async def gone(self, user: UserId, device: DeviceId) -> None:
        async def call(redis: Redis) -> bool:
            await redis.hdel(PREFIX + user, device)
            return True

        _answered(await self._line.ask("gone", call))

    async def who(self, user: UserId) -> dict[DeviceId, int]:
        async def call(redis: Redis) -> dict[bytes, bytes]:
            return await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(PREFIX + user))

        found, now_us = _answered(await self._line.ask("who", call)), self._clock.now_us()
        there: dict[DeviceId, int] = {}
        for device, times in sorted(found.items()):
            seen, _, until = times.partition(b" ")
            if seen.isdigit() and until.isdigit() and int(until) > now_us:
                there[DeviceId(device.decode(errors="replace"))] = int(seen)
        return there


def _answered(answer: tuple[_T] | None) -> _T:
    if answer is None:
        raise Unavailable(what="Presence")
    return answer[0]
