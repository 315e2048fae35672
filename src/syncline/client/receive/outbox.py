"""Results leave in batches: applying them is cheap only together, yet a lone one must not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from syncline.client.receive.fetched import Fetched, FetchFailed
from syncline.model.limits import BATCH_MAX

WAITING_MAX: Final = 4 * BATCH_MAX
"""Results nobody has taken; more are not made until some were."""
GATHER_S: Final = 0.02
"""While more is on its way, results are gathered for so long."""


class Outbox:
    """Gathers results into `results`. `is_more_coming` says whether it is worth waiting a moment for company."""

    def __init__(self, is_more_coming: Callable[[], bool]) -> None:
        self.results: asyncio.Queue[list[Fetched | FetchFailed]] = asyncio.Queue(WAITING_MAX // BATCH_MAX)
        self._is_more_coming = is_more_coming
        self._waiting: list[Fetched | FetchFailed] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, results: Iterable[Fetched | FetchFailed]) -> None:
        """Never waits; `room` is where makers of results pause."""
        self._waiting += results
        if self._waiting:
            self._some.set()
        if len(self._waiting) >= WAITING_MAX:
            self._room.clear()

    async def room(self) -> None:
        await self._room.wait()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            if len(self._waiting) < BATCH_MAX and self._is_more_coming():
                await asyncio.sleep(GATHER_S)
            while self._waiting:
                await self.results.put(self._waiting[:BATCH_MAX])
                del self._waiting[:BATCH_MAX]
                if len(self._waiting) < WAITING_MAX:
                    self._room.set()
