"""Acts that go on to their end once begun, even if the one who asked goes away: a commit must be told of as well as made."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Finishing:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def finish(self, act: Coroutine[Any, Any, T]) -> T:
        """What `act` gives; a caller that is cancelled leaves it running."""
        task = asyncio.create_task(act)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Waits for what is under way."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Forgets a task, and looks at its error so that one nobody waits for any more is not complained about."""
        self._running.discard(task)
        if not task.cancelled():
            task.exception()
