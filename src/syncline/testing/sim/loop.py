"""An event loop with virtual time: one thread, one seed, the same run every time.

Nothing waits: when nobody is ready the clock jumps to the next timer. What goes to a thread on a real loop is run here in one
piece, after a delay the schedule draws, so work of several actors interleaves as it would on several machines. Callbacks that are
ready run in the order in which they became so, as asyncio promises.

Every callback belongs to the actor in whose context it was made. A dead actor's callbacks are dropped unrun: that is what a killed
process does, and no `finally` of its tasks gets to tidy up.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio.base_events import BaseEventLoop
from asyncio.events import Handle, TimerHandle
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from random import Random
from select import select
from typing import Any, Final, TypeVar

from syncline.testing.faulty import Crash

THREAD_DELAY_S: Final = 0.004
"""At most so long before work handed to a thread is done."""
T = TypeVar("T")


class Actor:
    """A process of the simulated world: alive until it is killed. `on_crash` is told when one of its own calls kills it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.held: list[Handle] | None = None
        """While frozen: what would have run."""
        self.on_crash: Callable[[], None] = self.kill
        self.context: Context = copy_context()
        self.context.run(_ACTOR.set, self)

    def kill(self) -> None:
        self.alive = False

    def freeze(self) -> None:
        """SIGSTOP: it does nothing until thawed, while the world goes on."""
        if self.held is None:
            self.held = []


_ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current_actor() -> Actor | None:
    """Whose callback runs now; None for the world's own."""
    return _ACTOR.get()


class Stuck(AssertionError):
    """Nobody is ready and no timer is set, or more steps ran than a world may take."""


class SimLoop(BaseEventLoop):
    """`run_until_complete` as ever; `steps` counts callbacks run."""

    def __init__(self, schedule: Random, *, steps_max: int = 150_000) -> None:
        super().__init__()
        self.steps = 0
        self.faults: list[BaseException] = []
        """What escaped from a callback."""
        self._schedule = schedule
        self._steps_max = steps_max
        self._now_s = 0.0
        self._due: list[tuple[float, int, TimerHandle]] = []
        self._number = 0
        self._readers: dict[int, Handle] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        """Every task, held: one that is let go before its end is ended by Python, and the dead would tidy up after all."""

    def time(self) -> float:
        return self._now_s

    def in_actor(self, actor: Actor, work: Callable[..., Any], *args: Any) -> None:
        """Calls `work` soon, in an actor's context."""
        self.call_soon(work, *args, context=actor.context)

    def spawn(self, actor: Actor, coroutine: Any) -> asyncio.Task[Any]:
        """A task that belongs to `actor`."""
        return self.create_task(coroutine, context=actor.context)

    def create_task(self, coro: Any, **given: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **given)
        self._tasks.append(task)
        return task

    def thaw(self, actor: Actor) -> None:
        """SIGCONT: all that came due meanwhile runs at once."""
        held, actor.held = actor.held or [], None
        self._ready.extend(held)  # type: ignore[attr-defined]

    # -- what BaseEventLoop leaves to a concrete loop ------------------------------------------------------------------------------

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> TimerHandle:  # type: ignore[override]
        timer = TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._due, (when, self._number, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> TimerHandle:  # type: ignore[override]
        return self.call_at(self._now_s + max(0.0, delay), callback, *args, context=context)

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """`callback` runs as long as the descriptor has something to read. It is looked at between callbacks, and before time
        moves: what the kernel put there meanwhile is heard at the instant at which it happened."""
        self._readers[fd] = Handle(callback, args, self, None)

    def remove_reader(self, fd: Any) -> bool:
        handle = self._readers.pop(fd, None)
        if handle is not None:
            handle.cancel()
        return handle is not None

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future: asyncio.Future[T] = self.create_future()
        self.call_later(self._schedule.random() * THREAD_DELAY_S, self._complete, future, func, args)
        return future

    def _complete(self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
        """Runs what was handed to a thread. Nobody can call it back, so it runs even if nobody waits for it any more."""
        try:
            result = func(*args)
        except Crash:
            # The process died inside the call: nobody is left to hear of it.
            return
        except BaseException as error:  # noqa: BLE001 - as the executor's threads do: the waiter gets it
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    # -- running -------------------------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        due = self._due
        if self._readers:
            self._hear()
        if not ready:
            while due and due[0][2].cancelled():
                heapq.heappop(due)
            if not due:
                raise Stuck("nobody is ready and nothing is due")
            self._now_s = max(self._now_s, due[0][0])
        while due and due[0][0] <= self._now_s:
            timer = heapq.heappop(due)[2]
            if not timer.cancelled():
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            actor = handle._context.get(_ACTOR)
            if actor is not None:
                if not actor.alive:
                    continue
                if actor.held is not None:
                    actor.held.append(handle)
                    continue
            self.steps += 1
            handle._run()
            if self._stopping:  # type: ignore[attr-defined]
                break
        if self.steps > self._steps_max:
            raise Stuck(f"{self.steps} steps and no end")

    def _hear(self) -> None:
        awake = []
        for fd, handle in self._readers.items():
            actor: Actor | None = handle._context.get(_ACTOR)  # type: ignore[attr-defined]
            if actor is None or (actor.alive and actor.held is None):
                awake.append(fd)
        for fd in select(awake, (), (), 0)[0]:
            self._ready.append(self._readers[fd])  # type: ignore[attr-defined]

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Errors nobody came for are those of the dead, whose futures outlive them."""
        error = context.get("exception")
        told = str(context.get("message", ""))
        if isinstance(error, BaseException) and not isinstance(error, Crash) and "never retrieved" not in told:
            self.faults.append(error)
