"""Where packs lie, as the server sees it: it signs requests and asks questions; clients move the bytes themselves.

Contract: an object is immutable and appears whole or not at all; a presigned PUT stores exactly `size` bytes with exactly
`sha256`, once (`if-none-match`), before it expires; a presigned GET honours Range.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from syncline.model.ids import Digest
from syncline.protocol.blocks import SignedRequest


class ObjectStat(Struct, frozen=True):
    """`sha256` is None where the store does not keep one: then the caller reads the object back."""

    size: int
    sha256: Digest | None


class ObjectStore(Protocol):
    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest: ...

    def presign_get(self, key: str, *, ttl_s: int) -> SignedRequest: ...

    async def head(self, key: str) -> ObjectStat | None:
        """None when there is no such object. Raises `Unavailable`."""
        ...

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises `NotFound`, `Corrupt` when the object is shorter, `Unavailable`."""
        ...

    async def remove(self, key: str) -> None:
        """Idempotent."""
        ...
