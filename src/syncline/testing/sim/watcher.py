"""`ports.watcher.Watcher` on a simulated disk, with inotify's manners and, if wished, its worst ones.

The kernel's side is here: watches follow inodes and not names, events queue in order and overflow. What a batch of events says is
put together by the code of the real adapter.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from msgspec import Struct

from syncline.adapters.disk import linux
from syncline.adapters.disk.inotify import EVERYWHERE, MASK, OVERFLOWED, WATCHES_USED_UP, gather, hint_of
from syncline.adapters.disk.watched import Watched
from syncline.model.paths import STATE_FOLDER
from syncline.ports.watcher import Hints
from syncline.testing.sim.disk import ROOT, SimDisk
from syncline.testing.sim.inodes import Inode

QUEUE_MAX: Final = 16_384
_ALWAYS: Final = linux.IN_UNMOUNT | linux.IN_Q_OVERFLOW | linux.IN_IGNORED
_NAMED: Final = linux.IN_CREATE | linux.IN_DELETE | linux.IN_MOVED_FROM | linux.IN_MOVED_TO | linux.IN_CLOSE_WRITE | linux.IN_MODIFY
_NOT_THERE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV))

Event = tuple[int, int, str]
"""A watch's number, what happened, and the name; number -1 for the queue itself."""


class WatcherFaults(Struct, frozen=True):
    """How likely each misfortune is for one event.

    `delay`: it and what follows stay in the queue, until a later event is not held, or `deliver` is called, or, when a loop runs,
    as many seconds went by as `delay_s` allows. `split`: a batch ends with it, so that the halves of a move come apart. `swap`: the
    halves of a move come in the other order. `duplicate`: it comes again in a later batch, when its path may be gone. `coalesce`:
    only its folder is told.
    """

    delay: float = 0.0
    delay_s: tuple[float, float] = (0.01, 5.0)
    split: float = 0.0
    swap: float = 0.0
    duplicate: float = 0.0
    coalesce: float = 0.0
    queue_max: int = QUEUE_MAX
    watches_max: int | None = None


class SimWatcher:
    """Watches folders below a root. `refuse` may give the number of the error with which watching a folder fails. While `is_deaf`,
    as on a network share, nothing is told and nothing is said to be lost."""

    def __init__(self, disk: SimDisk, root: str = ROOT, *, faults: WatcherFaults | None = None, rng: Random | None = None) -> None:
        self.faults = faults or WatcherFaults()
        self.refuse: Callable[[str], int | None] | None = None
        self.is_deaf = False
        self._tree = disk.tree
        self._rng = rng or disk.rng
        self._root = disk.tree.folder(disk.tree.top, root)
        self._root.handles += 1
        self._boot = disk.tree.boot
        self._watched = Watched()
        self._inodes: dict[int, Inode] = {}
        self._number = 0
        self._queue: deque[Event | None] = deque()
        self._ready = 0
        self._has_overflowed = False
        self._lost: str | None = None
        self._refused: dict[str, int] = {}
        self._unseen: dict[str, str] = {}
        """Folders that are not watched though they should be, and why."""
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False

    # -- the port ----------------------------------------------------------------------------------------------------------------

    def watch(self, folder: str) -> None:
        if self._is_closed or folder == STATE_FOLDER or folder.startswith(STATE_FOLDER + "/"):
            return
        try:
            number = self._watch(folder)
        except OSError as error:
            self._refuse(folder, error.errno or 0)
            return
        self._refused.pop(folder, None)
        self._unseen.pop(folder, None)
        if self._watched.path_of(number) is None:
            self._refused.pop(EVERYWHERE, None)
        for old in self._watched.put(folder, number):
            self._unwatch(old)

    def unwatch(self, folder: str) -> None:
        self._forget_refusals(folder)
        for number in self._watched.drop(folder):
            self._unwatch(number)

    def moved(self, old: str, new: str) -> None:
        self._forget_refusals(old)
        for number in self._watched.move(old, new):
            self._unwatch(number)

    async def next(self) -> Hints:
        while True:
            hints = self.take()
            if hints is not None:
                return hints
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def is_unread(self) -> bool:
        return self._lost is not None or any(event is not None for event in self._queue)

    def deaf(self) -> str | None:
        if not self._unseen:
            return None
        folder, reason = next(iter(self._unseen.items()))
        more = f" and {len(self._unseen) - 1:,} more" if len(self._unseen) > 1 else ""
        return f"{folder or 'the folder'}{more} cannot be watched: {reason}"

    def _forget_refusals(self, folder: str) -> None:
        for path in [path for path in self._unseen if path == folder or path.startswith(folder + "/")]:
            del self._unseen[path]
            self._refused.pop(path, None)

    def close(self) -> None:
        """Gives everything back; a `next` that waits is cancelled."""
        if not self._is_closed and self._boot == self._tree.boot:
            self._tree.let_go(self._root)
        self._is_closed = True
        for number in list(self._inodes):
            self._unwatch(number)
        if self._waiter is not None:
            self._waiter.cancel()

    # -- the test's side ---------------------------------------------------------------------------------------------------------

    def take(self) -> Hints | None:
        """What `next` would give without waiting."""
        while True:
            seen: dict[tuple[str, str], int] = {}
            had = self._ready > 0
            for number, mask, name in self._batch():
                self._read(number, mask, name, seen)
            lost, self._lost = self._lost, None
            if seen or lost is not None:
                return Hints(seen=[hint_of(folder, name, mask) for (folder, name), mask in seen.items()], lost=lost)
            if not had:
                return None

    def deliver(self) -> None:
        """All that was held back may be taken."""
        self._ready = len(self._queue)
        self._wake()

    def lose(self, reason: str = OVERFLOWED) -> None:
        """What is queued is gone, and that is told."""
        self._queue.clear()
        self._ready = 0
        self._has_overflowed = False
        self._lost = reason
        self._wake()

    @property
    def held(self) -> int:
        """Events queued that no batch may hold yet."""
        return len(self._queue) - self._ready

    def paths(self) -> list[str]:
        """What is watched, by the names it is known under."""
        return sorted(path for number in self._inodes if (path := self._watched.path_of(number)) is not None)

    # -- the kernel's side -------------------------------------------------------------------------------------------------------

    def event(self, number: int, mask: int, name: str) -> None:
        if mask & linux.IN_IGNORED:
            self._inodes.pop(number, None)
        if self._is_closed or self.is_deaf or not mask & (MASK | _ALWAYS):
            return
        faults, chance, queue = self.faults, self._rng.random, self._queue
        if len(queue) >= faults.queue_max:
            if not self._has_overflowed:
                self._has_overflowed = True
                queue.append((-1, linux.IN_Q_OVERFLOW, ""))
            self._arrive(False)
            return
        if faults.coalesce and mask & _NAMED and chance() < faults.coalesce:
            mask, name = linux.IN_ATTRIB, ""
        event = (number, mask, name)
        queue.append(event)
        if faults.swap and mask & linux.IN_MOVED_TO and chance() < faults.swap:
            self._swap()
        if faults.duplicate and not mask & _ALWAYS and chance() < faults.duplicate:
            queue.append(None)
            queue.append(event)
        if faults.split and chance() < faults.split:
            queue.append(None)
        self._arrive(bool(faults.delay) and chance() < faults.delay)

    def _arrive(self, is_held: bool) -> None:
        if not is_held:
            self.deliver()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Nobody's time passes here: the test delivers.
            return
        loop.call_later(self._rng.uniform(*self.faults.delay_s), self.deliver)

    def _swap(self) -> None:
        """The last event and the one before it, if that one left a place and is not taken yet."""
        queue = self._queue
        at = len(queue) - 2
        while at >= self._ready and queue[at] is None:
            at -= 1
        before = queue[at] if at >= self._ready else None
        if before is not None and before[1] & linux.IN_MOVED_FROM:
            queue[at], queue[-1] = queue[-1], before

    def _batch(self) -> list[Event]:
        """The next events up to a border; of equal ones the last."""
        found: dict[Event, None] = {}
        while self._ready:
            event = self._queue.popleft()
            self._ready -= 1
            if event is None:
                if found:
                    break
                continue
            found.pop(event, None)
            found[event] = None
        if not self._queue:
            self._has_overflowed = False
        return list(found)

    def _read(self, number: int, mask: int, name: str, seen: dict[tuple[str, str], int]) -> None:
        if mask & linux.IN_Q_OVERFLOW:
            self._lost = OVERFLOWED
            return
        folder = self._watched.path_of(number)
        if mask & linux.IN_IGNORED:
            self._watched.ignored(number)
            return
        if folder is None or (name == STATE_FOLDER and not folder):
            return
        gather(seen, folder, name, mask)

    def _watch(self, folder: str) -> int:
        inode = self._tree.folder(self._root, folder, loops=errno.ELOOP)
        code = self.refuse(folder) if self.refuse is not None else None
        if self._tree.is_offline(inode):
            code = errno.EIO
        limit = self.faults.watches_max
        known = inode.watchers.get(self)
        if known is None and code is None and limit is not None and len(self._inodes) >= limit:
            code = errno.ENOSPC
        if code is not None:
            raise OSError(code, os.strerror(code), folder)
        if known is not None:
            return known
        self._number += 1
        inode.watchers[self] = self._number
        self._inodes[self._number] = inode
        return self._number

    def _unwatch(self, number: int) -> None:
        inode = self._inodes.pop(number, None)
        if inode is not None:
            inode.watchers.pop(self, None)

    def _refuse(self, folder: str, code: int) -> None:
        """Tells that a folder is not watched, unless that was told before."""
        if code in _NOT_THERE:
            self._unseen.pop(folder, None)
            return
        self._unseen[folder] = os.strerror(code)
        full = code == errno.ENOSPC
        place = EVERYWHERE if full else folder
        if self._refused.get(place) == code:
            return
        self._refused[place] = code
        self._lost = WATCHES_USED_UP if full else f"{folder or 'the folder'} cannot be watched: {os.strerror(code)}"
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
