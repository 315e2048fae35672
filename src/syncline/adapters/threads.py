"""A few threads that do blocking work for an event loop: one queue, one hop there and one back.

`asyncio.to_thread` pays for two futures, two locks and a context at every call; work of fifty microseconds, of which a server
does thousands a second, should not cost twice that to hand over. Work is done in the order it was asked for; what was asked for
by someone who went away before it began is left out, what has begun goes on to its end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Threads:
    """`count` threads named after `name`; they end with `close`, or with the process."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work()` gives or raises, in one of the threads."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return await future

    def close(self) -> None:
        """Lets the threads finish what was asked for, and waits for them. Nothing may be asked for after it."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            if not future.cancelled():
                result, error = None, None
                try:
                    result = work()
                except BaseException as raised:  # noqa: BLE001 - the supervisor: whoever asked is told
                    error = raised
                # A loop that has ended meanwhile has nobody left to tell.
                with suppress(RuntimeError):
                    future.get_loop().call_soon_threadsafe(_tell, future, result, error)
            # Waiting for the next, a thread must not keep the last one's memory.
            del job, work, future
            result = error = None


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        # A future cannot carry it: it would end the generator that awaits.
        future.set_exception(RuntimeError(repr(error)))
    else:
        future.set_exception(error)
