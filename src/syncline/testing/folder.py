"""`testing.sim.user.UserDisk` over a real folder."""

from __future__ import annotations

import mmap
import os
import shutil
import stat
from pathlib import Path

from syncline.model.entries import Kind
from syncline.model.paths import STATE_FOLDER
from syncline.testing.sim.user import Seen


class FolderUser:
    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes) -> None:
        (self._root / path).write_bytes(data)

    def save(self, path: str, data: bytes) -> None:
        target = self._root / path
        temporary = target.with_name(".saving~")
        temporary.write_bytes(data)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)

    def save_backup(self, path: str, data: bytes) -> None:
        target = self._root / path
        backup = target.with_name(target.name + "~")
        target.replace(backup)
        target.write_bytes(data)
        shutil.copymode(backup, target)
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
        return FolderWriter(os.open(self._root / path, os.O_WRONLY | os.O_APPEND))

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
        target = self._root / new
        if os.path.lexists(target):
            raise FileExistsError(new)
        (self._root / old).rename(target)

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


class FolderWriter:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)
