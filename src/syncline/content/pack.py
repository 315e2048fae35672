"""Packs: many blocks in one immutable object, with a sealed index at its end (`docs/format/pack.md`).

The last step before the spool, and what a server's checkers read back. Laws: a pack is written in one pass and hashed as it is
written; its frames lie back to back, so an index cannot make them overlap or hide bytes between them; it describes itself, so
bucket and keys suffice to find every block; whoever lacks the pack key learns sizes at most.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from struct import Struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncline.content.compress import encode
from syncline.content.digest import Buffer
from syncline.content.seal import (
    CODEC_BYTES,
    CODECS,
    FRAME_OVERHEAD_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Chance,
    block_key,
    index_key,
    name_bytes,
    seal_frame,
)
from syncline.model.blocks import Codec, PackEntry, PackOffer
from syncline.model.errors import CorruptPack, LimitExceeded
from syncline.model.ids import Digest
from syncline.model.limits import (
    FRAME_OVERHEAD_MAX_BYTES,
    KIB,
    LARGE_BLOCK_MAX_BYTES,
    PACK_BLOCKS_MAX,
    PACK_MAX_BYTES,
)

PACK_MAGIC: Final = b"slnpack\x01"
"""Seven letters and the format version: the pack's first bytes and its last."""
_FOOTER: Final = Struct(">II8s")
"""Length of the sealed index, count of blocks, magic."""
_ENTRY: Final = Struct(">32sIIB")
"""Block name, frame length, plain size, codec. The offset is the sum of the lengths before it."""
_BOUND: Final = Struct(">8sQI")
"""Associated data of the index: magic, where the index begins, count of blocks."""
_INDEX_OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES
_ALONE_MAX_BYTES: Final = (
    len(PACK_MAGIC) + LARGE_BLOCK_MAX_BYTES + FRAME_OVERHEAD_BYTES + _INDEX_OVERHEAD_BYTES + _ENTRY.size + _FOOTER.size
)
"""A pack of the largest block there is, alone: within the limit too, so no pack is ever larger than `PACK_MAX_BYTES`."""
assert _ALONE_MAX_BYTES <= PACK_MAX_BYTES
assert _ENTRY.size <= FRAME_OVERHEAD_MAX_BYTES


class PackWriter:
    """Writes one pack to `file`, from the file's position on. For one thread at a time.

    A write that fails leaves a pack that cannot be gone on with: throw it away. The writer flushes `file` when it finishes, and
    leaves syncing and closing to whoever opened it.
    """

    def __init__(self, file: BinaryIO, pack_key: bytes, chance: Chance) -> None:
        if len(pack_key) != KEY_BYTES:
            raise ValueError(f"a pack key has {KEY_BYTES} bytes")
        self._file = file
        self._pack_key = pack_key
        self._chance = chance
        self._sha256 = hashlib.sha256()
        self._entries: dict[Digest, PackEntry] = {}
        self._frame = bytearray(64 * KIB)
        self._size = 0
        self._open = True
        self._write(PACK_MAGIC)

    def __repr__(self) -> str:
        return f"PackWriter(size={self._size}, blocks={len(self._entries)}, open={self._open})"

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def block_count(self) -> int:
        return len(self._entries)

    def fits(self, plain_size: int) -> bool:
        """Whether a block of that size still fits, index and all, however badly it compresses. An empty pack takes any block."""
        count = len(self._entries)
        if not count:
            return True
        end = self._size + plain_size + FRAME_OVERHEAD_BYTES + _index_length(count + 1) + _FOOTER.size
        return count < PACK_BLOCKS_MAX and end <= PACK_MAX_BYTES

    def add(self, block: Digest, data: Buffer, *, dense: bool = False) -> PackEntry:
        """Appends the block of which `data` is the plaintext and `block` the digest; where it lies.

        A block the pack holds already is not written again. `dense` skips compression. Raises `LimitExceeded` for a block no cut
        makes or a pack that is full (ask `fits` first), and what the file raises.
        """
        known = self._entries.get(block)
        if known is not None:
            return known
        plain_size = len(data)
        if not 0 < plain_size <= LARGE_BLOCK_MAX_BYTES:
            raise LimitExceeded(what="a block", limit=LARGE_BLOCK_MAX_BYTES)
        if not self.fits(plain_size):
            raise LimitExceeded(what="a pack", limit=PACK_MAX_BYTES)
        codec, payload = encode(data, dense)
        length = len(payload) + FRAME_OVERHEAD_BYTES
        if length > len(self._frame):
            self._frame = bytearray(length)
        frame = memoryview(self._frame)[:length]
        key, nonce = block_key(self._pack_key, block), self._chance.token(NONCE_BYTES)
        seal_frame(payload, name_bytes(block), key, nonce, codec=codec, plain_size=plain_size, into=frame)
        entry = PackEntry(block, self._size, length, plain_size, codec)
        self._write(frame)
        self._entries[block] = entry
        return entry

    def finish(self) -> PackOffer:
        """Appends the sealed index and the footer; the whole pack, described. Raises `ValueError` for a pack without blocks."""
        count = len(self._entries)
        if not count:
            raise ValueError("a pack holds at least one block")
        index = list(self._entries.values())
        nonce = self._chance.token(NONCE_BYTES)
        bound = _BOUND.pack(PACK_MAGIC, self._size, count)
        sealed = nonce + AESGCM(index_key(self._pack_key)).encrypt(nonce, _pack_entries(index), bound)
        self._write(sealed + _FOOTER.pack(len(sealed), count, PACK_MAGIC))
        self._open = False
        self._file.flush()
        return PackOffer(size=self._size, sha256=Digest(self._sha256.hexdigest()), index=index, pack_key=self._pack_key)

    def _write(self, data: Buffer) -> None:
        if not self._open:
            raise ValueError("this pack is finished, or a write to it has failed")
        self._open = False
        view = memoryview(data)
        rest = view
        while rest:
            # An unbuffered file may take less than it is given.
            rest = rest[self._file.write(rest) :]
        self._sha256.update(view)
        self._size += len(view)
        self._open = True


def read_index(pack: BinaryIO, size: int, pack_key: bytes) -> list[PackEntry]:
    """Every block of a pack of `size` bytes, in the order in which the frames lie.

    Reads the head and the tail alone, at most some hundred KiB; `pack` must be seekable, its byte 0 the pack's. Raises
    `CorruptPack` for whatever no writer made. The frames' own content is proven by `open_frame`.
    """
    if not len(PACK_MAGIC) + _index_length(1) + _FOOTER.size <= size <= PACK_MAX_BYTES:
        raise CorruptPack(reason=f"no pack has {size} bytes")
    if len(pack_key) != KEY_BYTES:
        raise CorruptPack(reason=f"its key is of {len(pack_key)} bytes")
    if _read(pack, 0, len(PACK_MAGIC)) != PACK_MAGIC:
        raise CorruptPack(reason="it does not begin like a pack")
    sealed_length, count, magic = _FOOTER.unpack(_read(pack, size - _FOOTER.size, _FOOTER.size))
    if magic != PACK_MAGIC:
        raise CorruptPack(reason="it does not end like a pack")
    index_offset = size - _FOOTER.size - sealed_length
    if not 0 < count <= PACK_BLOCKS_MAX or sealed_length != _index_length(count) or index_offset < len(PACK_MAGIC):
        raise CorruptPack(reason=f"its footer declares {count} blocks in an index of {sealed_length} bytes")
    sealed = memoryview(_read(pack, index_offset, sealed_length))
    bound = _BOUND.pack(PACK_MAGIC, index_offset, count)
    try:
        plain = AESGCM(index_key(pack_key)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag as error:
        raise CorruptPack(reason="its index was not sealed under this key") from error
    return _unpack_entries(plain, index_offset)


def _index_length(count: int) -> int:
    """Of the sealed index of `count` blocks, in bytes."""
    return _INDEX_OVERHEAD_BYTES + count * _ENTRY.size


def _pack_entries(index: Iterable[PackEntry]) -> bytes:
    return b"".join(
        _ENTRY.pack(name_bytes(entry.hash), entry.length, entry.plain_size, CODEC_BYTES[entry.codec]) for entry in index
    )


def _unpack_entries(plain: bytes, index_offset: int) -> list[PackEntry]:
    """Whoever sealed the index held the key and may lie all the same: every entry is checked against what a writer can make."""
    entries: list[PackEntry] = []
    offset = len(PACK_MAGIC)
    for name, length, plain_size, code in _ENTRY.iter_unpack(plain):
        codec = CODECS.get(code)
        if codec is None or not 0 < plain_size <= LARGE_BLOCK_MAX_BYTES or not _plausible(codec, length, plain_size):
            raise CorruptPack(reason=f"entry {len(entries)} declares {length} bytes, {plain_size} plain, codec {code}")
        entries.append(PackEntry(Digest(name.hex()), offset, length, plain_size, codec))
        offset += length
    if offset != index_offset:
        raise CorruptPack(reason=f"its frames end at {offset}, its index begins at {index_offset}")
    if len({entry.hash for entry in entries}) != len(entries):
        raise CorruptPack(reason="it lists a block twice")
    return entries


def _plausible(codec: Codec, length: int, plain_size: int) -> bool:
    """Whether a frame can have this length: a raw one exactly one, a compressed one less than that."""
    payload_size = length - FRAME_OVERHEAD_BYTES
    return payload_size == plain_size if codec is Codec.RAW else 0 < payload_size < plain_size


def _read(pack: BinaryIO, offset: int, length: int) -> bytes:
    pack.seek(offset, io.SEEK_SET)
    data = pack.read(length)
    while len(data) < length:
        more = pack.read(length - len(data))
        if not more:
            raise CorruptPack(reason=f"it ends at byte {offset + len(data)}")
        data += more
    return data
