"""Invalidation by the journal: what a commit made useless leaves the shared cache, soon after and off the commit's way.

Nothing rests on it, since a page is held against the chain anyway: it may be late or lost. It keeps the cache's memory for what is
asked for now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from syncline.model.ids import NamespaceId

WAITING_MAX: Final = 10_000


class Forgetting:
    """`moved` is told of each namespace whose journal grew; of many commits in one, once."""

    def __init__(self, moved: Callable[[NamespaceId], Awaitable[None]]) -> None:
        self._moved = moved
        self._waiting: dict[NamespaceId, None] = {}
        self._task: asyncio.Task[None] | None = None

    def hear(self, namespace: NamespaceId) -> None:
        """Called on the event loop, after a commit."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting[namespace] = None
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._forget())

    async def _forget(self) -> None:
        while self._waiting:
            namespace = next(iter(self._waiting))
            del self._waiting[namespace]
            await self._moved(namespace)

    async def close(self) -> None:
        self._waiting.clear()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
