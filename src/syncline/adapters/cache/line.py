"""The line to Redis: a few connections, tens of milliseconds for an answer, and a breaker.

Nobody ever waits for Redis, and nobody is told an error of its: there is an answer, or there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from syncline.adapters.cache.breaker import Breaker
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Chance, Clock
from syncline.ports.meter import NO_METER, Meter
from syncline.ports.metrics import CACHE_CALLS, CACHE_OPEN, CACHE_SECONDS

T = TypeVar("T")
CALL_TIMEOUT_S: Final = 0.05
CONNECTIONS_MAX: Final = 32
log: Final[Any] = structlog.get_logger("syncline.redis")


class RedisLine:
    """`url` is `redis://HOST:PORT/DB`, or `rediss://` with TLS; `InvalidRequest` for another one. Connects when first asked."""

    def __init__(
        self, url: str, clock: Clock, chance: Chance, meter: Meter = NO_METER, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        try:
            self.pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS_MAX,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
            )
        except ValueError as error:
            raise InvalidRequest(message=f"redis: {error}") from error
        self.client: Redis = Redis(connection_pool=self.pool)
        self.breaker = Breaker(clock, chance)
        self._clock = clock
        self._meter = meter
        self._timeout_s = timeout_s
        meter.read_from(CACHE_OPEN, lambda: float(self.breaker.is_open))

    async def ask(self, name: str, call: Callable[[Redis], Awaitable[T]]) -> tuple[T] | None:
        """What `call` gives, or None where Redis has no answer to give now. Never raises for its sake."""
        if not self.breaker.lets_pass():
            self._meter.add(CACHE_CALLS, 1, name, "skipped")
            return None
        since = self._clock.monotonic_s()
        try:
            # Waiting for a connection, connecting and asking together. A connection that is torn out of a call is not used again.
            async with asyncio.timeout(self._timeout_s):
                result = await call(self.client)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(name, type(error).__name__)
            return None
        except BaseException:
            # Whoever asked went away: that says nothing about Redis, but somebody has to try it in their place.
            self.breaker.failed()
            raise
        self.breaker.worked()
        self._meter.add(CACHE_CALLS, 1, name, "miss" if result is None else "hit")
        self._meter.observe(CACHE_SECONDS, self._clock.monotonic_s() - since, name)
        return (result,)

    def _failed(self, name: str, kind: str) -> None:
        was_open = self.breaker.is_open
        self.breaker.failed()
        self._meter.add(CACHE_CALLS, 1, name, "failed")
        if self.breaker.is_open and not was_open:
            log.warning("redis is left alone for a while", kind=kind)

    async def close(self) -> None:
        await self.client.aclose()
        await self.pool.disconnect()
