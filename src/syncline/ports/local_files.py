"""A synced root on this machine's disk, one system call a method, so that faults can be injected between any two.

Paths are relative to the root ("" is the root itself), names joined with "/". No method ever follows a symbolic link, in any
component; none leaves the root. Errors: `FileNotFoundError`, `FileExistsError`, `NotADirectoryError`, `IsADirectoryError` and
`OSError(ENOTEMPTY)` are answers the rules act on and pass through as they are; `PermissionError` and other `OSError`s pass
through too (the caller turns them into `DiskFull`, `Unreadable`, `LocalIo` with the path). Methods block: call them in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Protocol

from msgspec import Struct

from syncline.model.entries import Kind, Signature


class Stat(Struct, frozen=True, gc=False):
    """`kind` None is something that is never synced: a symbolic link, device, socket or pipe."""

    name: str
    kind: Kind | None
    signature: Signature
    links: int
    executable: bool | None


class LocalFiles(Protocol):
    def root_stat(self) -> Stat:
        """The root folder as it is at its path now. Raises `FileNotFoundError` when it is gone."""
        ...

    def list_folder(self, path: str) -> list[Stat]:
        """Every entry of a folder (bytes that are no UTF-8 come as surrogate escapes). Complete, or raises."""
        ...

    def stat(self, path: str) -> Stat: ...

    def birth_ns(self, path: str) -> int | None:
        """When the file was made, by its file system, which no rename and no write changes: what tells it from an earlier one whose
        inode number it was given. None where the file system remembers no such time."""
        ...

    def open_read(self, path: str) -> BinaryIO:
        """Unbuffered; `fstat_signature(file)` tells what was opened."""
        ...

    def fstat_signature(self, file: BinaryIO) -> Signature: ...

    def create(self, path: str) -> BinaryIO:
        """A new file, mode 0600, for writing and reading back; raises `FileExistsError`."""
        ...

    def open_write(self, path: str) -> BinaryIO:
        """A file of Syncline's own that exists already, for writing and reading back; what it holds stays."""
        ...

    def read_once(self, file: BinaryIO, offset: int, into: memoryview) -> int:
        """Reads from `offset`, as much as `into` takes and the file has; the count. For bytes nobody will want again soon: what had
        to be brought into memory for this leaves it again, what was there stays."""
        ...

    def settle(self, file: BinaryIO, offset: int, length: int) -> None:
        """These bytes, just written, are durable when this returns, and leave memory. A long file written in such pieces goes
        through the same few pages again and again: fresh ones cost several times as much to fill as old ones, and thousands of
        them, unwritten, would make the sync at the end long."""
        ...

    def set_attributes(self, file: BinaryIO, *, executable: bool, mtime_us: int) -> None:
        """The mode (0644 or 0755 under the umask) and mtime of a file just written."""
        ...

    def free_bytes(self) -> int:
        """Room left on the root's disk for this user."""
        ...

    def set_executable(self, path: str, executable: bool) -> None: ...

    def sync_files(self, files: Sequence[BinaryIO]) -> None:
        """The data of all of them is durable when this returns; a batch costs little more than one."""
        ...

    def sync_folders(self, paths: Sequence[str]) -> None:
        """The entries of these folders are durable when this returns; a folder that is gone has none, and is passed over."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Never replaces: raises `FileExistsError`."""
        ...

    def exchange(self, one: str, other: str) -> None:
        """Swaps two files atomically; `OSError(EINVAL)` on a file system that cannot."""
        ...

    def make_folder(self, path: str) -> None:
        """Raises `FileExistsError`. Under the umask; `.syncline` and what is below it is the owner's alone (0700)."""
        ...

    def remove_folder(self, path: str) -> None:
        """Empty folders only."""
        ...

    def remove_file(self, path: str) -> None:
        """For Syncline's own temporary files; user files are moved to the trash instead."""
        ...

    def copy_range(self, source: BinaryIO, target: BinaryIO, length: int) -> int:
        """Copies up to `length` bytes between the files' positions inside the kernel; the number copied."""
        ...
