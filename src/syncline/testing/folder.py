"""`testing.sim.user.UserDisk` over a real folder."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import stat
from pathlib import Path

from syncline.model.entries import Kind
from syncline.model.paths import STATE_FOLDER, join, parent_of
from syncline.testing.sim.hands import SAVING
from syncline.testing.sim.user import Seen


class FolderUser:
    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes) -> None:
        fd = os.open(self._root / path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        with open(fd, "wb") as file:
            file.write(data)

    def save(self, path: str, data: bytes) -> None:
        target = self._root / path
        mode = self._mode(path)
        temporary = join(parent_of(path), SAVING)
        self.write(temporary, data)
        if mode is not None:
            (self._root / temporary).chmod(mode)
        (self._root / temporary).replace(target)

    def save_backup(self, path: str, data: bytes) -> None:
        target = self._root / path
        mode = self._mode(path)
        backup = target.with_name(target.name + "~")
        target.replace(backup)
        self.write(path, data)
        if mode is not None:
            target.chmod(mode)
        backup.unlink()

    def append(self, path: str, data: bytes) -> None:
        writer = self.open_writer(path)
        writer.write(data)
        writer.close()

    def poke(self, path: str, data: bytes) -> None:
        with open(self._root / path, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[: len(data)] = data
            view.flush()

    def open_writer(self, path: str) -> FolderWriter:
        return FolderWriter(os.open(self._root / path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW))

    def mkdir(self, path: str) -> None:
        (self._root / path).mkdir()

    def symlink(self, path: str, target: str) -> None:
        (self._root / path).symlink_to(target)

    def link(self, old: str, new: str) -> None:
        (self._root / new).hardlink_to(self._root / old)

    def delete(self, path: str) -> None:
        target = self._root / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()

    def move(self, old: str, new: str) -> None:
        source, target = self._root / old, self._root / new
        source.lstat()
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), old, None, new)
        source.rename(target)

    def chmod(self, path: str, executable: bool) -> None:
        (self._root / path).chmod(0o755 if executable else 0o644)

    def touch(self, path: str, time_ns: int | None = None) -> None:
        if time_ns is None:
            os.utime(self._root / path)
        else:
            os.utime(self._root / path, ns=(time_ns, time_ns))

    def read(self, path: str) -> bytes | None:
        target = self._root / path
        return target.read_bytes() if target.is_file() and not target.is_symlink() else None

    def tree(self) -> dict[str, Seen]:
        return {path: seen for path, seen in self.everything().items() if path.split("/")[0] != STATE_FOLDER}

    def everything(self) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        for at, folders, names in os.walk(self._root):
            for name in (*folders, *names):
                path = Path(at) / name
                mode = path.lstat().st_mode
                seen: Seen = (None, None, None)
                if stat.S_ISDIR(mode):
                    seen = (Kind.DIR, None, None)
                elif stat.S_ISREG(mode):
                    seen = (Kind.FILE, path.read_bytes(), bool(mode & 0o100))
                found[str(path.relative_to(self._root))] = seen
        return found

    def _mode(self, path: str) -> int | None:
        """The mode of the file to save over, None where nothing is. Raises `IsADirectoryError`, `OSError(ELOOP)` for a link."""
        try:
            mode = (self._root / path).lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ELOOP
            raise OSError(code, os.strerror(code), path)
        return stat.S_IMODE(mode)


class FolderWriter:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)
