"""`ports.cache.Cache` in Redis: a group is a hash, so that it goes as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final, cast

from redis.asyncio import Redis

from syncline.adapters.cache.line import RedisLine
from syncline.ports.cache import NAMES_MAX, VALUE_MAX_BYTES

PREFIX: Final = "syncline:c:"


class RedisCache:
    def __init__(self, line: RedisLine) -> None:
        self._line = line

    async def get(self, group: str, names: Sequence[str]) -> list[bytes | None]:
        async def call(redis: Redis) -> list[bytes | None] | None:
            found = await cast("Awaitable[list[bytes | None]]", redis.hmget(PREFIX + group, list(names)))
            return found if any(found) else None

        answer = await self._line.ask("get", call) if names else None
        return answer[0] if answer is not None and answer[0] is not None else [None] * len(names)

    async def put(self, group: str, name: str, value: bytes, ttl_s: int) -> None:
        async def call(redis: Redis) -> bool:
            key = PREFIX + group
            async with redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, name, value)
                pipe.expire(key, ttl_s)
                pipe.hlen(key)
                _, _, count = await pipe.execute()
            if count > NAMES_MAX:
                await redis.unlink(key)
            return True

        if len(value) <= VALUE_MAX_BYTES:
            await self._line.ask("put", call)

    async def forget(self, group: str) -> None:
        async def call(redis: Redis) -> bool:
            await redis.unlink(PREFIX + group)
            return True

        await self._line.ask("forget", call)
