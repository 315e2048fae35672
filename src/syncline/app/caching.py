"""What processes of one server share through Redis, where `redis` names one: hot metadata, sessions, limits.

Without it each process has limits of its own, and nothing is cached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncline.adapters.limits.memory import MemoryLimiter
from syncline.adapters.presence.memory import MemoryPresence
from syncline.app.config import ServerConfig
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Chance, Clock
from syncline.ports.limiter import Limiter
from syncline.ports.metadata_store import MetadataStore
from syncline.ports.meter import Meter
from syncline.ports.presence import Presence
from syncline.server.accounts.limits import CallLimits
from syncline.server.accounts.shared import SharedSessions
from syncline.server.caching.forgetting import Forgetting
from syncline.server.caching.hot import HotMetadata
from syncline.server.caching.sealed import SealedCache
from syncline.server.notify.word import Word


@dataclass(frozen=True, slots=True)
class Shared:
    """`cache` is None where nothing is shared."""

    limits: CallLimits | None
    cache: SealedCache | None
    sessions: SharedSessions | None
    presence: Presence


@asynccontextmanager
async def kept_hot(shared: Shared, metadata: MetadataStore, word: Word, clock: Clock) -> AsyncIterator[None]:
    """Until the block ends, what many devices ask of `metadata` at once is asked of the shared cache first, if there is one."""
    if shared.cache is None:
        yield
        return
    hot = HotMetadata(metadata, shared.cache, clock)
    hot.stand_before(metadata)
    forgetting = Forgetting(hot.moved)

    word.listeners.append(lambda namespace, _sequence: forgetting.hear(namespace))
    try:
        yield
    finally:
        await forgetting.close()


@asynccontextmanager
async def sharing(
    config: ServerConfig, secret: Callable[[str], bytes], clock: Clock, chance: Chance, meter: Meter
) -> AsyncIterator[Shared]:
    """Until the block ends. `secret` gives the server's own by name. A Redis that is away is no error. Raises `InvalidRequest`
    naming the key to correct."""
    alone = MemoryLimiter(clock)
    if config.redis is None:
        yield Shared(_limits(config, alone, secret, meter), None, None, MemoryPresence(clock))
        return
    try:
        from syncline.adapters.cache.line import RedisLine
        from syncline.adapters.cache.redis import RedisCache
        from syncline.adapters.limits.redis import RedisLimiter
        from syncline.adapters.presence.redis import RedisPresence
    except ImportError as error:
        raise InvalidRequest(message='redis needs its driver: pip install "syncline[scale]"') from error
    line = RedisLine(config.redis, clock, chance, meter)
    try:
        cache = SealedCache(RedisCache(line), secret("cache"), chance)
        limits = _limits(config, RedisLimiter(config.redis, line, clock, alone), secret, meter, shared=True)
        yield Shared(limits, cache, SharedSessions(cache, clock), RedisPresence(line, clock))
    finally:
        await line.close()


def _limits(
    config: ServerConfig, limiter: Limiter, secret: Callable[[str], bytes], meter: Meter, *, shared: bool = False
) -> CallLimits | None:
    asked = config.limits
    each = (asked.user_per_minute, asked.device_per_minute, asked.address_per_minute)
    if not shared and each == (None, None, None):
        return None
    user, device, address = each
    return CallLimits(limiter, secret("limits"), meter, user_per_minute=user, device_per_minute=device, address_per_minute=address)
