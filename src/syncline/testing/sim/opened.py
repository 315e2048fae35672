"""A file a simulated process has open."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from typing import Literal, Protocol, Self

from syncline.content.digest import Buffer
from syncline.testing.sim.inodes import Handle
from syncline.testing.sim.lookup import refusal
from syncline.testing.sim.tree import Tree

Phase = Literal["before", "after"]
Shortening = Callable[[int], int]


class Process(Protocol):
    """Whoever opened it."""

    tree: Tree
    is_dead: bool
    short_read: Shortening | None
    short_write: Shortening | None

    def around(self, op: str, path: str, phase: Phase) -> None: ...

    def closed(self, file: SimFile) -> None: ...


class SimFile:
    """An open file, unbuffered: a read or a write may move less than it was asked to."""

    __slots__ = ("_process", "handle", "path", "position")

    def __init__(self, process: Process, path: str, handle: Handle) -> None:
        self._process = process
        self.path = path
        self.handle = handle
        self.position = 0

    def live(self, *, writing: bool = False) -> Handle:
        """What is open, if it is. Raises `ValueError` once closed, EBADF or EIO when the machine or the disk went away."""
        handle, tree = self.handle, self._process.tree
        if handle.closed and not self._process.is_dead:
            raise ValueError("I/O operation on closed file")
        if self._process.is_dead or handle.boot != tree.boot:
            raise refusal(errno.EBADF, self.path)
        if tree.is_offline(handle.inode):
            raise refusal(errno.EIO, self.path)
        if writing and not handle.is_writable:
            raise io.UnsupportedOperation("File not open for writing")
        return handle

    def read(self, size: int = -1) -> bytes:
        return bytes(self._take(size))

    def readinto(self, into: bytearray | memoryview) -> int:
        view = memoryview(into).cast("B")
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Buffer) -> int:
        process = self._process
        process.around("write", self.path, "before")
        handle = self.live(writing=True)
        view = memoryview(data).cast("B")
        if process.short_write is not None and len(view) > 1:
            view = view[: max(1, min(len(view), process.short_write(len(view))))]
        process.tree.write(handle.entry, self.position, view, cached=True)
        self.position += len(view)
        process.around("write", self.path, "after")
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        process = self._process
        process.around("truncate", self.path, "before")
        size = self.position if size is None else size
        process.tree.truncate(self.live(writing=True).entry, size, cached=True)
        process.around("truncate", self.path, "after")
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        handle = self.live()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: len(handle.inode.data)}[whence]
        if base + offset < 0:
            raise refusal(errno.EINVAL, self.path)
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        self.live()
        return self.position

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self._process.closed(self)

    @property
    def closed(self) -> bool:
        return self.handle.closed

    @property
    def mode(self) -> str:
        return "rb+" if self.handle.is_writable else "rb"

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self.handle.is_writable

    def seekable(self) -> bool:
        return True

    def __enter__(self) -> Self:
        self.live()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, size: int) -> bytearray:
        process = self._process
        process.around("read", self.path, "before")
        inode = self.live().inode
        size = len(inode.data) - self.position if size < 0 else size
        if process.short_read is not None and size > 1:
            size = max(1, min(size, process.short_read(size)))
        data = inode.data[self.position : self.position + max(size, 0)]
        self.position += len(data)
        process.around("read", self.path, "after")
        return data
