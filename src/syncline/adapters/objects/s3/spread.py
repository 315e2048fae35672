"""Several buckets as one store: for stores whose buckets have a size they had better not pass.

An object's key says where it lies: one that ends in a letter above `f` names the bucket by it (`g` is the second), all others lie
in the first, as they do in a store that has only one. So buckets may be added at the end of the list at any time, and new objects
are spread over all of them; none may be taken off it while anything lies in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from syncline.adapters.objects.keys import drawn_key
from syncline.adapters.objects.s3.store import S3Objects
from syncline.model.errors import NotFound
from syncline.model.ids import Digest
from syncline.model.limits import BUCKETS_MAX
from syncline.ports.clock import Chance
from syncline.ports.object_listing import ListedObject
from syncline.ports.object_store import ObjectStat, StoredPart
from syncline.protocol.blocks import SignedRequest

MARKS: Final = "ghijklmnopqrstuvwxyz"
assert len(MARKS) == BUCKETS_MAX - 1


class SpreadObjects:
    """`ports.object_store.MultipartStore` and `ports.object_listing.ObjectListing` over 1 to `BUCKETS_MAX` of them."""

    def __init__(self, buckets: Sequence[S3Objects]) -> None:
        assert 1 <= len(buckets) <= BUCKETS_MAX
        self._buckets = tuple(buckets)

    def fresh_key(self, chance: Chance) -> str:
        number = int.from_bytes(chance.token(4)) % len(self._buckets)
        return drawn_key(chance) + ("" if number == 0 else MARKS[number - 1])

    def _of(self, key: str) -> S3Objects:
        """Raises `NotFound` for a bucket that is not on the list."""
        number = 1 + MARKS.find(key[-1:]) if key else 0
        if number >= len(self._buckets):
            raise NotFound(what="This object (its bucket is not among objects.more_buckets any more)")
        return self._buckets[number]

    # -- ports.object_store ----------------------------------------------------------------------------------------------

    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest:
        return self._of(key).presign_put(key, size=size, sha256=sha256, ttl_s=ttl_s)

    def presign_get(self, key: str, *, ttl_s: int, answer: Mapping[str, str] | None = None) -> SignedRequest:
        return self._of(key).presign_get(key, ttl_s=ttl_s, answer=answer)

    async def head(self, key: str) -> ObjectStat | None:
        return await self._of(key).head(key)

    async def read(self, key: str, offset: int, length: int) -> bytes:
        return await self._of(key).read(key, offset, length)

    async def remove(self, key: str) -> None:
        await self._of(key).remove(key)

    async def write(self, key: str, data: bytes) -> None:
        await self._of(key).write(key, data)

    async def size_of(self, key: str) -> int | None:
        return await self._of(key).size_of(key)

    async def create_multipart(self, key: str) -> str:
        return await self._of(key).create_multipart(key)

    def presign_part(self, key: str, upload_id: str, number: int, *, size: int, ttl_s: int) -> SignedRequest:
        return self._of(key).presign_part(key, upload_id, number, size=size, ttl_s=ttl_s)

    async def list_parts(self, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> list[StoredPart]:
        return await self._of(key).list_parts(key, upload_id, after=after, limit=limit)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> str:
        return await self._of(key).complete_multipart(key, upload_id, parts)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        await self._of(key).abort_multipart(key, upload_id)

    # -- ports.object_listing --------------------------------------------------------------------------------------------

    async def listed(self, after: str, limit: int) -> list[ListedObject]:
        pages = await asyncio.gather(*(bucket.listed(after, limit) for bucket in self._buckets))
        return sorted((found for page in pages for found in page), key=lambda found: found.key)[:limit]
