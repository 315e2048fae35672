"""Sealing: one block as it lies in a pack, encrypted under a key of its own (`docs/format/block.md`).

Between compression and the pack. Laws: a pack key is drawn once and encrypts nothing by itself; a block's key is HKDF-SHA256 of
the pack key and the block's name, so a reader who holds it opens this block and no other; nonces are random, so no pair of key and
nonce serves twice; what comes out was authenticated, has the declared size and hashes to its name, or it does not come out.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from syncline.content.compress import decode
from syncline.content.digest import DIGEST_BYTES, Buffer, digest
from syncline.model.blocks import Codec
from syncline.model.errors import CorruptBlock, InvalidId
from syncline.model.ids import Digest
from syncline.model.limits import FRAME_OVERHEAD_MAX_BYTES, LARGE_BLOCK_MAX_BYTES

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
FRAME_VERSION: Final = 1
CODEC_BYTES: Final = {Codec.RAW: 0, Codec.ZSTD: 1}
CODECS: Final = {byte: codec for codec, byte in CODEC_BYTES.items()}

_HEADER: Final = Struct(">BBI12s")
"""Version, codec, plain size, nonce."""
_BOUND: Final = Struct(">BBI32s")
"""Associated data: version, codec, plain size, block name."""
FRAME_OVERHEAD_BYTES: Final = _HEADER.size + TAG_BYTES
assert FRAME_OVERHEAD_BYTES <= FRAME_OVERHEAD_MAX_BYTES

_INDEX_INFO: Final = b"index"
_SHA256: Final = SHA256()


class Chance(Protocol):
    """The part of `ports.clock.Chance` that sealing takes."""

    def token(self, size_bytes: int) -> bytes:
        """Random bytes, fit for keys."""
        ...


class FrameHeader(NamedTuple):
    """What a frame says of itself in the clear; true only once `open_frame` has authenticated it."""

    codec: Codec
    plain_size: int
    nonce: bytes


def new_pack_key(chance: Chance) -> bytes:
    """A fresh pack key: 32 bytes that are stored wrapped, or not at all."""
    return chance.token(KEY_BYTES)


def block_key(pack_key: bytes, block: Digest) -> bytes:
    """The key of one block of a pack: HKDF-SHA256 (RFC 5869), no salt, the 32 bytes of the block's name as info."""
    return derive(pack_key, name_bytes(block))


def index_key(pack_key: bytes) -> bytes:
    """The key of a pack's index. Its info is shorter than any block's, so it equals no block's key."""
    return derive(pack_key, _INDEX_INFO)


def derive(pack_key: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of `pack_key` without salt: 32 bytes."""
    return HKDF(_SHA256, KEY_BYTES, None, info).derive(pack_key)


def name_bytes(block: Digest) -> bytes:
    """A block's name as 32 bytes; raises `InvalidId`."""
    try:
        name = bytes.fromhex(block)
    except ValueError:
        name = b""
    if len(name) != DIGEST_BYTES:
        raise InvalidId(kind="Digest", value=block[:80])
    return name


def seal_frame(payload: Buffer, name: bytes, key: bytes, nonce: bytes, *, codec: Codec, plain_size: int, into: memoryview) -> int:
    """Writes the frame of one encoded block to the head of `into`; its length, `FRAME_OVERHEAD_BYTES` more than the payload's."""
    code = CODEC_BYTES[codec]
    length = len(payload) + FRAME_OVERHEAD_BYTES
    _HEADER.pack_into(into, 0, FRAME_VERSION, code, plain_size, nonce)
    bound = _BOUND.pack(FRAME_VERSION, code, plain_size, name)
    AESGCM(key).encrypt_into(nonce, payload, bound, into[_HEADER.size : length])
    return length


def read_header(frame: Buffer) -> FrameHeader:
    """What a frame declares, not yet authenticated; raises `CorruptBlock`."""
    if len(frame) <= FRAME_OVERHEAD_BYTES:
        raise CorruptBlock(reason=f"its frame is only {len(frame)} bytes")
    version, code, plain_size, nonce = _HEADER.unpack_from(frame)
    codec = CODECS.get(code)
    if version != FRAME_VERSION or codec is None:
        raise CorruptBlock(reason=f"its frame is of unknown format {version}.{code}")
    return FrameHeader(codec, plain_size, nonce)


def open_frame(frame: Buffer, key: bytes, block: Digest, plain_size: int) -> bytes:
    """The plaintext of one frame of a pack, proven to be the block named, of the size named.

    `key` is the block's own key. Raises `CorruptBlock` if anything at all does not fit, without ever holding more than the frame,
    its payload and `plain_size` bytes.
    """
    if not 0 < plain_size <= LARGE_BLOCK_MAX_BYTES:
        raise CorruptBlock(reason=f"no block has {plain_size} bytes", block=block)
    plain = bytearray(plain_size)
    open_frame_into(frame, key, block, memoryview(plain))
    return bytes(plain)


def open_frame_into(frame: Buffer, key: bytes, block: Digest, into: memoryview) -> None:
    """`open_frame` into a buffer as large as the block. After an error it holds anything."""
    codec, declared, nonce = read_header(frame)
    plain_size = len(into)
    if declared != plain_size or not 0 < plain_size <= LARGE_BLOCK_MAX_BYTES:
        raise CorruptBlock(reason=f"its frame declares {declared} bytes where {plain_size} were expected", block=block)
    if len(key) != KEY_BYTES:
        raise CorruptBlock(reason=f"its key is of {len(key)} bytes", block=block)
    sealed = memoryview(frame)[_HEADER.size :]
    try:
        bound = _BOUND.pack(FRAME_VERSION, CODEC_BYTES[codec], plain_size, name_bytes(block))
        if codec is Codec.RAW:
            if len(sealed) != plain_size + TAG_BYTES:
                raise CorruptBlock(reason=f"{len(sealed) - TAG_BYTES} bytes where {plain_size} were declared", block=block)
            AESGCM(key).decrypt_into(nonce, sealed, bound, into)
        else:
            into[:] = decode(codec, AESGCM(key).decrypt(nonce, sealed, bound), plain_size)
    except InvalidTag as error:
        raise CorruptBlock(reason="it was not sealed under this key and name", block=block) from error
    except InvalidId as error:
        raise CorruptBlock(reason="its name is no digest", block=block) from error
    if digest(into) != block:
        raise CorruptBlock(reason="its bytes are not those of its name", block=block)
