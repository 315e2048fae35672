"""`ports.bus.Bus` within one process: the last hints in a ring, and who waits for more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

from syncline.model.errors import InvalidRequest, Unavailable
from syncline.ports.bus import PUBLISHED_MAX, Delivery, Hint, Position

KEPT_MAX: Final = 100_000


class MemoryBus:
    """Keeps the last `kept_max` hints."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept: deque[Hint] = deque(maxlen=kept_max)
        self._end = 0
        """How many hints were ever published: the position after the last of them."""
        self._more = asyncio.Event()
        self._closed = False

    async def publish(self, hints: Sequence[Hint]) -> None:
        if self._closed:
            raise Unavailable(what="The message bus", reason="it was closed")
        self._kept.extend(hints)
        self._end += len(hints)
        # Whoever waits holds this event; those who come later wait on the next.
        self._more.set()
        self._more = asyncio.Event()

    @asynccontextmanager
    async def subscribe(self, after: Position | None = None) -> AsyncIterator[MemorySubscription]:
        yield MemorySubscription(self, self._end if after is None else _index(after))

    async def close(self) -> None:
        self._closed = True

    async def after(self, index: int, timeout_s: float) -> tuple[list[Hint], int, bool] | None:
        """Hints behind `index`, the index after them, and whether some before them are gone."""
        if index == self._end:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._more.wait()
            except TimeoutError:
                return None
        first = self._end - len(self._kept)
        lost = index < first or index > self._end
        start = first if lost else index
        hints = list(islice(self._kept, start - first, start - first + PUBLISHED_MAX))
        return hints, start + len(hints), lost


class MemorySubscription:
    def __init__(self, bus: MemoryBus, index: int) -> None:
        self._bus = bus
        self._index = index

    @property
    def position(self) -> Position:
        return Position(str(self._index))

    async def next(self, timeout_s: float) -> Delivery | None:
        found = await self._bus.after(self._index, timeout_s)
        if found is None:
            return None
        hints, self._index, lost = found
        return Delivery(hints=hints, position=self.position, gap=lost)


def _index(position: Position) -> int:
    if not position.isascii() or not position.isdigit():
        raise InvalidRequest(message="This is no position of this bus")
    return int(position)
