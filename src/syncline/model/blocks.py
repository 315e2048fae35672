"""The nouns of content: blocks, where they lie in a pack, and the manifest that puts them in order."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from syncline.model.ids import Digest


class Codec(StrEnum):
    """How a block's plaintext is stored below its encryption."""

    RAW = "raw"
    ZSTD = "zstd"


class Block(Struct, frozen=True, gc=False):
    """A piece of a file: its name (SHA-256 of its plaintext) and its plain size in bytes."""

    hash: Digest
    size: int


class PackEntry(Struct, frozen=True, gc=False):
    """One block of a pack: where its frame lies, and what comes out of it."""

    hash: Digest
    offset: int
    length: int
    plain_size: int
    codec: Codec


class Manifest(Struct, frozen=True, gc=False):
    """One revision's bytes: blocks in order, their total size, the hash of the whole, and how it was cut."""

    content_hash: Digest
    size: int
    cut: str
    blocks: tuple[Block, ...]


class PackOffer(Struct, kw_only=True):
    """A finished pack, as its maker describes it. `pack_key` is 32 bytes (base64 in JSON) and is stored wrapped."""

    size: int
    sha256: Digest
    index: list[PackEntry]
    pack_key: bytes
