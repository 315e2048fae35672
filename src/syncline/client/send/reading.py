"""Reading: from files that rest to pieces in memory, a window at a time. Blocking; called in threads.

Laws: a file counts as read only if it had its job's signature when it was opened and has it after the last byte, under the same
path; at most `WINDOW_BYTES` are read a turn (one large block more, of files cut large); a file is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import Any, BinaryIO, Final

from syncline.client.local_errors import reading_error
from syncline.client.send.upload import Piece, Upload, Window
from syncline.content.cut import choose_cut, cut
from syncline.content.digest import Digester, digest
from syncline.model.blocks import Block
from syncline.model.errors import ChangedWhileRead, SynclineError
from syncline.model.limits import BATCH_MAX, BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, MIB
from syncline.ports.local_files import LocalFiles

WINDOW_BYTES: Final = 8 * MIB
LONG_BYTES: Final = WINDOW_BYTES - BLOCK_MAX_BYTES
"""A file up to this long is read whole; of a longer one so many bytes a turn, and the block that passes them."""
WINDOW_PIECES: Final = BATCH_MAX


class Reader:
    """Reads windows; keeps at most one file open, one too long for a window. For one thread at a time."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._buffers: list[mmap] = []
        self._open: tuple[Upload, BinaryIO, Iterator[memoryview]] | None = None

    @property
    def is_amid(self) -> bool:
        """Whether a long file is open that `go_on` reads further."""
        return self._open is not None

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def take_back(self, window: Window) -> None:
        """The window's pieces are done with: its buffer serves the next one. Any thread may call it."""
        window.pieces.clear()
        if window.buffer is not None:
            self._buffers.append(window.buffer)
            window.buffer = None

    def rest(self) -> None:
        """Nothing is being read: gives the memory back."""
        self._buffers.clear()

    def _lend(self) -> mmap:
        """A buffer of the operating system's rather than the heap's, which would keep what it once had."""
        try:
            return self._buffers.pop()
        except IndexError:
            return mmap(-1, WINDOW_BYTES)

    def read(self, uploads: Sequence[Upload]) -> Window:
        """A window over `uploads`, all of one namespace; only the last may be longer than a window, and is then left open."""
        window = Window(uploads[0].job.namespace)
        if any(upload.job.signature.size for upload in uploads):
            window.buffer = self._lend()
        for upload in uploads:
            if upload.dropped:
                continue
            try:
                self._read_one(upload, window)
            except SynclineError as error:
                window.failed.append((upload, error))
            except OSError as error:
                window.failed.append((upload, reading_error(error, upload.job.path)))
        return window

    def go_on(self) -> Window:
        """The next window of the file left open."""
        assert self._open is not None
        upload, file, blocks = self._open
        window = Window(upload.job.namespace)
        if upload.dropped:
            self.close()
            return window
        window.buffer = self._lend()
        try:
            if self._take(upload, blocks, window):
                self._open = None
                with file:
                    self._check(upload, file)
                window.ended.append(upload)
        except SynclineError as error:
            window.failed.append((upload, error))
        except OSError as error:
            window.failed.append((upload, reading_error(error, upload.job.path)))
        if window.failed:
            file.close()
            self._open = None
        return window

    def _read_one(self, upload: Upload, window: Window) -> None:
        job = upload.job
        upload.cut = choose_cut(job.signature.size, job.previous_cut)
        file = self._files.open_read(job.path)
        try:
            if self._files.fstat_signature(file) != job.signature:
                raise ChangedWhileRead(path=job.path)
            if job.signature.size <= BLOCK_MIN_BYTES:
                self._take_small(upload, file, window)
            else:
                blocks = cut(file, upload.cut)
                if not self._take(upload, blocks, window):
                    self._open = (upload, file, blocks)
                    return
            self._check(upload, file)
            window.ended.append(upload)
        finally:
            if self._open is None or self._open[1] is not file:
                file.close()

    def _take_small(self, upload: Upload, file: Any, window: Window) -> None:
        """A file at or under the smallest block is one block, whatever its cut."""
        size = upload.job.signature.size
        if not size:
            if file.read(1):
                raise ChangedWhileRead(path=upload.job.path)
            return
        place = window.room(size + 1)
        count = 0
        while count < size and (more := file.readinto(place[count:])):
            count += more
        if count != size:
            raise ChangedWhileRead(path=upload.job.path)
        window.add(upload, place[:size])

    def _take(self, upload: Upload, blocks: Iterator[memoryview], window: Window) -> bool:
        """Moves blocks into the window until it is full; whether the file has ended. A file that grew ends as changed."""
        taken = 0
        for block in blocks:
            upload.unread -= len(block)
            if upload.unread < 0:
                raise ChangedWhileRead(path=upload.job.path)
            window.keep(upload, block)
            taken += len(block)
            if taken > LONG_BYTES:
                return False
        return True

    def _check(self, upload: Upload, file: BinaryIO) -> None:
        job = upload.job
        if self._files.fstat_signature(file) != job.signature or self._files.stat(job.path).signature != job.signature:
            raise ChangedWhileRead(path=job.path)


def hash_pieces(window: Window) -> None:
    """Names every piece, and appends it to its file's blocks."""
    for piece in window.pieces:
        data = piece.data
        piece.hash = digest(data)
        piece.upload.blocks.append(Block(piece.hash, len(data)))


def long_pieces(window: Window) -> list[Piece]:
    """The pieces of files of several blocks, whose content has a hash of its own."""
    return [piece for piece in window.pieces if len(piece.data) != piece.upload.job.signature.size]


def hash_whole(pieces: Sequence[Piece]) -> None:
    """Carries on the whole content's hash of each file. Independent of `hash_pieces`, so both can run at once."""
    for piece in pieces:
        upload = piece.upload
        if upload.whole is None:
            upload.whole = Digester()
        upload.whole.update(piece.data)


def name_contents(window: Window) -> list[Upload]:
    """Settles the content hash of each file that ended. Those with fewer bytes than their signature says come back: changed."""
    changed: list[Upload] = []
    for upload in window.ended:
        if upload.whole is not None:
            upload.content_hash = upload.whole.digest()
            upload.whole = None
        elif upload.blocks:
            upload.content_hash = upload.blocks[0].hash
        if sum(block.size for block in upload.blocks) != upload.job.signature.size:
            changed.append(upload)
    return changed
