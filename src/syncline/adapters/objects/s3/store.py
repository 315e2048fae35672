"""The object store on S3 and what speaks like it: `ports.object_store.MultipartStore` and `ports.object_listing.ObjectListing`.

Laws: keys are checked as the disk store's are; a checksum the store tells is believed only where the store was seen to refuse a
wrong one (`Enforced`, asked at start), else callers read back; an object of the server's own making is stored once, also where a
repeated request meets its own first attempt.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from syncline.adapters.objects.keys import drawn_key
from syncline.adapters.objects.s3 import answers
from syncline.adapters.objects.s3.caller import Answer, Bucket
from syncline.adapters.objects.s3.cdn import CdnSigner
from syncline.adapters.objects.signing import answer_parameters, put_headers
from syncline.model.errors import AlreadyExists, Conflict, Corrupt, NotFound, Unavailable
from syncline.model.ids import Digest
from syncline.ports.clock import Chance
from syncline.ports.object_listing import ListedObject
from syncline.ports.object_store import ObjectStat, StoredPart
from syncline.protocol.blocks import SignedRequest

LIST_PAGE_MAX: Final = 1000
_KEY: Final = re.compile(r"[0-9a-z]{16,64}")


class Enforced(Struct, frozen=True, kw_only=True):
    """What a store was seen to enforce."""

    checksum: bool = False
    """It refuses other bytes than the signed checksum's, and tells the checksum it keeps."""
    once: bool = False
    """It refuses to store an object where one is (`If-None-Match: *`)."""


class S3Objects:
    def __init__(
        self,
        bucket: Bucket,
        enforced: Enforced = Enforced(),  # noqa: B008 - a frozen value
        cdn: CdnSigner | None = None,
    ) -> None:
        """`cdn`, where there is one, is what clients download from."""
        self._bucket = bucket
        self._enforced = enforced
        self._cdn = cdn

    async def close(self) -> None:
        await self._bucket.close()

    # -- ports.object_store ----------------------------------------------------------------------------------------------

    def fresh_key(self, chance: Chance) -> str:
        return drawn_key(chance)

    def presign_put(self, key: str, *, size: int, sha256: Digest, ttl_s: int) -> SignedRequest:
        headers = put_headers(size, sha256) | self._bucket.kept_as
        return self._bucket.presigned("PUT", _checked(key), ttl_s=ttl_s, headers=headers)

    def presign_get(self, key: str, *, ttl_s: int, answer: Mapping[str, str] | None = None) -> SignedRequest:
        query = answer_parameters(answer)
        if self._cdn is not None:
            return self._cdn.presign_get(_checked(key), ttl_s=ttl_s, query=query)
        return self._bucket.presigned("GET", _checked(key), ttl_s=ttl_s, query=query)

    async def head(self, key: str) -> ObjectStat | None:
        found = await self._head(key)
        if found is None:
            return None
        return ObjectStat(_size(found), answers.checksum_of(found.headers) if self._enforced.checksum else None)

    async def read(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        stretch = {"range": f"bytes={offset}-{offset + length - 1}"}
        answer = await self._bucket.call("GET", _checked(key), headers=stretch, limit_bytes=length)
        if answer.status != 206 and offset > 0:
            raise Unavailable(what=answers.STORE, reason="it gives no ranges")
        if len(answer.body) != length:
            raise Corrupt(what="An object", reason="it is shorter than it should be")
        return answer.body

    async def remove(self, key: str) -> None:
        try:
            await self._bucket.call("DELETE", _checked(key))
        except NotFound:
            return

    async def write(self, key: str, data: bytes) -> None:
        """As the port has it; where exactly these bytes are stored already, perhaps by an attempt whose answer was lost, it is
        done too."""
        sha256 = hashlib.sha256(data)
        headers = {"x-amz-checksum-sha256": b64encode(sha256.digest()).decode(), "if-none-match": "*"} | self._bucket.kept_as
        try:
            if not self._enforced.once and await self._head(key) is not None:
                raise AlreadyExists(what="This object")
            await self._bucket.call("PUT", _checked(key), headers=headers, body=data)
        except AlreadyExists:
            if not await self._holds(key, data, Digest(sha256.hexdigest())):
                raise

    async def size_of(self, key: str) -> int | None:
        found = await self._head(key)
        return None if found is None else _size(found)

    async def _head(self, key: str) -> Answer | None:
        try:
            return await self._bucket.call("HEAD", _checked(key), headers={"x-amz-checksum-mode": "ENABLED"})
        except NotFound:
            return None

    async def _holds(self, key: str, data: bytes, sha256: Digest) -> bool:
        stat = await self.head(key)
        if stat is None or stat.size != len(data):
            return False
        return stat.sha256 == sha256 if stat.sha256 is not None else await self.read(key, 0, len(data)) == data

    # -- ports.object_store: in parts ------------------------------------------------------------------------------------

    async def create_multipart(self, key: str) -> str:
        # Made twice, the first is never completed, and goes with those that `abort_multipart` finds.
        answer = await self._bucket.call("POST", _checked(key), query={"uploads": ""}, headers=self._bucket.kept_as)
        return answers.upload_id(answer.body)

    def presign_part(self, key: str, upload_id: str, number: int, *, size: int, ttl_s: int) -> SignedRequest:
        query = {"partNumber": str(number), "uploadId": upload_id}
        return self._bucket.presigned("PUT", _checked(key), ttl_s=ttl_s, headers={"content-length": str(size)}, query=query)

    async def list_parts(self, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> list[StoredPart]:
        query = {"uploadId": upload_id, "part-number-marker": str(after), "max-parts": str(min(limit, LIST_PAGE_MAX))}
        found = answers.parts((await self._bucket.call("GET", _checked(key), query=query)).body)
        return [part for part in found if part.number > after][:limit]

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> str:
        if any(after.number <= before.number for before, after in pairwise(parts)) or not parts:
            # Stores differ in how they refuse these; some take them.
            raise Conflict(reason="parts out of order")
        body = answers.completion(list(parts))
        try:
            answer = await self._bucket.call("POST", _checked(key), query={"uploadId": upload_id}, body=body)
        except NotFound:
            # Completed before, perhaps by an attempt whose answer was lost.
            found = await self._head(key)
            if found is None:
                raise
            return answers.bare(found.headers.get("etag", ""))
        return answers.completed(answer.body)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        ids = [upload_id] if upload_id else await self._uploads(key)
        for one in ids:
            try:
                await self._bucket.call("DELETE", _checked(key), query={"uploadId": one})
            except NotFound:
                continue

    async def _uploads(self, key: str) -> list[str]:
        answer = await self._bucket.call("GET", "", query={"uploads": "", "prefix": _checked(key)})
        return [upload for name, upload in answers.uploads(answer.body) if name == key]

    # -- ports.object_listing --------------------------------------------------------------------------------------------

    async def listed(self, after: str, limit: int) -> list[ListedObject]:
        found = list[ListedObject]()
        more = True
        while more and len(found) < limit:
            query = {"list-type": "2", "max-keys": str(min(LIST_PAGE_MAX, limit))} | ({"start-after": after} if after else {})
            page, more = answers.listing((await self._bucket.call("GET", "", query=query)).body)
            if not page:
                break
            after = page[-1][0]
            found += [ListedObject(key, size) for key, size in page if _KEY.fullmatch(key)]
        return found[:limit]


def _checked(key: str) -> str:
    """Raises `NotFound` for what cannot be a key."""
    if not _KEY.fullmatch(key):
        raise NotFound(what="This object")
    return key


def _size(head: Answer) -> int:
    try:
        return int(head.headers["content-length"])
    except (KeyError, ValueError):
        raise Unavailable(what=answers.STORE, reason="it tells no sizes") from None
