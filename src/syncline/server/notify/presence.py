"""Who is connected: told to `ports.presence` when a socket opens and while anybody waits, a bounded number at a time.

It stands beside the notification path and never in it: nothing waits for it, and what it cannot say now it says next time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from syncline.model.errors import Retryable
from syncline.model.ids import DeviceId, UserId
from syncline.ports.clock import Clock
from syncline.ports.presence import Presence
from syncline.server.caller import Caller
from syncline.server.notify.hub import Waiter

TTL_S: Final = 75.0
EVERY_S: Final = 30.0
WAITING_MAX: Final = 20_000
PAUSE_S: Final = 5.0


class Presences:
    def __init__(self, presence: Presence, clock: Clock) -> None:
        self._presence = presence
        self._clock = clock
        self._said: OrderedDict[DeviceId, float] = OrderedDict()
        self._waiting: OrderedDict[DeviceId, UserId] = OrderedDict()
        self._some = asyncio.Event()

    def came(self, caller: Caller) -> None:
        """A device is connected."""
        now_s = self._clock.monotonic_s()
        said_s = self._said.get(caller.device_id)
        if (said_s is not None and now_s - said_s < EVERY_S) or len(self._waiting) >= WAITING_MAX:
            return
        self._said[caller.device_id] = now_s
        self._said.move_to_end(caller.device_id)
        while len(self._said) > WAITING_MAX:
            self._said.popitem(last=False)
        self._waiting[caller.device_id] = caller.user_id
        self._some.set()

    def wait(self, waiters: Sequence[Waiter]) -> None:
        """These are still connected."""
        for waiter in waiters:
            self.came(waiter.caller)

    async def who(self, caller: Caller) -> dict[DeviceId, int]:
        """The caller's devices that are connected, as far as that can be known now."""
        try:
            return await self._presence.who(caller.user_id)
        except Retryable:
            return {}

    async def run(self) -> None:
        """Passes on what was told, for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                device, user = self._waiting.popitem(last=False)
                try:
                    await self._presence.seen(user, device, TTL_S)
                except Retryable:
                    await asyncio.sleep(PAUSE_S)
