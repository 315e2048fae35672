"""A user's hands on a folder that an engine works on too: every act is one step, and what it displaced is known to the byte."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from syncline.adapters.disk import linux
from tests.sim.model import Act


class User:
    """Acts below `root`. `aside` is a folder outside it on the same file system. An act that cannot be done, since the path is not
    there or is in the way, is not done: None."""

    def __init__(self, name: str, root: Path, aside: Path) -> None:
        self.name = name
        self._root = root
        self._aside = aside
        self._serial = 0
        aside.mkdir(exist_ok=True)

    def write(self, path: str, size: int) -> Act | None:
        """A file of new content, put in place whole, as editors do."""
        target, fresh = self._root / path, self._fresh()
        head = f"{self.name}{self._serial} {path} ".encode()
        data = head + os.urandom(max(0, size - len(head)))
        made = self._make_above(path)
        if made is None or target.is_dir():
            return None
        fresh.write_bytes(data)
        try:
            if not _rename(fresh, target, linux.RENAME_NOREPLACE) and not _rename(fresh, target, linux.RENAME_EXCHANGE):
                return None
        except OSError:
            return None
        displaced = _contents(fresh) if fresh.exists() else frozenset[str]()
        if fresh.is_dir():
            # A folder stood there by then, and is put back.
            _rename(fresh, target, linux.RENAME_EXCHANGE)
            return None
        content = hashlib.sha256(data).hexdigest()
        return Act(self.name, "write", path, content=content, made=made, touched=displaced, displaced=displaced)

    def delete(self, path: str) -> Act | None:
        grave = self._fresh()
        if not self._taken(path, grave):
            return None
        gone = _contents(grave)
        return Act(self.name, "delete", path, touched=gone, displaced=gone)

    def move(self, path: str, target: str) -> Act | None:
        if target == path or target.startswith(path + "/") or not os.path.lexists(self._root / path):
            return None
        made = self._make_above(target)
        if made is None:
            return None
        try:
            if not _rename(self._root / path, self._root / target, linux.RENAME_NOREPLACE):
                return Act(self.name, "mkdir", made[0], made=made) if made else None
        except OSError:
            return Act(self.name, "mkdir", made[0], made=made) if made else None
        return Act(self.name, "move", path, target, made=made, touched=_contents(self._root / target))

    def mkdir(self, path: str) -> Act | None:
        made = self._make_above(path + "/.")
        return Act(self.name, "mkdir", path, made=made) if made else None

    def _taken(self, path: str, place: Path) -> bool:
        try:
            return _rename(self._root / path, place, linux.RENAME_NOREPLACE)
        except OSError:
            return False

    def _make_above(self, path: str) -> tuple[str, ...] | None:
        """The folders made, from the top; None where something else is in the way."""
        made: list[str] = []
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            try:
                (self._root / folder).mkdir()
                made.append(folder)
            except FileExistsError:
                if not (self._root / folder).is_dir():
                    return None
            except OSError:
                return None
        return tuple(made)

    def _fresh(self) -> Path:
        self._serial += 1
        return self._aside / str(self._serial)

    def close(self) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)


def _rename(source: Path, target: Path, flags: int) -> bool:
    """False when something stands at the target (or nothing, for an exchange), or nothing at the source."""
    folders = [os.open(path.parent, os.O_PATH | os.O_DIRECTORY) for path in (source, target)]
    try:
        linux.rename_at(folders[0], source.name, folders[1], target.name, flags)
        return True
    except (FileExistsError, FileNotFoundError):
        return False
    finally:
        for folder in folders:
            os.close(folder)


def _contents(path: Path) -> frozenset[str]:
    """The SHA-256 of the file, or of every file below the folder."""
    if path.is_file():
        return frozenset((hashlib.sha256(path.read_bytes()).hexdigest(),))
    found = set()
    for below in path.rglob("*"):
        try:
            if below.is_file():
                found.add(hashlib.sha256(below.read_bytes()).hexdigest())
        except FileNotFoundError:
            continue
    return frozenset(found)
