"""`UserDisk` on a simulated disk: what the user does is durable at once, and every watcher hears of it."""

from __future__ import annotations

import errno
from typing import Final

from syncline.model.entries import Kind
from syncline.model.paths import STATE_FOLDER, join, parent_of
from syncline.testing.sim.inodes import Handle, Inode
from syncline.testing.sim.lookup import refusal
from syncline.testing.sim.tree import Tree
from syncline.testing.sim.user import Seen, Writer

SAVING: Final = ".saving~"
"""The name under which an editor writes before it renames; there for no longer than the save takes."""


class SimUser:
    """The user of the folder `root` of the disk's top ("" is the top itself), whichever folder has that name now."""

    def __init__(self, tree: Tree, root: str) -> None:
        self._tree = tree
        self._name = root

    def write(self, path: str, data: bytes) -> None:
        handle = self._open(path, make=True)
        try:
            if handle.inode.data:
                self._tree.truncate(handle.entry, 0, cached=False)
            self._tree.write(handle.entry, 0, data, cached=False)
        finally:
            self._tree.close(handle)

    def save(self, path: str, data: bytes) -> None:
        tree, root = self._tree, self._root()
        old = self._editable(path)
        temporary = join(parent_of(path), SAVING)
        self.write(temporary, data)
        if old is not None and old.executable:
            self.chmod(temporary, True)
        tree.rename(root, temporary, path, cached=False, replace=True)

    def save_backup(self, path: str, data: bytes) -> None:
        tree, root = self._tree, self._root()
        old = self._editable(path)
        if old is None:
            raise refusal(errno.ENOENT, path)
        tree.rename(root, path, path + "~", cached=False, replace=True)
        self.write(path, data)
        if old.executable:
            self.chmod(path, True)
        tree.unlink(root, path + "~", cached=False)

    def append(self, path: str, data: bytes) -> None:
        handle = self._open(path)
        try:
            self._tree.write(handle.entry, len(handle.inode.data), data, cached=False)
        finally:
            self._tree.close(handle)

    def poke(self, path: str, data: bytes) -> None:
        entry = self._tree.file(self._root(), path)
        self._tree.write(entry, 0, data[: len(entry.inode.data)], cached=False, silent=True)

    def open_writer(self, path: str) -> Writer:
        return SimWriter(self._tree, self._open(path))

    def mkdir(self, path: str) -> None:
        self._tree.make(self._root(), path, Kind.DIR, cached=False)

    def symlink(self, path: str, target: str) -> None:
        entry = self._tree.make(self._root(), path, None, cached=False)
        entry.inode.data += target.encode()

    def link(self, old: str, new: str) -> None:
        self._tree.link(self._root(), old, new)

    def delete(self, path: str) -> None:
        root = self._root()
        inode = self._tree.entry(root, path).inode
        if inode.kind is not Kind.DIR:
            self._tree.unlink(root, path, cached=False)
            return
        for below in list(inode.entries.values()):
            self.delete(join(path, below.name))
        self._tree.remove_folder(root, path, cached=False)

    def move(self, old: str, new: str) -> None:
        self._tree.rename(self._root(), old, new, cached=False, recase=True)

    def chmod(self, path: str, executable: bool) -> None:
        self._tree.set_attributes(self._tree.file(self._root(), path), executable, None, cached=False)

    def touch(self, path: str, time_ns: int | None = None) -> None:
        entry = self._tree.entry(self._root(), path)
        self._tree.set_attributes(entry, None, self._tree.now_ns() if time_ns is None else time_ns, cached=False)

    def read(self, path: str) -> bytes | None:
        inode = self._file(path)
        return None if inode is None else bytes(inode.data)

    def tree(self) -> dict[str, Seen]:
        return self._walk(STATE_FOLDER)

    def everything(self) -> dict[str, Seen]:
        return self._walk(None)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _root(self) -> Inode:
        return self._tree.folder(self._tree.top, self._name)

    def _file(self, path: str) -> Inode | None:
        try:
            return self._tree.file(self._root(), path).inode
        except OSError:
            return None

    def _editable(self, path: str) -> Inode | None:
        """The file to save over, None where nothing is."""
        try:
            return self._tree.file(self._root(), path).inode
        except FileNotFoundError:
            return None

    def _open(self, path: str, *, make: bool = False) -> Handle:
        try:
            entry = self._tree.file(self._root(), path)
        except FileNotFoundError:
            if not make:
                raise
            entry = self._tree.make(self._root(), path, Kind.FILE, cached=False)
        return self._tree.open(entry, is_writable=True)

    def _walk(self, without: str | None) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        frontier = [("", self._root())]
        has_exec = self._tree.profile.has_exec
        while frontier:
            path, folder = frontier.pop()
            for entry in folder.entries.values():
                inode, name = entry.inode, entry.name
                if not path and name == without:
                    continue
                below = join(path, name)
                if inode.kind is Kind.FILE:
                    found[below] = (Kind.FILE, bytes(inode.data), inode.executable if has_exec else None)
                else:
                    found[below] = (inode.kind, None, None)
                    if inode.kind is Kind.DIR:
                        frontier.append((below, inode))
        return found


class SimWriter:
    """Writes at the end of what it opened. Raises EBADF after the power went."""

    def __init__(self, tree: Tree, handle: Handle) -> None:
        self._tree = tree
        self._handle = handle

    def write(self, data: bytes) -> None:
        handle = self._handle
        if handle.boot != self._tree.boot or handle.closed:
            raise refusal(errno.EBADF, handle.entry.name)
        self._tree.write(handle.entry, len(handle.inode.data), data, cached=False)

    def close(self) -> None:
        self._tree.close(self._handle)
