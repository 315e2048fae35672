"""Hearing: from the bus to the hub, resumed where it stood, for as long as the process lives.

A bus that is away makes nobody wait on it: it is tried again with growing, jittered pauses, and meanwhile the sweep finds what
moved. What the bus no longer keeps when it is back is a gap, which has the sweep look at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from syncline.model.errors import SynclineError
from syncline.ports.bus import Bus, Position
from syncline.ports.clock import Chance
from syncline.server.notify.hub import Hub

LISTEN_S: Final = 10.0
"""So long one question to the bus is held."""
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0


class Hearing:
    """`told` hears of every failure, which is tried again."""

    def __init__(self, bus: Bus, hub: Hub, chance: Chance, told: Callable[[SynclineError], None]) -> None:
        self._bus = bus
        self._hub = hub
        self._chance = chance
        self._told = told
        self._position: Position | None = None
        self.failures = 0
        """In a row."""
        self.heard = 0

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._listen()
            except SynclineError as error:
                self._told(error)
                self.failures += 1
                pause_s = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(self.failures - 1, 20))
                await asyncio.sleep(pause_s * (0.5 + self._chance.fraction()))

    async def _listen(self) -> None:
        async with self._bus.subscribe(self._position) as subscription:
            if self._position is None:
                # What was published before this instant is not heard of.
                self._hub.doubt()
            self._position = subscription.position
            while True:
                delivery = await subscription.next(LISTEN_S)
                self.failures = 0
                if delivery is None:
                    continue
                if delivery.gap:
                    self._hub.doubt()
                for hint in delivery.hints:
                    self._hub.publish(hint.namespace, hint.sequence)
                self.heard += len(delivery.hints)
                self._position = delivery.position
