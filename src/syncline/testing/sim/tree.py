"""The file system itself: what every process of the simulated machine sees, one atomic call a method, with the kernel's answers.

Each change says whether it stays in the cache (`cached`, the engine's) or is durable at once (the user's, with all it needs),
stamps the times Linux stamps, and tells whoever watches. Errors are `OSError`s with the kernel's numbers.
"""

from __future__ import annotations

import errno
from random import Random
from typing import Final

from syncline.adapters.disk import linux
from syncline.model.entries import Kind
from syncline.ports.clock import Clock
from syncline.testing.sim import durable
from syncline.testing.sim.durable import Change, Durable, Edit
from syncline.testing.sim.inodes import Entry, Handle, Inode
from syncline.testing.sim.lookup import Lookup, refusal
from syncline.testing.sim.profile import DiskProfile

FIRST_INODE: Final = 1000


class Tree(Lookup):
    def __init__(self, clock: Clock, profile: DiskProfile, device: int) -> None:
        super().__init__(clock, profile, device)
        self.boot = 0
        self.durable = Durable(self.top)
        self._next_number = FIRST_INODE
        self._freed: list[int] = []

    # -- names -------------------------------------------------------------------------------------------------------------------

    def make(self, root: Inode, path: str, kind: Kind | None, *, cached: bool, loops: int = errno.ENOTDIR) -> Entry:
        """A new file, folder or link. Raises `FileExistsError`."""
        folder, name = self.place(root, path, loops=loops)
        if self._look(folder, name, path) is not None:
            raise refusal(errno.EEXIST, path)
        if "\0" in name:
            raise ValueError("a path holds a NUL")
        now_ns = self.now_ns()
        inode = Inode(folder.device, self._number(), kind, now_ns, self.birth_ns())
        entry = self._put(folder, Entry(folder, self._spelling(name), inode))
        if kind is Kind.DIR:
            folder.links += 1
        else:
            inode.links = 1
        self._changed(folder, now_ns)
        self._record(((folder, self._key(name), None, (entry.name, inode)),), cached)
        self._tell(folder, linux.IN_CREATE, entry.name)
        return entry

    def link(self, root: Inode, old: str, new: str) -> None:
        """A second name for a file."""
        inode = self.entry(root, old).inode
        folder, name = self.place(root, new)
        if self._look(folder, name, new) is not None:
            raise refusal(errno.EEXIST, new)
        if inode.kind is not Kind.FILE:
            raise refusal(errno.EPERM, old, new)
        entry = self._put(folder, Entry(folder, self._spelling(name), inode))
        now_ns = self.now_ns()
        inode.links += 1
        self._stamp(inode, now_ns)
        self._changed(folder, now_ns)
        self._record(((folder, self._key(name), None, (entry.name, inode)),), False)
        self._tell(folder, linux.IN_CREATE, entry.name)

    def unlink(self, root: Inode, path: str, *, cached: bool) -> None:
        entry = self.entry(root, path)
        if entry.inode.kind is Kind.DIR:
            raise refusal(errno.EISDIR, path)
        self._drop(entry, cached)

    def remove_folder(self, root: Inode, path: str, *, cached: bool) -> None:
        entry = self.entry(root, path)
        if entry.inode.kind is not Kind.DIR:
            raise refusal(errno.ENOTDIR, path)
        if entry.inode.entries:
            raise refusal(errno.ENOTEMPTY, path)
        self._drop(entry, cached)

    def rename(self, root: Inode, source: str, target: str, *, cached: bool, replace: bool = False, recase: bool = False) -> None:
        """Never replaces, unless `replace` says so (a file by a file). `recase` lets a name's spelling change on a disk that finds
        it under both."""
        one, one_name = self.place(root, source)
        other, other_name = self.place(root, target)
        entry = self._look(one, one_name, source)
        there = self._look(other, other_name, target)
        if entry is None:
            raise refusal(errno.ENOENT, source, target)
        inode = entry.inode
        if there is entry and recase and entry.name != self._spelling(other_name):
            there = None
        if there is not None and (not replace or Kind.DIR in (there.inode.kind, inode.kind)):
            raise refusal(errno.EEXIST, source, target)
        if "\0" in other_name:
            raise ValueError("a path holds a NUL")
        above = self._way_up(other, inode, source, target)
        if there is not None and there.inode is inode:
            return
        now_ns = self.now_ns()
        old_key, new_key, old_name = self._key(entry.name), self._key(other_name), entry.name
        new_name = self._spelling(other_name)
        edits: tuple[Edit, ...]
        if there is entry or (one is other and old_key == new_key):
            edits = ((one, old_key, (old_name, inode), (new_name, inode)),)
        else:
            gone = None if there is None else (there.name, there.inode)
            edits = ((one, old_key, (old_name, inode), None), (other, new_key, gone, (new_name, inode)))
        del one.entries[old_key]
        if there is not None:
            del other.entries[new_key]
        entry.folder, entry.name = other, new_name
        self._put(other, entry)
        self._shift(inode, one, other)
        self._changed(one, now_ns)
        self._changed(other, now_ns)
        self._stamp(inode, now_ns)
        self._record(edits, cached, above)
        if there is not None:
            self._unnamed(there, now_ns)
        self._tell_move(one, old_name, other, new_name, inode)

    def exchange(self, root: Inode, one: str, other: str, *, cached: bool) -> None:
        a_folder, a_name = self.place(root, one)
        b_folder, b_name = self.place(root, other)
        a, b = self._look(a_folder, a_name, one), self._look(b_folder, b_name, other)
        if not self.profile.exchange:
            raise refusal(errno.EINVAL, one, other)
        if a is None or b is None:
            raise refusal(errno.ENOENT, one, other)
        above = (*self._way_up(b_folder, a.inode, one, other), *self._way_up(a_folder, b.inode, one, other))
        if a.inode is b.inode:
            return
        now_ns = self.now_ns()
        a_key, b_key = self._key(a.name), self._key(b.name)
        a_link, b_link = (a.name, a.inode), (b.name, b.inode)
        a_new, b_new = (a.name, b.inode), (b.name, a.inode)
        # The names stay, what they stand for changes places; an open file goes with its inode.
        a.folder, b.folder, a.name, b.name = b_folder, a_folder, b.name, a.name
        a_folder.entries[a_key], b_folder.entries[b_key] = b, a
        self._shift(a.inode, a_folder, b_folder)
        self._shift(b.inode, b_folder, a_folder)
        for inode in (a.inode, b.inode):
            self._stamp(inode, now_ns)
        for folder in (a_folder, b_folder):
            self._changed(folder, now_ns)
        self._record(((a_folder, a_key, a_link, a_new), (b_folder, b_key, b_link, b_new)), cached, above)
        self._tell_move(a_folder, a_link[0], b_folder, b_link[0], a.inode)
        self._tell_move(b_folder, b_link[0], a_folder, a_link[0], b.inode)

    # -- files -------------------------------------------------------------------------------------------------------------------

    def open(self, entry: Entry, *, is_writable: bool) -> Handle:
        entry.inode.handles += 1
        entry.holders += 1
        return Handle(entry, self.boot, is_writable)

    def close(self, handle: Handle) -> None:
        if handle.closed:
            return
        handle.closed = True
        if handle.boot == self.boot:
            if handle.is_writable:
                self._tell_file(handle.entry, linux.IN_CLOSE_WRITE)
            self.let_go(handle.inode)
            handle.entry.holders -= 1
            if handle.entry.pinned is not None and not handle.entry.holders:
                self._unpin(handle.entry)

    def let_go(self, inode: Inode) -> None:
        """One holder less."""
        inode.handles -= 1
        if inode.links or inode.kind is not Kind.DIR:
            self._free(inode)
        else:
            self._gone_unless_held(inode)

    def write(self, entry: Entry, offset: int, data: bytes | memoryview, *, cached: bool, silent: bool = False) -> None:
        """Changes bytes; beyond the end, zeros fill the gap. `silent` tells no watcher, as a mapped file's page does not."""
        if not len(data):
            return
        inode = entry.inode
        self._about_to_write(entry, cached)
        if offset > len(inode.data):
            inode.data += bytes(offset - len(inode.data))
        inode.data[offset : offset + len(data)] = data
        self._changed(inode, self.now_ns())
        if not silent:
            self._tell_file(entry, linux.IN_MODIFY)

    def truncate(self, entry: Entry, size: int, *, cached: bool) -> None:
        inode = entry.inode
        self._about_to_write(entry, cached)
        if size < len(inode.data):
            del inode.data[size:]
        else:
            inode.data += bytes(size - len(inode.data))
        self._changed(inode, self.now_ns())
        self._tell_file(entry, linux.IN_MODIFY)

    def set_attributes(self, entry: Entry, executable: bool | None, mtime_ns: int | None, *, cached: bool) -> None:
        inode = entry.inode
        if cached:
            durable.attributes_about_to_change(inode)
        else:
            self._keep(entry)
        if executable is not None and self.profile.has_exec:
            inode.executable = executable
        if mtime_ns is not None:
            inode.mtime_ns = mtime_ns // self.profile.tick_ns * self.profile.tick_ns
        self._stamp(inode, self.now_ns())
        self._tell_file(entry, linux.IN_ATTRIB)
        for listener, number in list(inode.watchers.items()):
            listener.event(number, linux.IN_ATTRIB, "")

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _about_to_write(self, entry: Entry, cached: bool) -> None:
        if cached:
            durable.about_to_change(entry.inode)
            durable.attributes_about_to_change(entry.inode)
        else:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        """What the user does to a file is durable, so the file is, under its name."""
        if entry.inode.safe is not None or entry.inode.safe_attributes is not None:
            durable.make_durable(entry.inode)
        if entry.folder is not None and len(self.durable):
            self.durable.keep(entry.folder, self._key(entry.name))

    def _record(self, edits: tuple[Edit, ...], cached: bool, above: tuple[Inode, ...] = ()) -> None:
        change = Change(edits, above)
        if cached:
            self.durable.later(change)
        else:
            self.durable.at_once(change)

    def _put(self, folder: Inode, entry: Entry) -> Entry:
        folder.entries[self._key(entry.name)] = entry
        if entry.inode.kind is Kind.DIR:
            entry.inode.entry = entry
        return entry

    def _drop(self, entry: Entry, cached: bool) -> None:
        folder = entry.folder
        assert folder is not None
        key = self._key(entry.name)
        del folder.entries[key]
        now_ns = self.now_ns()
        if entry.inode.kind is Kind.DIR:
            folder.links -= 1
        self._changed(folder, now_ns)
        self._record(((folder, key, (entry.name, entry.inode), None),), cached)
        self._unnamed(entry, now_ns)
        self._tell(folder, linux.IN_DELETE, entry.name)

    def _unnamed(self, entry: Entry, now_ns: int) -> None:
        """The entry stands for nothing any more."""
        inode = entry.inode
        assert entry.folder is not None
        if entry.holders or inode.pins:
            entry.pinned = entry.folder
            entry.folder.pins += 1
        entry.folder = None
        inode.links = 0 if inode.kind is Kind.DIR else inode.links - 1
        self._stamp(inode, now_ns)
        self._gone_unless_held(inode)

    def _gone_unless_held(self, inode: Inode) -> None:
        """A folder is gone for those who watch it once nobody holds it or what was in it."""
        if inode.pins or (inode.handles and inode.kind is Kind.DIR):
            return
        watchers, inode.watchers = inode.watchers, {}
        for listener, number in watchers.items():
            listener.event(number, linux.IN_DELETE_SELF, "")
            listener.event(number, linux.IN_IGNORED, "")
        self._free(inode)

    def _unpin(self, entry: Entry) -> None:
        """The last one who had something deleted open lets go of it: the folders that went meanwhile are gone now."""
        folder, entry.pinned = entry.pinned, None
        if folder is not None:
            folder.pins -= 1
            if not folder.pins and not folder.links:
                self._gone_unless_held(folder)
                if folder.entry is not None:
                    self._unpin(folder.entry)

    def _way_up(self, folder: Inode, inode: Inode, source: str, target: str) -> tuple[Inode, ...]:
        """The folders above where a folder is to go: it may not be one of them. Nothing for a file, which decides nothing."""
        if inode.kind is not Kind.DIR:
            return ()
        above: list[Inode] = []
        at: Inode | None = folder
        while at is not None:
            if at is inode:
                raise refusal(errno.EINVAL, source, target)
            above.append(at)
            at = at.entry.folder if at.entry is not None else None
        return tuple(above)

    def _shift(self, inode: Inode, one: Inode, other: Inode) -> None:
        if inode.kind is Kind.DIR and one is not other:
            one.links -= 1
            other.links += 1

    def _number(self) -> int:
        if self._freed:
            return self._freed.pop()
        self._next_number += 1
        return self._next_number

    def _free(self, inode: Inode) -> None:
        if self.profile.reuse_inodes and not inode.links and not inode.handles and not inode.pins and inode.number >= FIRST_INODE:
            self._freed.append(inode.number)

    def _changed(self, inode: Inode, now_ns: int) -> None:
        inode.mtime_ns = inode.ctime_ns = now_ns
        inode.seen = None

    def _stamp(self, inode: Inode, now_ns: int) -> None:
        inode.ctime_ns = now_ns
        inode.seen = None

    def _tell(self, folder: Inode, mask: int, name: str) -> None:
        if folder.watchers:
            for listener, number in list(folder.watchers.items()):
                listener.event(number, mask, name)

    def _tell_file(self, entry: Entry, mask: int) -> None:
        if entry.folder is not None and entry.folder.watchers:
            self._tell(entry.folder, mask, entry.name)

    def _tell_move(self, one: Inode, old: str, other: Inode, new: str, inode: Inode) -> None:
        self._tell(one, linux.IN_MOVED_FROM, old)
        self._tell(other, linux.IN_MOVED_TO, new)
        if inode.watchers:
            for listener, number in list(inode.watchers.items()):
                listener.event(number, linux.IN_MOVE_SELF, "")

    # -- misfortune --------------------------------------------------------------------------------------------------------------

    def power_loss(self, rng: Random) -> None:
        """What is durable is all there is; every open file and every watch is gone."""
        self.boot += 1
        self.durable.lose(rng)
        links: dict[Inode, int] = {}
        for inode in durable.kept_below(self.top):
            links[inode] = links.get(inode, 0) + 1
        for inode, count in ((self.top, 0), *links.items()):
            inode.handles = inode.pins = 0
            inode.watchers = {}
            inode.seen = None
            if inode.kind is Kind.DIR:
                inode.links = 2 + sum(below.kind is Kind.DIR for _, below in inode.kept.values())
                inode.entries.clear()
                for name, below in inode.kept.values():
                    self._put(inode, Entry(inode, name, below))
            else:
                inode.links = count
                durable.lose_data(inode, rng)
        self.offline.clear()
        self._freed.clear()
        if self.profile.reuse_inodes:
            taken = {inode.number for inode in links}
            self._freed = [number for number in range(self._next_number, FIRST_INODE, -1) if number not in taken]
