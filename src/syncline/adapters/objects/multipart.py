"""Objects that come in parts, on a local disk: they are never put together, so completing one costs no more for being large.

While it comes, an object is a folder in `parts/`, one file for each part, named by its number and its ETag (the SHA-256 of its
bytes). Completing writes the list of its parts into that folder and renames it to the object's place; from then on the folder is
the object and is read as one. A crash leaves either the parts or the object. Everything here blocks: it is for the store's threads.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.errors import Conflict, Corrupt, NotFound
from syncline.model.ids import Digest, is_digest
from syncline.model.limits import UPLOAD_PARTS_MAX
from syncline.ports.object_store import StoredPart

LIST_NAME: Final = "list"
_LIST_DRAFT: Final = "list.new"
_NUMBER_CHARS: Final = len(str(UPLOAD_PARTS_MAX))


class Layout(Struct, frozen=True):
    """The files that make an object, in order, and where in the object each of them ends."""

    paths: tuple[Path, ...]
    ends: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.ends[-1]

    def slices(self, start: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """The bytes `[start, end)` of the object as slices of its files."""
        index = bisect_right(self.ends, start)
        while start < end and index < len(self.ends):
            begins = self.ends[index - 1] if index else 0
            upto = min(end, self.ends[index])
            yield self.paths[index], start - begins, upto - begins
            start, index = upto, index + 1


def layout_of(path: Path) -> Layout:
    """Of the object at `path`, be it a file or a folder of parts. Raises `FileNotFoundError`, `Corrupt`."""
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        return Layout((path,), (found.st_size,))
    parts = _listed(path)
    return Layout(tuple(path / _name(part.number, part.etag) for part in parts), tuple(accumulate(part.size for part in parts)))


def remove_object(path: Path, aside: Path) -> None:
    """Removes what is at `path`, if anything: it is gone at once, a folder's files a moment later."""
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    remove_tree(aside)


def remove_tree(path: Path) -> None:
    """A file, or a folder of files."""
    if path.is_dir():
        for entry in path.iterdir():
            entry.unlink(missing_ok=True)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


class PartFolders:
    """The objects that are still to be completed. `placing` is the lock under which the store's places change hands."""

    def __init__(self, root: Path, placing: threading.Lock) -> None:
        self._root = root
        self._placing = placing

    def create(self, key: str) -> None:
        self._root.mkdir(mode=0o700, exist_ok=True)
        (self._root / key).mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._root)

    def check_open(self, key: str) -> None:
        """Raises `NotFound` unless parts of this object are taken."""
        if not (self._root / key).is_dir():
            raise _no_upload()

    def place(self, key: str, number: int, draft: Path, etag: str) -> None:
        """A synced draft becomes the part, durably, instead of an earlier one of that number. Raises `NotFound`."""
        folder = self._root / key
        with self._placing:
            try:
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                raise _no_upload() from None
            name, mine = _name(number, etag), _name(number, "")
            draft.rename(folder / name)
            # The folder may hold thousands, and this is done for each of them: no more than this is asked of a name.
            for other in os.listdir(folder):
                if other.startswith(mine) and other != name:
                    (folder / other).unlink(missing_ok=True)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def parts(self, key: str, after: int, limit: int) -> list[StoredPart]:
        """Raises `NotFound`."""
        try:
            names = sorted(name for name in _names(self._root / key) if name[0] > after)[:limit]
            return [_part(self._root / key, *name) for name in names]
        except FileNotFoundError:
            raise _no_upload() from None

    def complete(
        self, key: str, parts: Sequence[StoredPart], target: Path, rename: Callable[[Path, Path], None]
    ) -> tuple[str, bool]:
        """The object's ETag, and whether it came to be by this very call. Raises `Conflict`, `NotFound`."""
        folder = self._root / key
        with self._placing:
            if not folder.is_dir():
                if not target.is_dir():
                    raise _no_upload()
                return object_etag(_listed(target)), False
            there = set(_names(folder))
            numbers = [part.number for part in parts]
            if not parts or numbers != sorted(set(numbers)):
                raise Conflict(reason="the parts are not named once each, in order")
            for part in parts:
                name = (part.number, part.etag)
                if name not in there or _part(folder, *name).size != part.size:
                    raise Conflict(reason=f"part {part.number} is not there as listed")
                there.discard(name)
            for left in there:
                (folder / _name(*left)).unlink(missing_ok=True)
            _write_list(folder, parts)
            made = not target.parent.exists()
            target.parent.mkdir(mode=0o700, exist_ok=True)
            rename(folder, target)
        sync_folder(target.parent)
        sync_folder(self._root)
        if made:
            sync_folder(target.parent.parent)
        return object_etag(parts), True

    def abort(self, key: str, aside: Path) -> None:
        with self._placing:
            try:
                (self._root / key).rename(aside)
            except FileNotFoundError:
                return
        remove_tree(aside)


def object_etag(parts: Sequence[StoredPart]) -> str:
    """One mark over the marks of the parts, and their number, as S3's multipart ETags are made."""
    return f"{hashlib.sha256(''.join(part.etag for part in parts).encode()).hexdigest()}-{len(parts)}"


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _names(folder: Path) -> Iterator[tuple[int, str]]:
    """Number and ETag of every part there."""
    for name in os.listdir(folder):
        number, _, etag = name.partition("-")
        if number.isdigit() and is_digest(etag):
            yield int(number), etag


def _part(folder: Path, number: int, etag: str) -> StoredPart:
    return StoredPart(number, etag, (folder / _name(number, etag)).stat().st_size, Digest(etag))


def _name(number: int, etag: str) -> str:
    return f"{number:0{_NUMBER_CHARS}}-{etag}"


def _write_list(folder: Path, parts: Sequence[StoredPart]) -> None:
    draft = folder / _LIST_DRAFT
    with open(draft, "wb", opener=lambda path, flags: os.open(path, flags | os.O_CLOEXEC, 0o600)) as file:
        file.write(msgspec.json.encode(parts))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / LIST_NAME)
    sync_folder(folder)


def _listed(folder: Path) -> list[StoredPart]:
    try:
        return msgspec.json.decode((folder / LIST_NAME).read_bytes(), type=list[StoredPart])
    except msgspec.MsgspecError as error:
        raise Corrupt(what="An object", reason="the list of its parts cannot be read") from error


def _no_upload() -> NotFound:
    return NotFound(what="This upload (it was completed or given up)")
