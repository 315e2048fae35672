"""Sessions that another process has just looked up: a device whose requests go round many gateways is not looked up by each.

Laws: a session from here is at most `SHARED_S` old by this process's clock, and never from its future; what is left of `LIVE_S` is
what clocks may differ by. An unlinked device is not taken from here while anybody could still hold it, whatever the cache says.
Passwords and refresh tokens are left out, hashed as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec
from msgspec.structs import replace

from syncline.model.ids import DeviceId
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.clock import Clock
from syncline.server.caching.sealed import SealedCache

SHARED_S: Final = 1.0
TTL_S: Final = 2
_UNLINKED_S: Final = 60.0
_UNLINKED_MAX: Final = 10_000
_NAME: Final = "session"
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[User, DeviceRow])


class SharedSessions:
    def __init__(self, cache: SealedCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._unlinked: OrderedDict[DeviceId, float] = OrderedDict()
        """Until when not to believe anybody about them."""

    async def get(self, device: DeviceId) -> tuple[float, User, DeviceRow] | None:
        """How old it is in seconds, and who it is; None where that is not known for certain."""
        (kept,) = await self._cache.get(_group(device), [_NAME])
        if kept is None or self._clock.monotonic_s() < self._unlinked.get(device, 0.0):
            return None
        age_s = (self._clock.now_us() - kept.true_us) / 1e6
        if not 0 <= age_s <= SHARED_S:
            return None
        try:
            user, row = _decoder.decode(kept.value)
        except msgspec.DecodeError:
            return None
        return (age_s, user, row) if row.id == device and row.user_id == user.id else None

    async def put(self, user: User, device: DeviceRow, true_us: int) -> None:
        """They were read from the database not before `true_us`."""
        bare = replace(user, password_hash=""), replace(device, refresh_hash="", previous_refresh_hash=None)
        await self._cache.put(_group(device.id), _NAME, _encoder.encode(bare), true_us=true_us, ttl_s=TTL_S)

    async def forget(self, device: DeviceId) -> None:
        """It was unlinked."""
        self._unlinked[device] = self._clock.monotonic_s() + _UNLINKED_S
        while len(self._unlinked) > _UNLINKED_MAX:
            self._unlinked.popitem(last=False)
        await self._cache.forget(_group(device))


def _group(device: DeviceId) -> str:
    return f"s:{device}"
