"""A bus that can be down, and remembers what was published over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from syncline.model.errors import Unavailable
from syncline.ports.bus import Bus, Delivery, Hint, Position, Subscription


class FaultyBus:
    """`down` refuses everything; `losing_answers` keeps what is published and says that it did not."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.down = False
        self.losing_answers = False
        self.refused = 0
        self.published: list[Hint] = []

    async def publish(self, hints: Sequence[Hint]) -> None:
        self._check()
        await self._bus.publish(hints)
        self.published += hints
        if self.losing_answers:
            self._refuse()

    @asynccontextmanager
    async def subscribe(self, after: Position | None = None) -> AsyncIterator[FaultySubscription]:
        self._check()
        async with self._bus.subscribe(after) as subscription:
            yield FaultySubscription(self, subscription)

    async def close(self) -> None:
        await self._bus.close()

    def _check(self) -> None:
        if self.down:
            self._refuse()

    def _refuse(self) -> None:
        self.refused += 1
        raise Unavailable(what="The message bus", reason="a test has it so")


class FaultySubscription:
    def __init__(self, bus: FaultyBus, subscription: Subscription) -> None:
        self._bus = bus
        self._subscription = subscription

    @property
    def position(self) -> Position:
        return self._subscription.position

    async def next(self, timeout_s: float) -> Delivery | None:
        self._bus._check()
        return await self._subscription.next(timeout_s)
