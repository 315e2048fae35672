"""Finding things on a simulated disk: from a path to the folder, the entry or the file, with the kernel's refusals."""

from __future__ import annotations

import errno
import os
from typing import Final

from syncline.model.entries import Kind
from syncline.model.limits import NAME_MAX_BYTES
from syncline.ports.clock import Clock
from syncline.testing.sim.inodes import Entry, Inode
from syncline.testing.sim.profile import KEYS, SPELLINGS, DiskProfile

TOP_INODE: Final = 2
_STILL_NS: Final = 1_000_000
"""A clock that stood still, or went back by less than this, has each change still leave a time of its own where ticks are that
fine."""


BIRTH_TICK_NS: Final = 10_000_000


def refusal(number: int, path: str, other: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path, None, other)


class Lookup:
    """The spellings and the time of one disk, and the way down its folders from `top`."""

    def __init__(self, clock: Clock, profile: DiskProfile, device: int) -> None:
        self.profile = profile
        self._clock = clock
        self._key = KEYS[profile.names]
        self._spelling = SPELLINGS[profile.names]
        self._plain = profile.names == "sensitive"
        self._last_ns = 0
        self.offline: set[Inode] = set()
        self.top = Inode(device, TOP_INODE, Kind.DIR, self.now_ns())

    def now_ns(self) -> int:
        now, tick = self._clock.now_us() * 1000, self.profile.tick_ns
        if tick > 1:
            return now // tick * tick
        if self._last_ns - _STILL_NS < now <= self._last_ns:
            now = self._last_ns + 1
        self._last_ns = now
        return now

    def birth_ns(self) -> int:
        """What a file made now remembers of it: no file system that remembers births does so by ticks of seconds."""
        finest = min(self.profile.tick_ns, BIRTH_TICK_NS)
        return self._clock.now_us() * 1000 // finest * finest

    def folder(self, root: Inode, path: str, *, loops: int = errno.ENOTDIR) -> Inode:
        """A folder below `root`. `loops` is what a symbolic link in its path answers."""
        at = root
        for name in path.split("/") if path else ():
            entry = self._look(at, name, path)
            if entry is None:
                raise refusal(errno.ENOENT, path)
            at = entry.inode
            if at.kind is not Kind.DIR:
                raise refusal(loops if at.kind is None else errno.ENOTDIR, path)
        return at

    def place(self, root: Inode, path: str, *, loops: int = errno.ENOTDIR) -> tuple[Inode, str]:
        """The folder that holds `path`, and the last name."""
        above, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise refusal(errno.EINVAL, path)
        return (self.folder(root, above, loops=loops) if above else root), name

    def entry(self, root: Inode, path: str, *, loops: int = errno.ENOTDIR) -> Entry:
        folder, name = self.place(root, path, loops=loops)
        entry = self._look(folder, name, path)
        if entry is None:
            raise refusal(errno.ENOENT, path)
        return entry

    def file(self, root: Inode, path: str) -> Entry:
        """A regular file, refused as opening it would be."""
        if not path:
            raise refusal(errno.EISDIR, path)
        entry = self.entry(root, path, loops=errno.ELOOP)
        if entry.inode.kind is not Kind.FILE:
            raise refusal(errno.EISDIR if entry.inode.kind is Kind.DIR else errno.ELOOP, path)
        return entry

    def is_offline(self, inode: Inode) -> bool:
        """Whether it lies on a disk that was pulled out."""
        return bool(self.offline) and inode in self.offline

    def find(self, folder: Inode, name: str) -> Entry | None:
        return folder.entries.get(name if self._plain else self._key(name))

    def _look(self, folder: Inode, name: str, path: str) -> Entry | None:
        if len(name) * 4 > NAME_MAX_BYTES and len(os.fsencode(name)) > NAME_MAX_BYTES:
            raise refusal(errno.ENAMETOOLONG, path)
        if name in ("", ".", ".."):
            raise refusal(errno.EXDEV, path)
        return folder.entries.get(name if self._plain else self._key(name))
