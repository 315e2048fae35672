"""Manifests: the ordered blocks of one revision, checked, and as compact bytes (`docs/format/manifest.md`).

Where content meets metadata. Laws: sizes add up to the revision's; one name has one size; a manifest of a single block bears that
block's name; damaged bytes are told by a checksum, so a flipped bit is an error here and not a missing block elsewhere.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final

from syncline.content.digest import DIGEST_BYTES
from syncline.content.seal import name_bytes
from syncline.model.blocks import Block, Manifest
from syncline.model.errors import CorruptManifest
from syncline.model.ids import EMPTY_DIGEST, Digest, is_digest
from syncline.model.limits import FILE_MAX_BYTES, LARGE_BLOCK_MAX_BYTES, REVISION_BLOCKS_MAX

MANIFEST_MAGIC: Final = b"slm\x01"
"""Three letters and the format version."""
CUT_NAME_MAX_BYTES: Final = 64

_HEADER: Final = Struct(">4s32sQIB")
"""Magic, content hash, size, count of blocks, length of the cut's name (which follows)."""
_BLOCK: Final = Struct(">32sI")
_CHECKSUM: Final = Struct(">I")
assert _HEADER.size == 4 + DIGEST_BYTES + 8 + 4 + 1


def pack_manifest(manifest: Manifest) -> bytes:
    """The manifest in 36 bytes a block; `unpack_manifest` gives it back. Raises `CorruptManifest` for one that is not sound."""
    check_manifest(manifest)
    cut = manifest.cut.encode("ascii")
    head = _HEADER.pack(MANIFEST_MAGIC, name_bytes(manifest.content_hash), manifest.size, len(manifest.blocks), len(cut))
    body = b"".join([head, cut, *(_BLOCK.pack(name_bytes(block.hash), block.size) for block in manifest.blocks)])
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack_manifest(data: bytes) -> Manifest:
    """The manifest of which `data` are the bytes, checked; raises `CorruptManifest`."""
    if len(data) < _HEADER.size + _CHECKSUM.size:
        raise CorruptManifest(reason=f"it is only {len(data)} bytes")
    magic, content_hash, size, count, cut_length = _HEADER.unpack_from(data)
    if magic != MANIFEST_MAGIC:
        raise CorruptManifest(reason="it does not begin like a manifest")
    start = _HEADER.size + cut_length
    end = start + count * _BLOCK.size
    if count > REVISION_BLOCKS_MAX or len(data) != end + _CHECKSUM.size:
        raise CorruptManifest(reason=f"it declares {count} blocks in {len(data)} bytes")
    view = memoryview(data)
    if zlib.crc32(view[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
        raise CorruptManifest(reason="its checksum is wrong")
    try:
        cut = data[_HEADER.size : start].decode("ascii")
    except UnicodeDecodeError as error:
        raise CorruptManifest(reason="its cut's name is not ASCII") from error
    blocks = tuple([Block(Digest(name.hex()), plain_size) for name, plain_size in _BLOCK.iter_unpack(view[start:end])])
    manifest = Manifest(Digest(content_hash.hex()), size, cut, blocks)
    check_manifest(manifest)
    return manifest


def check_manifest(manifest: Manifest) -> None:
    """Raises `CorruptManifest` unless the limits are kept, sizes add up, and names and sizes agree with each other.

    The cut's name may be unknown or empty, since blocks are readable however they were cut.
    """
    blocks = manifest.blocks
    if not 0 <= manifest.size <= FILE_MAX_BYTES or len(blocks) > REVISION_BLOCKS_MAX:
        raise CorruptManifest(reason=f"{manifest.size} bytes in {len(blocks)} blocks are over the limit")
    if not manifest.cut.isascii() or not manifest.cut.isprintable() or len(manifest.cut) > CUT_NAME_MAX_BYTES:
        raise CorruptManifest(reason=f"{manifest.cut[:80]!r} cannot name a cut")
    if not is_digest(manifest.content_hash):
        raise CorruptManifest(reason="its content hash is no digest")
    _check_blocks(blocks)
    total = sum(block.size for block in blocks)
    if total != manifest.size:
        raise CorruptManifest(reason=f"its blocks add up to {total} bytes of {manifest.size}")
    whole = EMPTY_DIGEST if not blocks else blocks[0].hash if len(blocks) == 1 else manifest.content_hash
    if manifest.content_hash != whole:
        raise CorruptManifest(
            reason="its content hash is not that of its only block" if blocks else "it is empty, its content hash is not"
        )


def _check_blocks(blocks: tuple[Block, ...]) -> None:
    sizes: dict[Digest, int] = {}
    for block in blocks:
        if not 0 < block.size <= LARGE_BLOCK_MAX_BYTES:
            raise CorruptManifest(reason=f"a block of {block.size} bytes")
        if not is_digest(block.hash):
            raise CorruptManifest(reason="a block's name is no digest")
        if sizes.setdefault(block.hash, block.size) != block.size:
            raise CorruptManifest(reason="one block with two sizes")
