"""One file on its way up, and the pieces of it that are in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from mmap import mmap

from syncline.client.send.jobs import Prepared, SendJob
from syncline.content.compress import dense_name
from syncline.content.digest import Digester
from syncline.model.blocks import Block, Manifest
from syncline.model.errors import SynclineError
from syncline.model.ids import EMPTY_DIGEST, Digest, NamespaceId


class Upload:
    """A job being worked on. `waiting` counts its blocks that are on their way; `ended` says that it was read whole; `dropped` that
    nobody wants the result any more."""

    __slots__ = ("blocks", "content_hash", "cut", "dense", "dropped", "ended", "job", "sent_bytes", "unread", "waiting", "whole")

    def __init__(self, job: SendJob) -> None:
        self.job = job
        self.dense = dense_name(job.path)
        self.cut = ""
        self.blocks: list[Block] = []
        self.whole: Digester | None = None
        self.content_hash: Digest = EMPTY_DIGEST
        self.unread = job.signature.size
        self.waiting = 0
        self.ended = False
        self.dropped = False
        self.sent_bytes = 0

    @property
    def is_ready(self) -> bool:
        return self.ended and not self.waiting and not self.dropped

    def prepared(self) -> Prepared:
        job = self.job
        return Prepared(
            node=job.node,
            namespace=job.namespace,
            signature=job.signature,
            content_hash=self.content_hash,
            size=job.signature.size,
            cut=self.cut,
            blocks=[block.hash for block in self.blocks],
            manifest=Manifest(self.content_hash, job.signature.size, self.cut, tuple(self.blocks)),
            sent_bytes=self.sent_bytes,
            racy=job.racy,
        )


class Piece:
    """A block's plaintext in memory, valid as long as its window. `hash` is known once the window was hashed."""

    __slots__ = ("data", "hash", "upload")

    def __init__(self, upload: Upload, data: memoryview) -> None:
        self.upload = upload
        self.data = data
        self.hash = EMPTY_DIGEST


@dataclass(slots=True)
class Window:
    """What one turn of reading brought: pieces of one namespace's files, the files it ended, and those it could not read."""

    namespace: NamespaceId
    pieces: list[Piece] = field(default_factory=list)
    ended: list[Upload] = field(default_factory=list)
    failed: list[tuple[Upload, SynclineError]] = field(default_factory=list)
    buffer: mmap | None = None
    """Where the pieces lie."""
    used_bytes: int = 0

    def room(self, size: int) -> memoryview:
        """A place for so many bytes."""
        end = self.used_bytes + size
        if self.buffer is None or end > len(self.buffer):
            return memoryview(bytearray(size))
        return memoryview(self.buffer)[self.used_bytes : end]

    def add(self, upload: Upload, data: memoryview) -> None:
        """Takes a piece that lies in its `room`."""
        self.used_bytes += len(data)
        self.pieces.append(Piece(upload, data))

    def keep(self, upload: Upload, block: memoryview) -> None:
        """Takes a copy of a block that its maker is about to overwrite."""
        place = self.room(len(block))
        place[:] = block
        self.add(upload, place)
