"""`ports.presence.Presence` of one process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from syncline.model.ids import DeviceId, UserId
from syncline.ports.clock import Clock

DEVICES_MAX: Final = 100_000


class MemoryPresence:
    def __init__(self, clock: Clock, devices_max: int = DEVICES_MAX) -> None:
        self._clock = clock
        self._max = devices_max
        self._seen: OrderedDict[tuple[UserId, DeviceId], tuple[float, int]] = OrderedDict()
        """Until when (monotonic), and when last, the least lately seen first."""
        self._devices: dict[UserId, set[DeviceId]] = {}

    async def seen(self, user: UserId, device: DeviceId, ttl_s: float) -> None:
        key = (user, device)
        self._seen[key] = (self._clock.monotonic_s() + ttl_s, self._clock.now_us())
        self._seen.move_to_end(key)
        self._devices.setdefault(user, set()).add(device)
        while len(self._seen) > self._max:
            self._forget(*next(iter(self._seen)))

    async def gone(self, user: UserId, device: DeviceId) -> None:
        if (user, device) in self._seen:
            self._forget(user, device)

    async def who(self, user: UserId) -> dict[DeviceId, int]:
        now_s = self._clock.monotonic_s()
        there: dict[DeviceId, int] = {}
        for device in sorted(self._devices.get(user, ())):
            until_s, last_us = self._seen[user, device]
            if until_s > now_s:
                there[device] = last_us
            else:
                self._forget(user, device)
        return there

    def _forget(self, user: UserId, device: DeviceId) -> None:
        del self._seen[user, device]
        mine = self._devices[user]
        mine.discard(device)
        if not mine:
            del self._devices[user]
