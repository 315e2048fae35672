"""One content on its way down, and the temporary file it grows in. The file's methods block; several threads may call them.

    absent ──reserve──▶ part file ──write, every block──▶ whole ──finish──▶ `.new` file, handed out

Laws: a block is written only after it was verified, the whole only handed out after its own hash was; a part file belongs to its
content (the name says which), outlives a restart, and is taken up again block by block, verified; a name that ends in `.new` was
handed out and is not touched here again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import count
from typing import BinaryIO, Final

from syncline.client.receive.fetched import Fetched, Wanted
from syncline.client.receive.holes import filled, is_zero
from syncline.client.receive.root import TMP
from syncline.content.digest import Buffer, Digester, digest
from syncline.model.blocks import Block, Manifest
from syncline.model.errors import CorruptManifest, InvalidId, SynclineError
from syncline.model.ids import Digest, NamespaceId, NodeId, is_digest
from syncline.model.limits import FILE_MAX_BYTES, MIB
from syncline.ports.clock import Chance
from syncline.ports.local_files import LocalFiles

PART_SUFFIX: Final = ".part"
NEW_SUFFIX: Final = ".new"
SETTLE_ABOVE_BYTES: Final = 32 * MIB
SETTLE_EVERY_BYTES: Final = 8 * MIB
"""A file longer than the one is settled piece by piece as it grows, each as long as the other (`LocalFiles.settle` says why)."""
READ_BYTES: Final = 1 * MIB


class TempNames:
    """Names for temporary files that no other run of this device has used."""

    def __init__(self, chance: Chance) -> None:
        self._run = f"{chance.token(8).hex()}-"
        self._numbers = count()

    def fresh(self) -> str:
        return f"{TMP}/{self._run}{next(self._numbers):x}{NEW_SUFFIX}"

    def is_stray(self, name: str) -> bool:
        """Whether an earlier run made the file of this name in `TMP`, and cannot have use for it any more."""
        return name.endswith(NEW_SUFFIX) and not name.startswith(self._run)


class Content:
    """A content wanted by one node or several (`takers`, replaced and never changed, so threads may look at it)."""

    __slots__ = ("hash", "namespace", "node", "part", "revision", "rounds", "size", "strikes", "takers", "trouble")

    def __init__(self, wanted: Wanted) -> None:
        if not is_digest(wanted.content_hash):
            raise InvalidId(kind="Digest", value=wanted.content_hash[:80])
        if not 0 <= wanted.size <= FILE_MAX_BYTES:
            raise CorruptManifest(reason=f"a file of {wanted.size} bytes")
        self.hash: Digest = wanted.content_hash
        self.size = wanted.size
        self.namespace: NamespaceId = wanted.namespace
        self.node: NodeId = wanted.node
        self.revision = wanted.revision
        self.takers: tuple[Wanted, ...] = (wanted,)
        self.part: Part | None = None
        self.strikes = 0
        """Rounds in which damage was met."""
        self.trouble: SynclineError | None = None
        """What went wrong in this round, and asks for another one."""
        self.rounds = 0
        """Manifests asked for in a row without a new block to show for it."""

    @property
    def is_dropped(self) -> bool:
        return not self.takers


class Part:
    """The file that a content of several blocks grows in. Knows its blocks as far as the manifest's pages have come."""

    def __init__(self, files: LocalFiles, content: Content, cut: str) -> None:
        self._files = files
        self._content = content
        self._path = f"{TMP}/{content.hash}{PART_SUFFIX}"
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._fresh = True
        self._cut = cut
        self._offsets: list[int] = []
        self._end = 0
        self._have = bytearray()
        self._blank = bytearray()
        """Blocks where the file reads as zeros, so that theirs need not be written."""
        self._left = 0
        self._whole = Digester()
        self._hashed = 0
        self._settling: Executor | None = None
        self._settled: Future[None] | None = None
        self._unsettled = (0, 0)
        self.blocks: list[Block] = []

    # -- the manifest, as it comes ---------------------------------------------------------------------------------------------

    def learn(self, index: int, block: Block) -> bool:
        """Takes note of block `index`; whether it is still to be got. Raises `CorruptManifest` when it fits not what is known."""
        if index < len(self.blocks):
            if self.blocks[index] != block:
                raise CorruptManifest(reason=f"block {index} is another one than before")
            return not self._have[index]
        if index > len(self.blocks) or self._end + block.size > self._content.size:
            raise CorruptManifest(reason="its blocks leave a gap, or run over its size")
        self.blocks.append(block)
        self._offsets.append(self._end)
        self._have.append(0)
        self._blank.append(0)
        self._end += block.size
        self._left += 1
        return True

    @property
    def is_whole(self) -> bool:
        """Every byte is there."""
        return not self._left and self._end == self._content.size

    @property
    def is_known(self) -> bool:
        """Every page of the manifest has come."""
        return self._end == self._content.size

    def has(self, index: int) -> bool:
        return bool(self._have[index])

    def first_lacking(self) -> int:
        """Where to go on with the manifest: the first block not there, or not known yet."""
        found = self._have.find(0)
        return found if found >= 0 else len(self._have)

    @property
    def have_count(self) -> int:
        return len(self.blocks) - self._left

    # -- the file --------------------------------------------------------------------------------------------------------------

    def reserve(self, since: int, settling: Executor) -> None:
        """Opens the file, and takes up what an earlier run left of the blocks from `since` on. `settling` makes long files durable
        as they grow. Raises `OSError`."""
        with self._lock:
            self._settling = settling if self._content.size >= SETTLE_ABOVE_BYTES else None
            if self._file is None:
                try:
                    self._file = self._files.create(self._path)
                    self._file.truncate(self._content.size)
                except FileExistsError:
                    self._file = self._files.open_write(self._path)
                    self._fresh = False
            if not self._fresh:
                self._take_up(since)
            else:
                self._blank[since:] = bytes(1 - have for have in self._have[since:])

    def _take_up(self, since: int) -> None:
        """What cannot be read is not there: it will be written anew."""
        for index in range(since, len(self.blocks)):
            if not self._have[index]:
                with suppress(OSError):
                    data = self._read(index)
                    self._blank[index] = len(data) == self.blocks[index].size and is_zero(memoryview(data))
                    if digest(data) == self.blocks[index].hash:
                        self._mark(index, data)

    def write(self, index: int, data: Buffer) -> None:
        """Writes the blocks from `index` on of which `data` are the bytes, all verified by the caller. Raises `OSError`."""
        with self._lock:
            if self._file is None:
                return
            view = memoryview(data)
            end = 0
            marks: list[tuple[int, memoryview]] = []
            pieces: list[tuple[int, int]] = []
            while end < len(view):
                number = index + len(marks)
                start, end = end, end + self.blocks[number].size
                block = view[start:end]
                marks.append((number, block))
                if self._blank[number]:
                    _append(pieces, start, filled(block, self._offsets[number]))
                elif not self._have[number]:
                    _append(pieces, start, [(0, len(block))])
                self._blank[number] = 0
            for start, end in pieces:
                self._write(index, view, start, end)
            for number, block in marks:
                if not self._have[number]:
                    self._mark(number, block)

    def _write(self, index: int, view: memoryview, start: int, end: int) -> None:
        """Bytes `start` … `end` of `view`, which begins where block `index` does."""
        assert self._file is not None
        at = self._offsets[index] + start
        self._file.seek(at)
        write_all(self._file, view[start:end])
        first, last = self._unsettled
        self._unsettled = (min(first, at) if last else at, max(last, at + end - start))
        if self._settling is not None and self._unsettled[1] - self._unsettled[0] >= SETTLE_EVERY_BYTES:
            self._wait_settled()
            first, last = self._unsettled
            self._unsettled = (0, 0)
            self._settled = self._settling.submit(self._files.settle, self._file, first, last - first)

    def _wait_settled(self) -> None:
        """No other thread uses the file when this returns. Raises `OSError`."""
        settled, self._settled = self._settled, None
        if settled is not None:
            settled.result()

    def _mark(self, index: int, data: Buffer) -> None:
        """Block `index` is in the file. Hashes the whole as far as it is there without a gap; what came early is read back."""
        self._have[index] = 1
        self._left -= 1
        if index == self._hashed:
            self._whole.update(data)
            self._hashed += 1
            while self._hashed < len(self._have) and self._have[self._hashed]:
                self._whole.update(self._read(self._hashed))
                self._hashed += 1

    def _read(self, index: int) -> bytes:
        assert self._file is not None
        self._file.seek(self._offsets[index])
        return read_all(self._file, self.blocks[index].size)

    def finish(self, taker: Wanted, path: str) -> Fetched:
        """The whole file under its final name. Raises `CorruptManifest` when it is not the content it should be, `OSError`."""
        with self._lock:
            file = self._file
            if file is None or self._whole.digest() != self._content.hash:
                raise CorruptManifest(reason="its blocks do not add up to the content it names")
            self._file = None
            with file:
                self._wait_settled()
                file.truncate(self._content.size)
                self._files.set_attributes(file, executable=taker.executable, mtime_us=taker.mtime_us)
            self._files.rename(self._path, path)
        manifest = Manifest(self._content.hash, self._content.size, self._cut, tuple(self.blocks))
        return fetched(taker, path, manifest)

    def close(self, *, remove: bool = False) -> None:
        """Gives the file back; `remove` also its bytes, else they wait for a later try. Bytes that the disk does not let go wait
        too, and are cleared away in time by a later start."""
        with self._lock:
            if self._file is not None:
                with suppress(OSError), self._file:
                    self._wait_settled()
                self._file = None
                if remove:
                    with suppress(OSError):
                        self._files.remove_file(self._path)


def fetched(taker: Wanted, path: str, manifest: Manifest | None = None) -> Fetched:
    """The result for `taker`."""
    return Fetched(
        node=taker.node,
        revision=taker.revision,
        content_hash=taker.content_hash,
        size=taker.size,
        temp_path=path,
        manifest=manifest,
    )


def _append(pieces: list[tuple[int, int]], base: int, parts: Iterable[tuple[int, int]]) -> None:
    """Adds `parts`, counted from `base`; one that begins where the last ended makes that longer."""
    for start, end in parts:
        if pieces and pieces[-1][1] == base + start:
            pieces[-1] = (pieces[-1][0], base + end)
        else:
            pieces.append((base + start, base + end))


def write_all(file: BinaryIO, data: Buffer) -> None:
    """An unbuffered file may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def read_all(file: BinaryIO, size: int) -> bytes:
    """`size` bytes from the file's position, fewer where it ends."""
    data = file.read(size)
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    return data
