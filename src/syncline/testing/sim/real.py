"""A machine of the world whose file system, inotify and database are the real ones, in a folder of their own.

Everything runs in the world's one thread, so a call of the kernel is whole before the next begins. What a loss of power leaves of
unsynced writes only a simulated disk can tell: here it is the death of all processes.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from syncline.adapters.disk.inotify import OVERFLOWED, InotifyWatcher
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.model.blocks import Manifest
from syncline.model.ids import Digest
from syncline.ports.clock import Clock
from syncline.ports.tree_store import BlockSource, Changes, Remembered, SpoolRow
from syncline.ports.watcher import Hints
from syncline.testing.folder import FolderUser
from syncline.testing.sim.files import Hook
from syncline.testing.sim.filetimes import FileTimes
from syncline.testing.sim.hooked import HookedFiles
from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.user import Seen, Writer
from syncline.testing.sim.watcher import WatcherFaults


class RealMachine:
    """`home` is made here and becomes the machine's disk. Of `profile` count how finely it tells time and whether it exchanges."""

    def __init__(self, rng: Random, clock: Clock, profile: DiskProfile, home: Path) -> None:
        self._root, self._away = home / "sync", home / "away"
        self._states = home / "states"
        self._states.mkdir(parents=True)
        self._root.mkdir()
        self._profile = profile
        self._times = FileTimes(clock, profile.tick_ns)
        self._processes: list[HookedFiles] = []
        self._watchers: list[RealWatcher] = []
        self._stores: list[RealStore] = []
        self._store_count = 0
        self.user = TimedUser(self._root, self._times)

    def files(self, *, hook: Hook | None = None) -> HookedFiles:
        made = HookedFiles(self._root, self._times, self._profile, hook)
        self._processes.append(made)
        return made

    def watcher(self, faults: WatcherFaults, rng: Random) -> RealWatcher:
        made = RealWatcher(InotifyWatcher(self._root), faults, rng)
        self._watchers.append(made)
        return made

    def new_store(self) -> RealStore:
        return self._store(None)

    def process_death(self) -> None:
        for process in self._processes:
            process.die()
        for watcher in self._watchers:
            watcher.close()
        self._processes.clear()
        self._watchers.clear()
        for store in self._stores:
            store.process_death()

    def power_loss(self) -> None:
        self.process_death()
        self.mount()

    # -- its disk ------------------------------------------------------------------------------------------------------------------

    @property
    def is_unmounted(self) -> bool:
        return self._away.exists()

    def unmount(self, *, empty: bool = False) -> None:
        """The folder is elsewhere: nothing stands in its place, or an `empty` one. Whoever holds it open holds it still."""
        with self._times.change():
            self._root.rename(self._away)
            if empty:
                self._root.mkdir()

    def mount(self) -> None:
        if not self.is_unmounted:
            return
        with self._times.change():
            if self._root.exists():
                shutil.rmtree(self._root)
            self._away.rename(self._root)

    def close(self) -> None:
        self.process_death()
        for store in self._stores:
            store.close()

    # -- inside --------------------------------------------------------------------------------------------------------------------

    def _store(self, source: Path | None) -> RealStore:
        made = RealStore(self._fresh_path, self._store, source)
        self._stores.append(made)
        return made

    def _fresh_path(self) -> Path:
        self._store_count += 1
        return self._states / f"state-{self._store_count}.db"


class UnsyncedStore(SqliteTreeStore):
    """Nobody takes the power away, so nothing waits for the disk."""

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA synchronous=OFF")
        return connection


class RealStore:
    """The database of one device, opened when it is first asked for something. A dead process leaves its file and the log beside it
    as they are: the next one opens copies of both."""

    def __init__(self, fresh: Callable[[], Path], make: Callable[[Path | None], RealStore], source: Path | None) -> None:
        self.around: Callable[[str, Callable[[], None]], None] = lambda site, work: work()
        self.writes = 0
        self._fresh = fresh
        self._make = make
        self._opened: UnsyncedStore | None = None
        self._path = self._copy(source)

    def twin(self) -> RealStore:
        """What a copy of the file and its log holds now."""
        return self._make(self._path)

    def process_death(self) -> None:
        if self._opened is None:
            return
        old, opened, self._opened = self._path, self._opened, None
        self._path = self._copy(old)
        opened.close()
        old.unlink()

    def load(self) -> Remembered:
        return self._store.load()

    def write(self, changes: Changes) -> None:
        self.around("store.write", lambda: self._store.write(changes))
        self.writes += 1

    def manifest(self, content_hash: Digest) -> Manifest | None:
        return self._store.manifest(content_hash)

    def block_sources(self, hashes: Sequence[Digest]) -> dict[Digest, BlockSource]:
        return self._store.block_sources(hashes)

    def spooled(self) -> list[SpoolRow]:
        return self._store.spooled()

    def spool_put(self, rows: Sequence[SpoolRow]) -> None:
        self.around("store.spool_put", lambda: self._store.spool_put(rows))

    def spool_remove(self, file_names: Sequence[str]) -> None:
        self.around("store.spool_remove", lambda: self._store.spool_remove(file_names))

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _store(self) -> UnsyncedStore:
        if self._opened is None:
            self._opened = UnsyncedStore(self._path)
        return self._opened

    def _copy(self, source: Path | None) -> Path:
        path = self._fresh()
        for end in ("", "-wal") if source is not None else ():
            if (file := Path(f"{source}{end}")).exists():
                shutil.copyfile(file, f"{path}{end}")
        return path


class RealWatcher:
    """inotify, and what may befall it: deafness, an overflow, a delay (of `faults` nothing else counts)."""

    def __init__(self, inotify: InotifyWatcher, faults: WatcherFaults, rng: Random) -> None:
        self.is_deaf = False
        self._is_holding = False
        self._inotify = inotify
        self._faults = faults
        self._rng = rng

    def watch(self, folder: str) -> None:
        self._inotify.watch(folder)

    def unwatch(self, folder: str) -> None:
        self._inotify.unwatch(folder)

    def moved(self, old: str, new: str) -> None:
        self._inotify.moved(old, new)

    async def next(self) -> Hints:
        while True:
            hints = await self._inotify.next()
            if self.is_deaf:
                continue
            if self._faults.delay and self._rng.random() < self._faults.delay:
                self._is_holding = True
                await asyncio.sleep(self._rng.uniform(*self._faults.delay_s))
                self._is_holding = False
            return hints

    def is_unread(self) -> bool:
        return not self.is_deaf and (self._is_holding or self._inotify.is_unread())

    def deaf(self) -> str | None:
        return self._inotify.deaf()

    def lose(self) -> None:
        """What is queued is lost, and that is told."""
        inotify = self._inotify
        with inotify._lock:
            inotify._take()
            inotify._lost = OVERFLOWED
            waiter = inotify._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def close(self) -> None:
        self._inotify.close()


class TimedUser:
    """`FolderUser`, whose deeds happen at the world's time."""

    def __init__(self, root: Path, times: FileTimes) -> None:
        self._user = FolderUser(root)
        self._times = times

    def write(self, path: str, data: bytes) -> None:
        with self._times.change():
            self._user.write(path, data)

    def save(self, path: str, data: bytes) -> None:
        with self._times.change():
            self._user.save(path, data)

    def save_backup(self, path: str, data: bytes) -> None:
        with self._times.change():
            self._user.save_backup(path, data)

    def append(self, path: str, data: bytes) -> None:
        with self._times.change():
            self._user.append(path, data)

    def poke(self, path: str, data: bytes) -> None:
        with self._times.change():
            self._user.poke(path, data)

    def open_writer(self, path: str) -> Writer:
        return TimedWriter(self._user.open_writer(path), self._times)

    def mkdir(self, path: str) -> None:
        with self._times.change():
            self._user.mkdir(path)

    def symlink(self, path: str, target: str) -> None:
        with self._times.change():
            self._user.symlink(path, target)

    def link(self, old: str, new: str) -> None:
        with self._times.change():
            self._user.link(old, new)

    def delete(self, path: str) -> None:
        with self._times.change():
            self._user.delete(path)

    def move(self, old: str, new: str) -> None:
        with self._times.change():
            self._user.move(old, new)

    def chmod(self, path: str, executable: bool) -> None:
        with self._times.change():
            self._user.chmod(path, executable)

    def touch(self, path: str, time_ns: int | None = None) -> None:
        with self._times.change():
            self._user.touch(path, time_ns)

    def read(self, path: str) -> bytes | None:
        return self._user.read(path)

    def tree(self) -> dict[str, Seen]:
        return self._user.tree()

    def everything(self) -> dict[str, Seen]:
        return self._user.everything()


class TimedWriter:
    def __init__(self, writer: Writer, times: FileTimes) -> None:
        self._writer = writer
        self._times = times

    def write(self, data: bytes) -> None:
        with self._times.change():
            self._writer.write(data)

    def close(self) -> None:
        with self._times.change():
            self._writer.close()
