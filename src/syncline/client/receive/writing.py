"""Writing what came: frames are opened, verified, and written to temporary files, a range at a time. Blocking; called in threads.

What happened comes back as events, one for each content that ended or met trouble; nobody else's state is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from mmap import mmap
from typing import BinaryIO, Final

from syncline.client.local_errors import writing_error
from syncline.client.receive.content import (
    PART_SUFFIX,
    READ_BYTES,
    SETTLE_ABOVE_BYTES,
    SETTLE_EVERY_BYTES,
    Content,
    TempNames,
    fetched,
    write_all,
)
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.ranges import WHOLE, Need, Range, Run
from syncline.client.receive.root import TMP
from syncline.content.digest import Buffer, Digester, digest
from syncline.content.seal import open_frame_into
from syncline.model.errors import Corrupt, CorruptManifest, DiskFull, SynclineError
from syncline.model.ids import EMPTY_DIGEST, Digest
from syncline.model.paths import STATE_FOLDER
from syncline.ports.local_files import LocalFiles

Event = tuple[Content, Fetched | SynclineError]
Plain = bytearray | mmap
Opened = tuple[Need, int]
"""A block that is what it should be, and where in the buffer it begins."""

PART_KEPT_NS: Final = 7 * 24 * 3600 * 1_000_000_000
"""A part file nobody has written to for so long is of a content nobody wants any more."""


class Writer:
    """Makes temporary files below one root."""

    def __init__(self, files: LocalFiles, names: TempNames) -> None:
        self._files = files
        self._names = names
        self._settling = ThreadPoolExecutor(1, thread_name_prefix="settle")

    def prepare(self, now_ns: int) -> None:
        """The folder for temporary files is there, without what earlier runs left and nobody can want. Raises `OSError`."""
        for folder in (STATE_FOLDER, TMP):
            with suppress(FileExistsError):
                self._files.make_folder(folder)
        for entry in self._files.list_folder(TMP):
            old = entry.name.endswith(PART_SUFFIX) and entry.signature.mtime_ns < now_ns - PART_KEPT_NS
            if old or self._names.is_stray(entry.name):
                self._files.remove_file(f"{TMP}/{entry.name}")

    def open_range(self, sealed: memoryview, span: Range, into: Plain) -> tuple[list[Opened], list[Event]]:
        """Opens the blocks wanted in a range's bytes, one behind the other in `into`; those that are sound, and the damage."""
        opened: list[Opened] = []
        events: list[Event] = []
        plain, end = memoryview(into), 0
        for need in span.needs:
            if not need.is_wanted:
                continue
            block = need.block
            start, at = block.offset - span.start, plain[end : end + block.size]
            try:
                open_frame_into(sealed[start : start + block.length], block.key, block.hash, at)
            except Corrupt as error:
                events += [(content, error) for content, _ in need.targets]
                continue
            opened.append((need, end))
            end += block.size
        return opened, events

    def read_run(self, run: Run, into: Plain) -> tuple[list[Opened], list[Need]]:
        """Reads blocks from a file on this disk; those that are what they should be, and the others."""
        plain = memoryview(into)[: run.plain_bytes]
        count = 0
        # It may have changed or gone: what cannot be taken from it comes from the server.
        with suppress(OSError), self._files.open_read(run.path) as source:
            count = self._files.read_once(source, run.start, plain)
        opened: list[Opened] = []
        lacking: list[Need] = []
        end = 0
        for need in run.needs:
            start, end = end, end + need.block.size
            if end <= count and digest(plain[start:end]) == need.block.hash:
                opened.append((need, start))
            else:
                lacking.append(need)
        return opened, lacking

    def place_all(self, plain: Plain, opened: Sequence[Opened]) -> list[Event]:
        """Writes verified blocks to all their places, neighbours in one go."""
        view = memoryview(plain)
        events: list[Event] = []
        run: list[Need] = []
        start = end = 0
        for need, at in opened:
            if run and at == end and _follows(need, run[-1]):
                run.append(need)
            else:
                self._place(run, view[start:end], events)
                run, start = [need], at
            end = at + need.block.size
        self._place(run, view[start:end], events)
        return events

    def _place(self, run: Sequence[Need], data: memoryview, events: list[Event]) -> None:
        """Blocks that follow each other in one content, or one block that goes anywhere."""
        for content, index in run[0].targets if run else ():
            takers, part = content.takers, content.part
            if not takers:
                continue
            try:
                if index == WHOLE:
                    events.append((content, self.write_new(takers[0], data)))
                elif part is not None:
                    part.write(index, data)
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
                    if self._copy_all(source, target, taker.size) == taker.content_hash:
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

    def _copy_all(self, source: BinaryIO, target: BinaryIO, size: int) -> Digest | None:
        """Copies `size` bytes, and reads them back; their digest, None if there are fewer."""
        digester, done = Digester(), 0
        buffer = memoryview(bytearray(min(READ_BYTES, size)))
        while done < size:
            step = self._files.copy_range(source, target, min(SETTLE_EVERY_BYTES, size - done))
            if not step:
                return None
            read, end = done, done + step
            while read < end:
                count = self._files.read_once(target, read, buffer[: end - read])
                if not count:
                    return None
                digester.update(buffer[:count])
                read += count
            if size >= SETTLE_ABOVE_BYTES:
                self._files.settle(target, done, step)
            done = end
        return digester.digest()

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
                part.reserve(since, self._settling)
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


def _follows(need: Need, before: Need) -> bool:
    """Whether the block goes to one place alone, right behind the one before it."""
    if len(need.targets) != 1 or len(before.targets) != 1:
        return False
    (content, index), (last_content, last) = need.targets[0], before.targets[0]
    return content is last_content and last != WHOLE and index == last + 1
