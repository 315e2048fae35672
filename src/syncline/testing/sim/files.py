"""`ports.local_files.LocalFiles` over a simulated disk, as one run of a process sees it.

Around every call stands a hook, before it takes effect and after. It may raise what a disk answers, let the process die, or act as
the user on the same disk: between any two of the engine's calls anything can happen.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from syncline.model.entries import Kind, Signature
from syncline.ports.local_files import Stat
from syncline.testing.faulty import Crash
from syncline.testing.sim import durable
from syncline.testing.sim.inodes import Handle, Inode
from syncline.testing.sim.lookup import refusal
from syncline.testing.sim.opened import Phase, Shortening, SimFile
from syncline.testing.sim.tree import Tree

Hook = Callable[[str, str, Phase], None]


class SimFiles:
    """A synced root held open by one process. `hook` is called around every operation that succeeds so far (op, path, phase); the
    ops of open files are "read", "write" and "truncate". `short_read` and `short_write` say how much of a count one call moves.
    With `torn_lists` a listing calls the hook before it looks at each entry (op "list_entry"). `room_bytes` is what is left.

    Once its process has died every call is `Crash`, and its open files answer EBADF.
    """

    def __init__(self, tree: Tree, name: str, root: Inode, hook: Hook | None = None) -> None:
        self.hook = hook
        self.short_read: Shortening | None = None
        self.short_write: Shortening | None = None
        self.torn_lists = False
        self.room_bytes = 1 << 40
        self.is_dead = False
        self.tree = tree
        self._name = name
        self._root = root
        self._open: dict[SimFile, None] = {}
        root.handles += 1

    def __repr__(self) -> str:
        return f"SimFiles({self._name!r})"

    def die(self) -> None:
        """The process is gone: its files are closed, its cache stays the kernel's."""
        self.is_dead = True
        for file in self._open:
            self.tree.close(file.handle)
        self._open.clear()
        self.tree.let_go(self._root)

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def root_stat(self) -> Stat:
        self._before("root_stat", "")
        entry = self.tree.find(self.tree.top, self._name)
        if entry is None:
            raise refusal(errno.ENOENT, self._name)
        if entry.inode is not self._root:
            raise FileNotFoundError(errno.ENOENT, "another folder stands where the synced one was", self._name)
        found = self._root.stat("", self.tree.profile.has_exec)
        self._after("root_stat", "")
        return found

    def list_folder(self, path: str) -> list[Stat]:
        self._before("list_folder", path)
        folder = self.tree.folder(self._held(path), path)
        has_exec = self.tree.profile.has_exec
        if self.torn_lists and self.hook is not None:
            found = []
            for entry in list(folder.entries.values()):
                name = entry.name
                self._before("list_entry", f"{path}/{name}" if path else name)
                now = self.tree.find(folder, name)
                if now is not None:
                    found.append(now.inode.stat(now.name, has_exec))
        else:
            found = [entry.inode.stat(entry.name, has_exec) for entry in folder.entries.values()]
        self._after("list_folder", path)
        return found

    def stat(self, path: str) -> Stat:
        self._before("stat", path)
        if path:
            entry = self.tree.entry(self._held(path), path)
            found = entry.inode.stat(path.rpartition("/")[2], self.tree.profile.has_exec)
        else:
            found = self._held(path).stat("", self.tree.profile.has_exec)
        self._after("stat", path)
        return found

    def birth_ns(self, path: str) -> int | None:
        self._before("birth_ns", path)
        inode = self.tree.entry(self._held(path), path).inode
        self._after("birth_ns", path)
        return inode.birth_ns

    def fstat_signature(self, file: BinaryIO) -> Signature:
        sim = _sim(file)
        self._before("fstat_signature", sim.path)
        found = sim.live().inode.signature()
        self._after("fstat_signature", sim.path)
        return found

    def free_bytes(self) -> int:
        self._before("free_bytes", "")
        self._held("")
        self._after("free_bytes", "")
        return self.room_bytes

    # -- files -------------------------------------------------------------------------------------------------------------------

    def open_read(self, path: str) -> BinaryIO:
        return self._opened("open_read", path, False)

    def open_write(self, path: str) -> BinaryIO:
        return self._opened("open_write", path, True)

    def create(self, path: str) -> BinaryIO:
        self._before("create", path)
        root = self._held(path)
        if not path:
            raise refusal(errno.EEXIST, path)
        entry = self.tree.make(root, path, Kind.FILE, cached=True, loops=errno.ELOOP)
        file = self._file(path, self.tree.open(entry, is_writable=True))
        self._after("create", path, file)
        return cast("BinaryIO", file)

    def read_once(self, file: BinaryIO, offset: int, into: memoryview) -> int:
        sim = _sim(file)
        self._before("read_once", sim.path)
        data = sim.live().inode.data[offset : offset + len(into)]
        into[: len(data)] = data
        self._after("read_once", sim.path)
        return len(data)

    def settle(self, file: BinaryIO, offset: int, length: int) -> None:
        sim = _sim(file)
        self._before("settle", sim.path)
        durable.settle(sim.live().inode, offset, length)
        self._after("settle", sim.path)

    def set_attributes(self, file: BinaryIO, *, executable: bool, mtime_us: int) -> None:
        sim = _sim(file)
        self._before("set_attributes", sim.path)
        self.tree.set_attributes(sim.live().entry, executable, mtime_us * 1000, cached=True)
        self._after("set_attributes", sim.path)

    def set_executable(self, path: str, executable: bool) -> None:
        self._before("set_executable", path)
        entry = self.tree.file(self._held(path), path)
        if entry.inode.executable != executable:
            self.tree.set_attributes(entry, executable, None, cached=True)
        self._after("set_executable", path)

    def sync_files(self, files: Sequence[BinaryIO]) -> None:
        path = _sim(files[0]).path if files else ""
        self._before("sync_files", path)
        for file in files:
            durable.make_durable(_sim(file).live().inode)
        self._after("sync_files", path)

    def sync_folders(self, paths: Sequence[str]) -> None:
        first = paths[0] if paths else ""
        self._before("sync_folders", first)
        folders: list[Inode] = []
        for path in paths:
            try:
                folders.append(self.tree.folder(self._held(path), path))
            except (FileNotFoundError, NotADirectoryError):
                continue
        self.tree.durable.sync(folders)
        self._after("sync_folders", first)

    def copy_range(self, source: BinaryIO, target: BinaryIO, length: int) -> int:
        one, other = _sim(source), _sim(target)
        self._before("copy_range", other.path)
        data = bytes(one.live().inode.data[one.position : one.position + length])
        self.tree.write(other.live(writing=True).entry, other.position, data, cached=True)
        one.position += len(data)
        other.position += len(data)
        self._after("copy_range", other.path)
        return len(data)

    # -- names -------------------------------------------------------------------------------------------------------------------

    def rename(self, source: str, target: str) -> None:
        self._before("rename", source)
        self.tree.rename(self._held(source), source, target, cached=True)
        self._after("rename", source)

    def exchange(self, one: str, other: str) -> None:
        self._before("exchange", one)
        self.tree.exchange(self._held(one), one, other, cached=True)
        self._after("exchange", one)

    def make_folder(self, path: str) -> None:
        self._before("make_folder", path)
        self.tree.make(self._held(path), path, Kind.DIR, cached=True)
        self._after("make_folder", path)

    def remove_folder(self, path: str) -> None:
        self._before("remove_folder", path)
        self.tree.remove_folder(self._held(path), path, cached=True)
        self._after("remove_folder", path)

    def remove_file(self, path: str) -> None:
        self._before("remove_file", path)
        self.tree.unlink(self._held(path), path, cached=True)
        self._after("remove_file", path)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _opened(self, op: str, path: str, is_writable: bool) -> BinaryIO:
        self._before(op, path)
        entry = self.tree.file(self._held(path), path)
        file = self._file(path, self.tree.open(entry, is_writable=is_writable))
        self._after(op, path, file)
        return cast("BinaryIO", file)

    def _file(self, path: str, handle: Handle) -> SimFile:
        file = SimFile(self, path, handle)
        self._open[file] = None
        return file

    def _held(self, path: str) -> Inode:
        if self.tree.is_offline(self._root):
            raise refusal(errno.EIO, path)
        return self._root

    def _before(self, op: str, path: str) -> None:
        if self.is_dead:
            raise Crash
        if self.hook is not None:
            self.hook(op, path, "before")
            if self.is_dead:
                raise Crash

    def _after(self, op: str, path: str, opened: SimFile | None = None) -> None:
        """`opened` is closed again when the call fails after all."""
        if self.hook is None:
            return
        try:
            self.hook(op, path, "after")
        except OSError:
            if opened is not None:
                opened.close()
            raise
        if self.is_dead:
            raise Crash

    def around(self, op: str, path: str, phase: Phase) -> None:
        """The hook, for an open file's own calls: those of a dead process answer as a closed descriptor does."""
        if self.hook is not None and not self.is_dead:
            self.hook(op, path, phase)

    def closed(self, file: SimFile) -> None:
        self._open.pop(file, None)
        self.tree.close(file.handle)

    @property
    def opened(self) -> int:
        """How many files are open: a leak shows."""
        return len(self._open)


def _sim(file: BinaryIO) -> SimFile:
    assert isinstance(file, SimFile)
    return file
