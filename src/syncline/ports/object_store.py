"""Where packs and raw contents lie, as the server sees it: it signs requests and asks questions; clients move the bytes themselves.

Contract: an object is immutable and appears whole or not at all; a presigned PUT stores exactly `size` bytes with exactly
`sha256`, once (`if-none-match`), before it expires; a presigned GET honours Range. An object that comes in parts is none until it
is completed: then it is one like all others, and no part is taken any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from syncline.model.ids import Digest
from syncline.ports.clock import Chance
from syncline.protocol.blocks import SignedRequest


class ObjectStat(Struct, frozen=True):
    """`sha256` is None where the store does not keep one: then the caller reads the object back."""

    size: int
    sha256: Digest | None


class StoredPart(Struct, frozen=True):
    """A part of an object that is still to be completed. `etag` is the store's own mark of these very bytes, without quotes;
    `sha256` is None where the store does not tell it."""

    number: int
    etag: str
    size: int
    sha256: Digest | None = None


class ObjectStore(Protocol):
    def fresh_key(self, chance: Chance) -> str:
        """A key for an object that is still to come: 16 to 64 lower-case letters and digits, never drawn before."""
        ...

    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest: ...

    def presign_get(self, key: str, *, ttl_s: int, answer: Mapping[str, str] | None = None) -> SignedRequest:
        """`answer` are headers the store is to answer with, among `content-type` and `content-disposition`; the signature binds
        them."""
        ...

    async def head(self, key: str) -> ObjectStat | None:
        """None when there is no such object. Raises `Unavailable`."""
        ...

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises `NotFound`, `Corrupt` when the object is shorter, `Unavailable`."""
        ...

    async def remove(self, key: str) -> None:
        """Idempotent."""
        ...

    async def write(self, key: str, data: bytes) -> None:
        """Stores an object of the server's own making. Raises `AlreadyExists`, `DiskFull`, `Unavailable`."""
        ...


class MultipartStore(ObjectStore, Protocol):
    """A store that takes an object in parts too, from 1 to `UPLOAD_PARTS_MAX`, in any order and side by side."""

    async def create_multipart(self, key: str) -> str:
        """The id by which the store knows this object-to-be, at most 2,000 characters. Raises `Unavailable`."""
        ...

    def presign_part(self, key: str, upload_id: str, number: int, *, size: int, ttl_s: int) -> SignedRequest:
        """A PUT of exactly `size` bytes as that part, as often as wanted until it expires: the last one stands. Its answer bears
        the part's ETag. Once the object is completed or aborted it stores nothing."""
        ...

    async def list_parts(self, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> list[StoredPart]:
        """Parts that are there whole, numbers above `after`, ascending. Raises `NotFound` once completed or aborted."""
        ...

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> str:
        """Makes these parts, in order, the object; its ETag. Saying it again gives the same as long as the object is there.

        Raises `Conflict` where a part is not there as listed (nothing has happened), `NotFound` where there is neither the
        object nor the parts, `Unavailable`: then it may have happened or not.
        """
        ...

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Removes the parts; nothing where it was completed. Idempotent. Without an `upload_id` (the answer to `create_multipart`
        was lost) it removes what it can find under that key, if anything."""
        ...

    async def size_of(self, key: str) -> int | None:
        """Of an object that is whole; None when there is none. Reads none of its bytes. Raises `Unavailable`."""
        ...
