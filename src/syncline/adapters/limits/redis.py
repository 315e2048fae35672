"""`ports.limiter.Limiter` shared through Redis: the library `limits` counts in a sliding window there, whose steps are one script
each. While Redis gives no answer, each process counts for itself."""

from __future__ import annotations

from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from syncline.adapters.cache.line import RedisLine
from syncline.ports.clock import Clock
from syncline.ports.limiter import Limiter, Rule

PREFIX: Final = "syncline:l"


class RedisLimiter:
    """`alone` counts while Redis is away."""

    def __init__(self, url: str, line: RedisLine, clock: Clock, alone: Limiter) -> None:
        storage = RedisStorage(url, implementation="redispy", key_prefix=PREFIX, connection_pool=line.pool)  # type: ignore[arg-type]
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._line = line
        self._clock = clock
        self._alone = alone

    async def take(self, rule: Rule, key: str) -> float:
        item = _item(rule)

        async def call(_: object) -> float:
            if await self._windows.hit(item, key):
                return 0.0
            stats = await self._windows.get_window_stats(item, key)
            wait_s = stats.reset_time - self._clock.now_us() / 1e6
            return min(float(rule.period_s), max(wait_s, rule.period_s / rule.amount))

        answer = await self._line.ask("limit", call)
        return await self._alone.take(rule, key) if answer is None else answer[0]

    async def forgive(self, rule: Rule, key: str) -> None:
        async def call(_: object) -> bool:
            await self._windows.clear(_item(rule), key)
            return True

        await self._line.ask("forgive", call)
        await self._alone.forgive(rule, key)


def _item(rule: Rule) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(rule.amount, rule.period_s, namespace=rule.name)
