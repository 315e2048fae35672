"""The tasks that run beside the control loop: transfer pipelines, long poll, watcher. They leave notes and wake it, no more.

Each is supervised: a fault is told, what was under way is planned anew, and the task begins again after a rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

import structlog

from syncline.ports.watcher import Hints, Watcher

log = structlog.get_logger(__name__)

FAULT_REST_S: Final = 5.0
HINTS_MAX: Final = 10_000


class Crew:
    """`fault` is told of a fault (part, exception) and of its end (part, None)."""

    def __init__(self, *, wake: Callable[[], None], fault: Callable[[str, Exception | None], None]) -> None:
        self._wake = wake
        self._fault = fault
        self._tasks: list[asyncio.Task[None]] = []
        self.hints: deque[Hints] = deque()
        """What the watcher saw and the loop has not taken yet."""

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervised(name, work)))

    def watch(self, watcher: Watcher) -> None:
        self.start("watcher", partial(self._watch, watcher))

    def collect(self, results: Iterable[asyncio.Queue[Any]], inbox: deque[Any]) -> None:
        """Moves what pipelines bring to the loop's inbox."""
        for queue in results:
            self.start("results", partial(self._collect, queue, inbox))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _supervised(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                log.exception("engine.fault", part=name)
                self._fault(name, fault)
                await asyncio.sleep(FAULT_REST_S)
                self._fault(name, None)
                self._wake()

    async def _watch(self, watcher: Watcher) -> None:
        while True:
            hints = await watcher.next()
            if len(self.hints) >= HINTS_MAX:
                self.hints.clear()
                hints = Hints(seen=[], lost="more changes at once than could be followed")
            self.hints.append(hints)
            self._wake()

    async def _collect(self, results: asyncio.Queue[Any], inbox: deque[Any]) -> None:
        while True:
            inbox.append(await results.get())
            self._wake()
