"""`ports.local_files.LocalFiles` over a real folder with everything that the simulated disk lets a test do between two calls.

The contract of the hook, and what a dead process may still do, are those of `testing.sim.files.SimFiles`; the file system is the
kernel's. What the world's clock says of its files comes from `FileTimes`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar, cast

from syncline.adapters.disk.files import LinuxFiles
from syncline.content.digest import Buffer
from syncline.model.entries import Signature
from syncline.ports.local_files import Stat
from syncline.testing.faulty import Crash
from syncline.testing.sim.files import Hook
from syncline.testing.sim.filetimes import FileTimes
from syncline.testing.sim.profile import DiskProfile

T = TypeVar("T")


class UnsyncedFiles(LinuxFiles):
    """Nobody takes the power away from a real folder, so nothing waits for its disk: what is synced is opened and let be."""

    def _sync_each(self, fds: Sequence[int]) -> None:
        for fd in fds:
            os.fstat(fd)


class HookedFiles:
    """One process that holds the folder `root` open. Its files close when it dies."""

    def __init__(self, root: Path, times: FileTimes, profile: DiskProfile, hook: Hook | None = None) -> None:
        self.hook = hook
        self.is_dead = False
        self._files = UnsyncedFiles(root, umask=0o022)
        self._times = times
        self._profile = profile
        self._open: dict[HookedFile, None] = {}

    def __repr__(self) -> str:
        return f"HookedFiles({str(self._files.root)!r})"

    def die(self) -> None:
        self.is_dead = True
        with self._times.change():
            for file in self._open:
                file.file.close()
        self._open.clear()
        self._files.close()

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def root_stat(self) -> Stat:
        return self._stat(self._around("root_stat", "", self._files.root_stat))

    def list_folder(self, path: str) -> list[Stat]:
        return [self._stat(stat) for stat in self._around("list_folder", path, lambda: self._files.list_folder(path))]

    def stat(self, path: str) -> Stat:
        return self._stat(self._around("stat", path, lambda: self._files.stat(path)))

    def birth_ns(self, path: str) -> int | None:
        return self._around("birth_ns", path, lambda: self._files.birth_ns(path))

    def fstat_signature(self, file: BinaryIO) -> Signature:
        hooked = _hooked(file)
        found = self._around("fstat_signature", hooked.path, lambda: self._files.fstat_signature(file))
        return self._signature(found)

    def free_bytes(self) -> int:
        return self._around("free_bytes", "", self._files.free_bytes)

    # -- files -------------------------------------------------------------------------------------------------------------------

    def open_read(self, path: str) -> BinaryIO:
        return self._opened("open_read", path, lambda: self._files.open_read(path))

    def open_write(self, path: str) -> BinaryIO:
        return self._opened("open_write", path, lambda: self._files.open_write(path))

    def create(self, path: str) -> BinaryIO:
        return self._opened("create", path, lambda: self._changing(lambda: self._files.create(path)))

    def read_once(self, file: BinaryIO, offset: int, into: memoryview) -> int:
        return self._around("read_once", _hooked(file).path, lambda: self._files.read_once(file, offset, into))

    def settle(self, file: BinaryIO, offset: int, length: int) -> None:
        """Nobody takes the power away."""
        self._around("settle", _hooked(file).path, lambda: None)

    def set_attributes(self, file: BinaryIO, *, executable: bool, mtime_us: int) -> None:
        self._change(
            "set_attributes",
            _hooked(file).path,
            lambda: self._files.set_attributes(file, executable=executable, mtime_us=mtime_us),
        )

    def set_executable(self, path: str, executable: bool) -> None:
        self._change("set_executable", path, lambda: self._files.set_executable(path, executable))

    def sync_files(self, files: Sequence[BinaryIO]) -> None:
        # The numbers are asked for inside: a file that the hook closed has none.
        first = _hooked(files[0]).path if files else ""
        self._around("sync_files", first, lambda: self._files.sync_files(files))

    def sync_folders(self, paths: Sequence[str]) -> None:
        self._around("sync_folders", paths[0] if paths else "", lambda: self._files.sync_folders(paths))

    def copy_range(self, source: BinaryIO, target: BinaryIO, length: int) -> int:
        return self._change("copy_range", _hooked(target).path, lambda: self._files.copy_range(source, target, length))

    # -- names -------------------------------------------------------------------------------------------------------------------

    def rename(self, source: str, target: str) -> None:
        self._change("rename", source, lambda: self._files.rename(source, target))

    def exchange(self, one: str, other: str) -> None:
        self._change("exchange", one, lambda: self._exchange(one, other))

    def make_folder(self, path: str) -> None:
        self._change("make_folder", path, lambda: self._files.make_folder(path))

    def remove_folder(self, path: str) -> None:
        self._change("remove_folder", path, lambda: self._files.remove_folder(path))

    def remove_file(self, path: str) -> None:
        self._change("remove_file", path, lambda: self._files.remove_file(path))

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _exchange(self, one: str, other: str) -> None:
        if not self._profile.exchange:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), one)
        self._files.exchange(one, other)

    def _around(self, op: str, path: str, call: Callable[[], T]) -> T:
        self._asked(op, path, "before")
        answer = call()
        self._asked(op, path, "after")
        return answer

    def _asked(self, op: str, path: str, phase: Any) -> None:
        if self.is_dead:
            raise Crash
        if self.hook is not None:
            self.hook(op, path, phase)
            if self.is_dead:
                raise Crash

    def _change(self, op: str, path: str, call: Callable[[], T]) -> T:
        return self._around(op, path, lambda: self._changing(call))

    def _changing(self, call: Callable[[], T]) -> T:
        with self._times.change():
            return call()

    def _opened(self, op: str, path: str, call: Callable[[], BinaryIO]) -> BinaryIO:
        self._asked(op, path, "before")
        file = HookedFile(self, path, call())
        self._open[file] = None
        try:
            self._asked(op, path, "after")
        except OSError:
            file.close()
            raise
        return cast("BinaryIO", file)

    def _stat(self, stat: Stat) -> Stat:
        return Stat(stat.name, stat.kind, self._signature(stat.signature), stat.links, stat.executable)

    def _signature(self, seen: Signature) -> Signature:
        of = self._times.of
        return Signature(seen.device, seen.inode, seen.size, of(seen.mtime_ns), of(seen.ctime_ns))

    def around(self, op: str, path: str, call: Callable[[], T]) -> T:
        """A call of an open file. The files of a dead process answer as closed descriptors do."""
        if self.hook is not None and not self.is_dead:
            self.hook(op, path, "before")
        if self.is_dead:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), path)
        answer = self._changing(call) if op in ("write", "truncate") else call()
        if self.hook is not None:
            self.hook(op, path, "after")
        return answer

    def closed(self, file: HookedFile) -> None:
        self._open.pop(file, None)


class HookedFile:
    """An open file whose reads and writes go by the hook."""

    def __init__(self, process: HookedFiles, path: str, file: BinaryIO) -> None:
        self._process = process
        self.path = path
        self.file = file

    def fileno(self) -> int:
        return self.file.fileno()

    def read(self, size: int = -1) -> bytes:
        return self._process.around("read", self.path, lambda: self.file.read(size))

    def readinto(self, into: bytearray | memoryview) -> int:
        return self._process.around("read", self.path, lambda: cast("FileIO", self.file).readinto(into))

    def write(self, data: Buffer) -> int:
        return self._process.around("write", self.path, lambda: self.file.write(data))

    def truncate(self, size: int | None = None) -> int:
        return self._process.around("truncate", self.path, lambda: self.file.truncate(size))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self._process.closed(self)
        self.file.close()

    @property
    def closed(self) -> bool:
        return self.file.closed

    @property
    def mode(self) -> str:
        return self.file.mode

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self.file.writable()

    def seekable(self) -> bool:
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hooked(file: BinaryIO) -> HookedFile:
    assert isinstance(file, HookedFile)
    return file
