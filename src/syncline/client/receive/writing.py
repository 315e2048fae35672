"""Writing what came: frames are opened, verified, and written to temporary files, a range at a time. Blocking; called in threads.

What happened comes back as events, one for each content that ended or met trouble; nobody else's state is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import BinaryIO, Final

from syncline.client.local_errors import writing_error
from syncline.client.receive.content import PART_SUFFIX, READ_BYTES, Content, TempNames, fetched, read_all, write_all
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.ranges import WHOLE, Need, Range
from syncline.client.receive.root import TMP
from syncline.content.digest import Buffer, Digester, digest
from syncline.content.seal import open_frame
from syncline.model.errors import Corrupt, CorruptManifest, DiskFull, SynclineError
from syncline.model.ids import EMPTY_DIGEST, Digest
from syncline.model.paths import STATE_FOLDER
from syncline.ports.local_files import LocalFiles

Event = tuple[Content, Fetched | SynclineError]

PART_KEPT_NS: Final = 7 * 24 * 3600 * 1_000_000_000
"""A part file nobody has written to for so long is of a content nobody wants any more."""


class Writer:
    """Makes temporary files below one root."""

    def __init__(self, files: LocalFiles, names: TempNames) -> None:
        self._files = files
        self._names = names

    def prepare(self, now_ns: int) -> None:
        """The folder for temporary files is there, without what earlier runs left and nobody can want. Raises `OSError`."""
        for folder in (STATE_FOLDER, TMP):
            with suppress(FileExistsError):
                self._files.make_folder(folder)
        for entry in self._files.list_folder(TMP):
            old = entry.name.endswith(PART_SUFFIX) and entry.signature.mtime_ns < now_ns - PART_KEPT_NS
            if old or self._names.is_stray(entry.name):
                self._files.remove_file(f"{TMP}/{entry.name}")

    def write_range(self, data: bytes, span: Range) -> list[Event]:
        """Opens the blocks in a range's bytes and writes them where they are needed."""
        events: list[Event] = []
        view = memoryview(data)
        for need in span.needs:
            if not need.is_wanted:
                continue
            block = need.block
            start = block.offset - span.start
            try:
                plain = open_frame(view[start : start + block.length], block.key, block.hash, block.size)
            except Corrupt as error:
                events += [(content, error) for content, _ in need.targets]
                continue
            self.place(need, plain, events)
        return events

    def place(self, need: Need, plain: bytes, events: list[Event]) -> None:
        """Writes one verified block to all its places."""
        for content, index in need.targets:
            takers, part = content.takers, content.part
            if not takers:
                continue
            try:
                if index == WHOLE:
                    events.append((content, self.write_new(takers[0], plain)))
                elif part is not None:
                    part.write(index, plain)
                    if part.is_whole:
                        events.append((content, part.finish(takers[0], self._names.fresh())))
            except SynclineError as error:
                events.append((content, error))
            except OSError as error:
                events.append((content, writing_error(error, TMP)))

    def write_new(self, taker: Wanted, plain: Buffer) -> Fetched:
        """A temporary file with these bytes."""
        path = self._names.fresh()
        try:
            with self._files.create(path) as file:
                if plain:
                    write_all(file, plain)
                self._files.set_attributes(file, executable=taker.executable, mtime_us=taker.mtime_us)
        except OSError:
            self.remove([path])
            raise
        return fetched(taker, path)

    def copy(self, source_path: str, taker: Wanted) -> Fetched | None:
        """A temporary file with the bytes of the file at `source_path`, if it can be read and they hash to what `taker` wants.
        Raises `DiskFull`."""
        path = self._names.fresh()
        try:
            source = self._files.open_read(source_path)
        except OSError:
            return None
        with source:
            try:
                with self._files.create(path) as target:
                    size = self._files.copy_range(source, target, taker.size)
                    if size == taker.size and _digest_of(target, size) == taker.content_hash:
                        self._files.set_attributes(target, executable=taker.executable, mtime_us=taker.mtime_us)
                        return fetched(taker, path)
            except OSError as error:
                self.remove([path])
                full = writing_error(error, TMP)
                if isinstance(full, DiskFull):
                    raise full from error
                return None
        self.remove([path])
        return None

    def copy_near(self, near: Sequence[tuple[Content, str | None]]) -> tuple[list[Event], list[Content]]:
        """Copies contents from where they should lie on this device, and makes empty files; those that proved to lie elsewhere."""
        events: list[Event] = []
        not_so: list[Content] = []
        for content, path in near:
            takers = content.takers
            if not takers:
                continue
            try:
                if content.size and path is not None:
                    copy = self.copy(path, takers[0])
                elif content.hash == EMPTY_DIGEST:
                    copy = self.write_new(takers[0], b"")
                else:
                    raise CorruptManifest(reason="no bytes, and yet the hash of some")
                if copy is None:
                    not_so.append(content)
                else:
                    events.append((content, copy))
            except SynclineError as error:
                events.append((content, error))
            except OSError as error:
                events.append((content, writing_error(error, TMP)))
        return events, not_so

    def copies(self, got: Fetched, takers: Sequence[Wanted]) -> list[Fetched | FetchFailed]:
        """Copies of a file just made, for the others who want its content."""
        results: list[Fetched | FetchFailed] = []
        for taker in takers:
            try:
                copy = self.copy(got.temp_path, taker) if got.size else self.write_new(taker, b"")
                if copy is None:
                    raise CorruptManifest(reason="its temporary file changed")
                results.append(copy)
            except SynclineError as error:
                results.append(FetchFailed(node=taker.node, error=error))
            except OSError as error:
                results.append(FetchFailed(node=taker.node, error=writing_error(error, TMP)))
        return results

    def copy_blocks(self, path: str, wanted: Sequence[tuple[int, Need]]) -> tuple[set[Digest], list[Event]]:
        """Takes blocks from a file on this disk, at the offsets hinted; those that proved true, and what ended thereby."""
        taken: set[Digest] = set()
        events: list[Event] = []
        try:
            with self._files.open_read(path) as source:
                for offset, need in wanted:
                    source.seek(offset)
                    data = read_all(source, need.block.size)
                    if digest(data) == need.block.hash:
                        taken.add(need.block.hash)
                        self.place(need, data, events)
        except OSError:
            # It changed or went away: the blocks not taken from it come from the server.
            return taken, events
        return taken, events

    def has_begun(self, content_hash: Digest) -> bool:
        """Whether a part file of this content lies here already."""
        try:
            self._files.stat(f"{TMP}/{content_hash}{PART_SUFFIX}")
        except OSError:
            return False
        return True

    def reserve(self, contents: Iterable[tuple[Content, int]]) -> list[Event]:
        """Opens part files, takes up what earlier runs left in them (from the block given on), ends those that prove whole."""
        events: list[Event] = []
        for content, since in contents:
            takers, part = content.takers, content.part
            if part is None or not takers:
                continue
            try:
                part.reserve(since)
                if part.is_whole:
                    events.append((content, part.finish(takers[0], self._names.fresh())))
            except SynclineError as error:
                events.append((content, error))
            except OSError as error:
                events.append((content, writing_error(error, TMP)))
        return events

    def remove(self, paths: Iterable[str]) -> None:
        """Temporary files nobody took."""
        for path in paths:
            try:
                self._files.remove_file(path)
            except OSError:
                continue


def _digest_of(file: BinaryIO, size: int) -> Digest:
    """Of the file's first `size` bytes, read back."""
    file.seek(0)
    digester = Digester()
    while size and (data := file.read(min(READ_BYTES, size))):
        digester.update(data)
        size -= len(data)
    return digester.digest()
