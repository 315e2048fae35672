"""`ports.watcher.Watcher` on Linux: a thin binding of inotify that never hides a lost event.

Laws: events are hints, so equal ones of a batch become one, and the two halves of a rename are not paired. A queue that overflowed,
and a folder that could not be watched, are told as `Hints.lost`, each reason once until it changes, since the full scan it causes
will ask for the same watches again. A batch is bounded in bytes, and batches are spaced, so that a program writing without pause
costs one short read per pause and not a processor.
"""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import os
import struct
import sys
import termios
import threading
from pathlib import Path
from typing import Final

from syncline.adapters.disk import linux
from syncline.adapters.disk.watched import Watched
from syncline.model.limits import KIB
from syncline.model.paths import STATE_FOLDER
from syncline.ports.watcher import Hint, Hints

READ_BYTES: Final = 64 * KIB
READS_MAX: Final = 16
"""Reads of one batch: a megabyte, more than the kernel's queue of 16,384 short names."""
PAUSE_S: Final = 0.02
"""Between two batches: the kernel's queue gathers, and merges what is equal."""
EVERYWHERE: Final = "/"
"""Where no more folders can be watched at all: no folder below the root has this name."""
OVERFLOWED: Final = "more changed at once than the kernel could tell"
WATCHES_USED_UP: Final = "the system's limit of watched folders is used up (raise fs.inotify.max_user_watches)"

_NO_MORE: Final = (EVERYWHERE, errno.ENOSPC)
"""Told once for all folders: the kernel watches no more of them."""
_EVENT: Final = struct.Struct("iIII")
_GONE: Final = linux.IN_DELETE_SELF | linux.IN_MOVE_SELF | linux.IN_UNMOUNT
MASK: Final = (
    linux.IN_CREATE
    | linux.IN_DELETE
    | linux.IN_MOVED_FROM
    | linux.IN_MOVED_TO
    | linux.IN_CLOSE_WRITE
    | linux.IN_MODIFY
    | linux.IN_ATTRIB
    | linux.IN_DELETE_SELF
    | linux.IN_MOVE_SELF
    | linux.IN_ONLYDIR
    | linux.IN_EXCL_UNLINK
)
"""No `IN_DONT_FOLLOW`: the folder is opened beneath the root without following links, and reached through its descriptor in /proc,
which is itself a link."""


class InotifyWatcher:
    """Watches folders below `root`. `watch`, `unwatch` and `moved` may be called from any thread, `next` from one event loop."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root.resolve(strict=True), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._watched = Watched()
        self._lost: str | None = None
        self._refused: dict[str, OSError] = {}
        """Folders that are not watched though they should be: what happens in them stays unseen."""
        self._told: set[tuple[str, int]] = set()
        """Refusals that were told, so that the full scan they cause does not cause the next one."""
        self._waiter: asyncio.Future[None] | None = None
        self._next_at_s = 0.0
        self._queue = -1
        try:
            self._queue = linux.inotify_open()
        except OSError as error:
            self._lost = f"the folder cannot be watched: {error.strerror}"
            self._refused[""] = error

    def close(self) -> None:
        """Gives everything back; a `next` that waits is cancelled."""
        with self._lock:
            waiter, self._waiter = self._waiter, None
            for fd in (self._queue, self._root):
                if fd >= 0:
                    if waiter is not None and fd == self._queue:
                        waiter.get_loop().remove_reader(fd)
                    os.close(fd)
            self._queue = self._root = -1
        if waiter is not None:
            waiter.cancel()

    def watch(self, folder: str) -> None:
        if _is_ours(folder):
            return
        with self._lock:
            if self._queue < 0:
                return
            try:
                fd = linux.open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
                try:
                    number = linux.inotify_watch(self._queue, fd, MASK)
                finally:
                    os.close(fd)
            except OSError as error:
                self._refuse(folder, error)
                return
            if (refused := self._refused.pop(folder, None)) is not None:
                self._told.discard((folder, refused.errno or 0))
            if self._watched.path_of(number) is None:
                self._told.discard(_NO_MORE)
            for old in self._watched.put(folder, number):
                linux.inotify_unwatch(self._queue, old)

    def unwatch(self, folder: str) -> None:
        with self._lock:
            self._forget_refusals(folder)
            for number in self._watched.drop(folder):
                linux.inotify_unwatch(self._queue, number)

    def moved(self, old: str, new: str) -> None:
        with self._lock:
            self._forget_refusals(old)
            for number in self._watched.move(old, new):
                linux.inotify_unwatch(self._queue, number)

    def is_unread(self) -> bool:
        with self._lock:
            if self._lost is not None:
                return True
            if self._queue < 0:
                return False
            waiting = array.array("i", [0])
            fcntl.ioctl(self._queue, termios.FIONREAD, waiting)
            return waiting[0] > 0

    def deaf(self) -> str | None:
        with self._lock:
            if not self._refused:
                return None
            folder, error = next(iter(self._refused.items()))
            count = len(self._refused)
        place = f"{folder or 'the folder'}{f' and {count - 1:,} more' if count > 1 else ''}"
        return f"{place} cannot be watched: {_reason(error)}"

    async def next(self) -> Hints:
        """Hints of at most a megabyte of events, each thing once."""
        loop = asyncio.get_running_loop()
        while True:
            rest_s = self._next_at_s - loop.time()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
            with self._lock:
                hints = self._take()
            if hints.seen or hints.lost is not None:
                self._next_at_s = loop.time() + PAUSE_S
                return hints
            await self._readable()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._lost is not None:
                return
            waiter = self._waiter = loop.create_future()
            queue = self._queue
            if queue >= 0:
                loop.add_reader(queue, _wake, waiter)
        try:
            await waiter
        finally:
            with self._lock:
                if self._waiter is waiter:
                    self._waiter = None
                if queue >= 0 and self._queue == queue:
                    loop.remove_reader(queue)

    def _take(self) -> Hints:
        records: dict[bytes, None] = {}
        for _ in range(READS_MAX if self._queue >= 0 else 0):
            try:
                data = os.read(self._queue, READ_BYTES)
            except BlockingIOError:
                break
            _split(data, records)
        seen: dict[tuple[str, str], int] = {}
        paths: dict[int, str | None] = {}
        for record in records:
            self._read(record, seen, paths)
        lost, self._lost = self._lost, None
        return Hints(seen=[hint_of(folder, name, mask) for (folder, name), mask in seen.items()], lost=lost)

    def _read(self, record: bytes, seen: dict[tuple[str, str], int], paths: dict[int, str | None]) -> None:
        number, mask, _, _ = _EVENT.unpack_from(record)
        if mask & linux.IN_Q_OVERFLOW:
            self._lost = OVERFLOWED
            return
        if number not in paths:
            paths[number] = self._watched.path_of(number)
        if mask & linux.IN_IGNORED:
            self._watched.ignored(number)
        folder = paths[number]
        if folder is None or mask & linux.IN_IGNORED:
            return
        name = os.fsdecode(record[_EVENT.size :].rstrip(b"\0"))
        if name == STATE_FOLDER and not folder:
            return
        gather(seen, folder, name, mask)

    def _refuse(self, folder: str, error: OSError) -> None:
        """Remembers that a folder is not watched, and tells it unless that was told before."""
        code = error.errno or 0
        if code in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
            self._refused.pop(folder, None)
            return
        self._refused[folder] = error
        told = _NO_MORE if code == errno.ENOSPC else (folder, code)
        if told in self._told:
            return
        self._told.add(told)
        self._lost = WATCHES_USED_UP if code == errno.ENOSPC else f"{folder or 'the folder'} cannot be watched: {_reason(error)}"
        if self._waiter is not None:
            # Thread-safe: whoever scans may do so beside the loop.
            self._waiter.get_loop().call_soon_threadsafe(_wake, self._waiter)

    def _forget_refusals(self, folder: str) -> None:
        """The folder is not there any more, with all below it; under another name it will be tried again."""
        below = folder + "/"
        for path in [path for path in self._refused if path == folder or path.startswith(below)]:
            self._told.discard((path, self._refused.pop(path).errno or 0))


def _split(data: bytes, records: dict[bytes, None]) -> None:
    """The events of one read. Equal ones, whatever came between, are one: they only say "look there"."""
    at, size = 0, _EVENT.size
    while at + size <= len(data):
        end = at + size + int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
        record = data[at:end]
        # The last of equal ones keeps its place: whether a file was closed or written to last matters.
        records.pop(record, None)
        records[record] = None
        at = end


def gather(seen: dict[tuple[str, str], int], folder: str, name: str, mask: int) -> None:
    """Adds an event to what was seen of its entry. Of being written to and being closed the later one counts."""
    place = (folder, name)
    before = seen.get(place, 0)
    if mask & (linux.IN_CLOSE_WRITE | linux.IN_MODIFY):
        before &= ~(linux.IN_CLOSE_WRITE | linux.IN_MODIFY)
    seen[place] = before | mask


def hint_of(folder: str, name: str, mask: int) -> Hint:
    """What the events of one entry say together."""
    return Hint(
        folder,
        name,
        closed=bool(mask & linux.IN_CLOSE_WRITE),
        written=bool(mask & linux.IN_MODIFY),
        moved_in=bool(mask & linux.IN_MOVED_TO),
        folder_gone=bool(mask & _GONE),
    )


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return WATCHES_USED_UP
    return os.strerror(error.errno) if error.errno else str(error)


def _is_ours(folder: str) -> bool:
    return folder == STATE_FOLDER or folder.startswith(STATE_FOLDER + "/")
