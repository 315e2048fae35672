"""What a person and the programs they use do to a synced folder, over any file system.

Every method raises what the system answers (`OSError`) and then has done nothing, or, for one of several steps, the steps before.
Paths are relative to the synced root.
"""

from __future__ import annotations

from typing import Protocol

from syncline.model.entries import Kind

Seen = tuple[Kind | None, bytes | None, bool | None]
"""What lies at a path: its kind (None for a symbolic link), a file's bytes, and its executable bit where the disk has one."""


class Writer(Protocol):
    """A program that has a file open and goes on writing to it, whatever becomes of its name."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class UserDisk(Protocol):
    def write(self, path: str, data: bytes) -> None:
        """In place: emptied and written anew, or made."""
        ...

    def save(self, path: str, data: bytes) -> None:
        """As most editors do: a new file beside it is renamed over the old one."""
        ...

    def save_backup(self, path: str, data: bytes) -> None:
        """As some editors do: the old file becomes `path~`, a new one is written, the backup deleted."""
        ...

    def append(self, path: str, data: bytes) -> None:
        """To a file that exists."""
        ...

    def poke(self, path: str, data: bytes) -> None:
        """Changes the first bytes through a memory map: the time of change is set, no watcher hears of it."""
        ...

    def open_writer(self, path: str) -> Writer:
        """A file that exists, opened for writing at its end."""
        ...

    def mkdir(self, path: str) -> None: ...

    def symlink(self, path: str, target: str) -> None: ...

    def link(self, old: str, new: str) -> None:
        """A hard link."""
        ...

    def delete(self, path: str) -> None:
        """With everything in it."""
        ...

    def move(self, old: str, new: str) -> None:
        """Raises `FileExistsError` rather than replace anything."""
        ...

    def chmod(self, path: str, executable: bool) -> None: ...

    def touch(self, path: str, time_ns: int | None = None) -> None:
        """Sets the modification time, to now by default."""
        ...

    def read(self, path: str) -> bytes | None:
        """None where no file is."""
        ...

    def tree(self) -> dict[str, Seen]:
        """Everything but Syncline's own folder; names as the disk has them."""
        ...

    def everything(self) -> dict[str, Seen]:
        """Syncline's own folder too."""
        ...
