"""The object store on a local disk: `ports.object_store.ObjectStore`, its listing for checkers, and the hands of its door.

Laws: an object appears whole or not at all (own temporary file, fsync, rename, fsync of the folder) and is never replaced; one
that came in parts is a folder of them (`multipart.py`); files are 0600 in folders 0700, fanned out by the first two characters of
their key; keys are checked, so none is ever a path. Every call that touches the disk runs in this store's own threads. Syncing
each object as it ends keeps the disk's backlog small: a few gigabytes of unwritten pages would stall every later fsync for
seconds. Bulk objects pass through the page cache without staying: pages given back at once are there, warm, for the next object,
where a cache that only grows touches fresh memory for every byte.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from syncline.adapters.objects.keys import drawn_key
from syncline.adapters.objects.multipart import Layout, PartFolders, layout_of, remove_object, remove_tree, sync_folder
from syncline.adapters.objects.signing import PART_NUMBER, UrlSigner, answer_parameters, part_headers, put_headers
from syncline.adapters.threads import Threads
from syncline.model.errors import AlreadyExists, ChecksumMismatch, Corrupt, DiskFull, NotFound, SynclineError, Unavailable
from syncline.model.ids import Digest
from syncline.model.limits import MIB
from syncline.ports.clock import Chance
from syncline.ports.object_listing import ListedObject
from syncline.ports.object_store import ObjectStat, StoredPart
from syncline.protocol.blocks import SignedRequest

THREADS: Final = 8
PIECE_BYTES: Final = MIB
BULK_BYTES: Final = 4 * MIB
"""Objects from this size on do not stay in the page cache."""
_KEY: Final = re.compile(r"[0-9a-z]{16,64}")
_WRITEV_MAX: Final = 1024
"""IOV_MAX of every system we run on."""
_SPARE_MAX: Final = 6
_LAYOUTS_MAX: Final = 16
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

Result = TypeVar("Result")
Completed: TypeAlias = Callable[[str], Awaitable[object]]


class Draft:
    """An object on its way in. Its methods block: they are for the store's threads, and wait for each other.

    A cancelled request cannot stop a thread that writes for it, so `close` must wait: a file number closed under a writer could
    be another file's by the time it writes.
    """

    def __init__(self, store: DiskObjects, key: str, path: Path) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._turn = threading.Lock()
        self._open = True
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Appends `pieces` and hashes them on the way."""
        with self._turn:
            self._check_open()
            left = [memoryview(piece) for piece in pieces]
            for piece in left:
                self._sha256.update(piece)
                self._size += len(piece)
            while left:
                written = os.writev(self._file, left[:_WRITEV_MAX])
                while left and written >= len(left[0]):
                    written -= len(left.pop(0))
                if written:
                    left[0] = left[0][written:]

    def commit(self, size: int, sha256: Digest) -> None:
        """Makes it the object. Raises `ChecksumMismatch` for other bytes than these, `AlreadyExists` where there is one."""
        with self._turn:
            self._settle(size, sha256)
            self._store.place(self._key, self._path)

    def commit_part(self, number: int, size: int) -> str:
        """Makes it a part of the object; its ETag. Raises `ChecksumMismatch` for another size, `NotFound` where none is taken."""
        with self._turn:
            etag = Digest(self._sha256.hexdigest())
            self._settle(size, etag)
            self._store.part_folders.place(self._key, number, self._path, etag)
        return etag

    def _settle(self, size: int, sha256: Digest) -> None:
        """Checked, and durable."""
        self._check_open()
        if self._size != size or self._sha256.hexdigest() != sha256:
            raise ChecksumMismatch()
        self.sync()
        if size >= BULK_BYTES:
            uncache(self._file, 0, size)

    def sync(self) -> None:
        """What was written is durable when this returns."""
        os.fsync(self._file)

    def close(self) -> None:
        """Ends it: what was not committed is gone."""
        with self._turn:
            self._open = False
            os.close(self._file)
            self._path.unlink(missing_ok=True)

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable(what="The sender")


class DiskObjects:
    def __init__(self, root: Path, signer: UrlSigner, chance: Chance) -> None:
        self._root = root
        self._drafts = root / "tmp"
        self._signer = signer
        self._chance = chance
        self._placing = threading.Lock()
        self.part_folders = PartFolders(root / "parts", self._placing)
        self.completed: Completed | None = None
        """Told of each object in parts that was completed, by its key: this store's own event."""
        self._layouts: dict[str, Layout] = {}
        self._spare: list[memoryview] = []
        self._threads = Threads(THREADS, "objects")

    @classmethod
    def open(cls, root: Path, signer: UrlSigner, chance: Chance) -> DiskObjects:
        """The store in the folder `root`, made where there is none. Drafts of an earlier life are thrown away."""
        store = cls(root, signer, chance)
        root.mkdir(mode=0o700, exist_ok=True)
        store._drafts.mkdir(mode=0o700, exist_ok=True)
        for draft in store._drafts.iterdir():
            remove_tree(draft)
        return store

    def close(self) -> None:
        self._threads.close()

    # -- ports.object_store ----------------------------------------------------------------------------------------------

    def fresh_key(self, chance: Chance) -> str:
        return drawn_key(chance)

    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest:
        return self._signer.sign("PUT", key, put_headers(size, sha256), ttl_s)

    def presign_get(self, key: str, *, ttl_s: int, answer: Mapping[str, str] | None = None) -> SignedRequest:
        return self._signer.sign("GET", key, {}, ttl_s, answer_parameters(answer))

    async def head(self, key: str) -> ObjectStat | None:
        """Reads the whole object: this store keeps no checksum beside it, so its answer is what the disk holds now."""
        return await self.run(lambda: self._stat(key))

    async def read(self, key: str, offset: int, length: int) -> bytes:
        return await self.run(lambda: self._read(key, offset, length))

    async def remove(self, key: str) -> None:
        self._layouts.pop(key, None)
        await self.run(lambda: remove_object(self.path(key), self._aside()))

    async def write(self, key: str, data: bytes) -> None:
        def store() -> None:
            draft = self.draft(key)
            try:
                draft.write((data,))
                draft.commit(len(data), Digest(hashlib.sha256(data).hexdigest()))
            finally:
                draft.close()

        await self.run(store)

    async def create_multipart(self, key: str) -> str:
        await self.run(lambda: self.part_folders.create(self.path(key).name))
        return key

    def presign_part(self, key: str, upload_id: str, number: int, *, size: int, ttl_s: int) -> SignedRequest:
        return self._signer.sign("PUT", key, part_headers(size), ttl_s, {PART_NUMBER: str(number)})

    async def list_parts(self, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> list[StoredPart]:
        return await self.run(lambda: self.part_folders.parts(self.path(key).name, after, limit))

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> str:
        etag, fresh = await self.run(lambda: self.part_folders.complete(key, parts, self.path(key), self.rename))
        if fresh and self.completed is not None:
            await self.completed(key)
        return etag

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        await self.run(lambda: self.part_folders.abort(self.path(key).name, self._aside()))

    # -- ports.object_listing --------------------------------------------------------------------------------------------

    async def listed(self, after: str, limit: int) -> list[ListedObject]:
        return await self.run(lambda: list(islice(self._walk(after), limit)))

    async def size_of(self, key: str) -> int | None:
        def look() -> int | None:
            try:
                return self.layout(key).size
            except FileNotFoundError:
                return None

        return await self.run(look)

    def _walk(self, after: str) -> Iterator[ListedObject]:
        """By key: the folders are named after how keys begin, so their order is that of the keys. Raises `OSError` where a folder
        cannot be listed; an object that goes meanwhile is left out. A store that was never made is empty."""
        if not self._root.exists():
            return
        for folder in sorted(entry.name for entry in os.scandir(self._root) if len(entry.name) == 2 and entry.name >= after[:2]):
            for name in sorted(os.listdir(self._root / folder)):
                if name > after and _KEY.fullmatch(name) and name[:2] == folder:
                    with suppress(FileNotFoundError):
                        yield ListedObject(name, layout_of(self._root / folder / name).size)

    # -- For the door, on the event loop ----------------------------------------------------------------------------------

    def lend(self) -> memoryview:
        """A buffer of `PIECE_BYTES`, a used one if there is: its memory is warm."""
        return self._spare.pop() if self._spare else memoryview(bytearray(PIECE_BYTES))

    def take_back(self, buffer: memoryview) -> None:
        if len(self._spare) < _SPARE_MAX:
            self._spare.append(buffer)

    # -- For the door ----------------------------------------------------------------------------------------------------

    async def run(self, work: Callable[[], Result]) -> Result:
        """`work()` in the store's threads. Raises `DiskFull`, `NotFound`, `Unavailable` instead of bare `OSError`s."""
        try:
            return await self._threads.run(work)
        except OSError as error:
            raise disk_error(error) from error

    def draft(self, key: str) -> Draft:
        """A new object for `key`; blocks. Raises `AlreadyExists` at once where there is one."""
        if self.path(key).exists():
            raise AlreadyExists(what="This object")
        return Draft(self, key, self._aside())

    def part_draft(self, key: str) -> Draft:
        """A new part of the object for `key`; blocks. Raises `NotFound` at once where no parts of it are taken."""
        self.part_folders.check_open(self.path(key).name)
        return Draft(self, key, self._aside())

    def layout(self, key: str) -> Layout:
        """The files that make the object; blocks. Raises `FileNotFoundError`, `Corrupt`. Those of many parts are remembered."""
        known = self._layouts.get(key)
        if known is not None and known.paths[0].exists():
            return known
        layout = layout_of(self.path(key))
        if len(layout.paths) > 1:
            if len(self._layouts) >= _LAYOUTS_MAX:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    def path(self, key: str) -> Path:
        """Where the object of `key` lies or would lie. Raises `NotFound` for what cannot be a key."""
        if not _KEY.fullmatch(key):
            raise NotFound(what="This object")
        return self._root / key[:2] / key

    def place(self, key: str, draft: Path) -> None:
        """Renames a synced draft to its place, durably; blocks. Raises `AlreadyExists`."""
        target = self.path(key)
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._root)
        # Only this process writes here, so looking and renaming under one lock replaces nothing.
        with self._placing:
            if target.exists():
                raise AlreadyExists(what="This object")
            self.rename(draft, target)
        sync_folder(target.parent)

    @staticmethod
    def rename(draft: Path, target: Path) -> None:
        """The one step by which an object comes to be there."""
        draft.rename(target)

    def _aside(self) -> Path:
        """A place for what is on its way in or out; what a crash leaves there is thrown away."""
        return self._drafts / self._chance.token(12).hex()

    def _stat(self, key: str) -> ObjectStat | None:
        digest, size = hashlib.sha256(), 0
        buffer = memoryview(bytearray(PIECE_BYTES))
        try:
            layout = self.layout(key)
            for path in layout.paths:
                with path.open("rb", buffering=0) as file:
                    while count := file.readinto(buffer):
                        digest.update(buffer[:count])
                        size += count
                    if layout.size >= BULK_BYTES:
                        uncache(file.fileno(), 0, layout.size)
        except FileNotFoundError:
            return None
        return ObjectStat(size, Digest(digest.hexdigest()))

    def _read(self, key: str, offset: int, length: int) -> bytes:
        layout = self.layout(key)
        pieces: list[bytes] = []
        for path, start, end in layout.slices(offset, offset + length):
            with path.open("rb", buffering=0) as file:
                pieces.append(os.pread(file.fileno(), end - start, start))
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(content) != length:
            raise Corrupt(what="An object", reason="it is shorter than it should be")
        return content


def uncache(file: int, start: int, size: int) -> None:
    """Tells the system that these bytes of a file will not be read again soon. What is not yet on the disk stays in memory."""
    if sys.platform == "linux":
        os.posix_fadvise(file, start, size, os.POSIX_FADV_DONTNEED)


def disk_error(error: OSError) -> SynclineError:
    """The typed error of a failed disk call, without the path."""
    if error.errno in _FULL:
        return DiskFull(path="the object store", reason="no space left")
    if isinstance(error, FileNotFoundError):
        return NotFound(what="This object")
    return Unavailable(what="The object store")
