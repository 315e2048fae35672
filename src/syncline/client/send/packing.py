"""Packing: pieces the server lacks become blocks of a pack in the spool. Blocking; called in threads, one at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import BinaryIO, Final

from syncline.client.send.spool import Spool, Spooled
from syncline.client.send.upload import Piece
from syncline.content.pack import PackWriter
from syncline.content.seal import new_pack_key
from syncline.model.ids import Digest, NamespaceId
from syncline.model.limits import BATCH_MAX
from syncline.ports.clock import Chance

BLOCKS_MAX: Final = BATCH_MAX
"""Packs of small files are closed at as many blocks as a commit takes files, so that commits need not wait for a fuller pack."""


@dataclass(slots=True)
class _Open:
    name: str
    file: BinaryIO
    writer: PackWriter
    hashes: list[Digest]


class Packer:
    """Fills one pack at a time. A write that fails ends the pack: call `abandon` then."""

    def __init__(self, spool: Spool, chance: Chance) -> None:
        self._spool = spool
        self._chance = chance
        self._open: _Open | None = None
        self.namespace = NamespaceId("")
        """Whose the open pack is."""

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def add(self, namespace: NamespaceId, pieces: deque[Piece]) -> bool:
        """Takes pieces from the left until they or the pack's room are used up; whether the pack is full. Raises `OSError`."""
        if self._open is None:
            name, file = self._spool.create()
            self._open = _Open(name, file, PackWriter(file, new_pack_key(self._chance), self._chance), [])
            self.namespace = namespace
        pack = self._open
        writer = pack.writer
        while pieces:
            piece = pieces[0]
            if writer.block_count >= BLOCKS_MAX or not writer.fits(len(piece.data)):
                return True
            pack.hashes.append(piece.hash)
            entry = writer.add(piece.hash, piece.data, dense=piece.upload.dense)
            piece.upload.sent_bytes += entry.length
            pieces.popleft()
        return writer.block_count >= BLOCKS_MAX

    def seal(self) -> Spooled:
        """Finishes the open pack. Raises `OSError`."""
        assert self._open is not None
        pack = self._open
        offer = pack.writer.finish()
        spooled = self._spool.sealed(pack.name, pack.file, self.namespace, offer)
        self._open = None
        return spooled

    def abandon(self) -> list[Digest]:
        """Throws the open pack away; the blocks that were in it, or about to be."""
        if self._open is None:
            return []
        pack, self._open = self._open, None
        try:
            pack.file.close()
        finally:
            self._spool.discard(pack.name)
        return pack.hashes
