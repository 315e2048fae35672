"""One event loop in one daemon thread, for programs that have none: calls wait for their answers, iterators go step by step.

Laws: whoever waits is told `Closed` when it closes; a wait that is interrupted ends what it waited for; every thread may call,
except the loop's own. Closed or not, nothing here keeps the interpreter from ending: it waits, as ever, for the program's own
threads that are no daemons, and for none of ours.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Coroutine, Generator
from concurrent.futures import CancelledError, Future
from concurrent.futures import thread as pools
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

from syncline.model.errors import Closed, InvalidRequest

CLOSE_S: Final = 10.0
"""How long closing may take before it is left to itself."""
_EXIT_S: Final = 2.0

T = TypeVar("T")
_OPEN: WeakSet[LoopThread] = WeakSet()


class _End:
    """What a step answers when there are no more."""


class LoopThread:
    """`last` is awaited on the loop when all calls have ended."""

    def __init__(self, last: Callable[[], Awaitable[None]]) -> None:
        self._last = last
        # Whoever holds this may be asked by the garbage collector to finish an iterator of the same loop.
        self._lock = threading.RLock()
        self._closed = False
        self._exiting = False
        self._calls: set[asyncio.Task[Any]] = set()
        self._iterators: set[AsyncGenerator[Any, None]] = set()
        self._users: WeakSet[threading.Thread] = WeakSet()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="syncline", daemon=True)
        self._thread.start()
        _OPEN.add(self)

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work()` answers or raises. Raises `Closed`."""
        if threading.current_thread() is self._thread:
            raise InvalidRequest(message="A progress or token callback cannot call the client that called it.")
        future = self._begin(work)
        try:
            return future.result()
        except CancelledError:
            if self._exiting and threading.current_thread().daemon:
                # A daemon that waits when the interpreter ends is stopped where it is: there is nobody to tell.
                threading.Event().wait()
            raise Closed from None
        finally:
            # Of no effect on what is done; an interrupted wait must not leave its work behind.
            future.cancel()

    def iterate(self, work: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """What `work()` yields. For one thread at a time."""
        if self._closed:
            raise Closed
        return self._steps(work())

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Ends all calls and the loop; returns when that is done, or after `wait_s`. Again: only waits."""
        with self._lock:
            if not self._closed:
                self._closed = True
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        if threading.current_thread() is not self._thread and wait_s > 0:
            self._thread.join(wait_s)

    def exit(self) -> None:
        """The main thread has ended: closes when the program's other threads that use this have ended too. Those of pools end only
        after us, so they are not waited for."""
        of_pools: Container[threading.Thread] = getattr(pools, "_threads_queues", self._users)
        for thread in list(self._users):
            if not thread.daemon and thread is not threading.current_thread() and thread not in of_pools:
                thread.join()
        self._exiting = True
        self.close(_EXIT_S)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _begin(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        async def call() -> T:
            task = asyncio.current_task()
            assert task is not None
            self._calls.add(task)
            try:
                return await work()
            finally:
                self._calls.discard(task)

        with self._lock:
            if self._closed:
                raise Closed
            self._users.add(threading.current_thread())
            return asyncio.run_coroutine_threadsafe(call(), self._loop)

    def _steps(self, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        turn = asyncio.Lock()

        async def step() -> T | type[_End]:
            async with turn:
                self._iterators.add(items)
                try:
                    return await anext(items)
                except StopAsyncIteration:
                    return _End

        async def finish() -> None:
            async with turn:
                self._iterators.discard(items)
                await items.aclose()

        try:
            while (item := self.run(step)) is not _End:
                yield item  # type: ignore[misc]  # It is no `_End`.
        finally:
            # Not waited for: the garbage collector may be the one that ends it, on any thread.
            with suppress(Closed):
                self._begin(finish)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        try:
            await asyncio.gather(*calls, return_exceptions=True)
            # Here and not by the loop, which would end those that stand in each other all at once.
            await asyncio.gather(*(items.aclose() for items in self._iterators), return_exceptions=True)
            await self._last()
        finally:
            self._loop.stop()


def _at_exit() -> None:
    for thread in list(_OPEN):
        thread.exit()


# The threads of pools are waited for before `atexit` has its turn, and a transfer that hangs would hold them; so ours comes before,
# where this Python has that hook. Hooks run in the reverse of their order, and that of pools stands since `pools` was imported.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
