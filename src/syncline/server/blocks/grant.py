"""Granting: which blocks a caller must send, and leave to send packs of them (`protocol.md` §2, steps 1 and 3).

Laws: the offer is checked whole before anything is stored; the intent row, with the wrapped key and an expiry, exists before its
URL does; object keys are random and say nothing; the URL binds length, SHA-256 and if-none-match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syncline.model.blocks import Codec, PackEntry, PackOffer
from syncline.model.entries import Access
from syncline.model.errors import Forbidden, InvalidRequest, LimitExceeded, QuotaExceeded
from syncline.model.ids import Digest, NamespaceId, PackId, is_digest, parse_digest
from syncline.model.limits import (
    BATCH_MAX,
    FRAME_OVERHEAD_MAX_BYTES,
    GRANT_TTL_S,
    LARGE_BLOCK_MAX_BYTES,
    PACK_BLOCKS_MAX,
    PACK_MAX_BYTES,
)
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import PackRow, PackStore
from syncline.protocol.blocks import Grant, GrantAnswer, GrantRequest, MissingAnswer, MissingRequest
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata

PACK_KEY_BYTES: Final = 32


class Granting:
    """Answers "what must I send?" and "where to?"."""

    def __init__(
        self, metadata: Metadata, packs: PackStore, objects: ObjectStore, keys: KeyWrapper, clock: Clock, chance: Chance
    ) -> None:
        self._metadata = metadata
        self._packs = packs
        self._objects = objects
        self._keys = keys
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)

    async def missing(self, caller: Caller, request: MissingRequest) -> MissingAnswer:
        """Those of the hashes the caller must send. Raises `NotFound`, `Forbidden`, `LimitExceeded`, `InvalidId`."""
        _bounded(request.hashes)
        for text in request.hashes:
            parse_digest(text)
        await self._check_may_write(caller, request.namespace)
        if not await self._metadata.is_member(caller, request.namespace):
            # What else lies there is none of their business: they send what they name.
            return MissingAnswer(missing=request.hashes)
        return MissingAnswer(missing=await self._packs.missing(request.namespace, caller.user_id, request.hashes))

    async def grant(self, caller: Caller, request: GrantRequest) -> GrantAnswer:
        """A presigned PUT for each pack, good for `GRANT_TTL_S`. Raises as `missing` does, and `InvalidRequest`."""
        _bounded(request.packs)
        for number, offer in enumerate(request.packs):
            check_offer(offer, number)
        access = await self._check_may_write(caller, request.namespace)
        if access is Access.OWNER:
            await self._check_quota(caller, request.packs)
        now_us = self._clock.now_us()
        rows = [self._intent(caller, request.namespace, offer, now_us) for offer in request.packs]
        await self._packs.add_packs([(row, offer.index) for row, offer in zip(rows, request.packs, strict=True)])
        return GrantAnswer(
            packs=[
                Grant(
                    pack_id=row.id,
                    put=self._objects.presign_put(row.object_key, size=row.size, sha256=row.sha256, ttl_s=GRANT_TTL_S),
                )
                for row in rows
            ]
        )

    def _intent(self, caller: Caller, namespace: NamespaceId, offer: PackOffer, now_us: int) -> PackRow:
        return PackRow(
            id=PackId(self._ids.fresh()),
            namespace=namespace,
            user=caller.user_id,
            object_key=self._objects.fresh_key(self._chance),
            size=offer.size,
            sha256=offer.sha256,
            wrapped_key=self._keys.wrap(offer.pack_key),
            state="granted",
            expires_us=now_us + GRANT_TTL_S * 1_000_000,
            created_us=now_us,
        )

    async def _check_may_write(self, caller: Caller, namespace: NamespaceId) -> Access:
        access = await self._metadata.may_send(caller, namespace)
        if not access.may_write:
            raise Forbidden(what="write")
        return access

    async def _check_quota(self, caller: Caller, offers: Sequence[PackOffer]) -> None:
        """Bytes that cannot be committed are not sent first. The commit decides; others' namespaces are its business alone."""
        usage = await self._metadata.usage(caller)
        wanted = sum(entry.plain_size for offer in offers for entry in offer.index)
        if usage.quota_bytes is not None and usage.used_bytes + wanted > usage.quota_bytes:
            raise QuotaExceeded(limit=usage.quota_bytes)


def check_offer(offer: PackOffer, number: int) -> None:
    """Raises `InvalidRequest` or `LimitExceeded` unless the offer can be an honest pack's description."""
    index = offer.index
    if len(index) > PACK_BLOCKS_MAX:
        raise LimitExceeded(what="The number of blocks in a pack", limit=PACK_BLOCKS_MAX)
    if offer.size > PACK_MAX_BYTES + (len(index) + 1) * FRAME_OVERHEAD_MAX_BYTES:
        raise LimitExceeded(what="The size of a pack", limit=PACK_MAX_BYTES)
    if not index or offer.size <= 0:
        raise InvalidRequest(message=f"Pack {number} is empty")
    if not is_digest(offer.sha256) or len(offer.pack_key) != PACK_KEY_BYTES:
        raise InvalidRequest(message=f"Pack {number} needs a SHA-256 in hexadecimal and a key of {PACK_KEY_BYTES} bytes")
    seen: set[Digest] = set()
    end = 0
    for entry in sorted(index, key=_offset):
        problem = _entry_problem(entry, end, offer.size)
        if problem is None and entry.hash in seen:
            problem = "names a block twice"
        if problem is not None:
            raise InvalidRequest(message=f"The index of pack {number} {problem}")
        seen.add(entry.hash)
        end = entry.offset + entry.length


def _entry_problem(entry: PackEntry, end: int, size: int) -> str | None:
    if not is_digest(entry.hash):
        return "holds a block name that is no SHA-256"
    if not 0 < entry.plain_size <= LARGE_BLOCK_MAX_BYTES:
        return "holds a block of impossible size"
    if not 0 < entry.length <= LARGE_BLOCK_MAX_BYTES + FRAME_OVERHEAD_MAX_BYTES:
        return "holds a frame of impossible length"
    if entry.codec is Codec.RAW and entry.length < entry.plain_size:
        return "holds a raw block shorter than its plaintext"
    if entry.offset < end:
        return "holds overlapping blocks"
    if entry.offset + entry.length > size:
        return "reaches past the end of the pack"
    return None


def _offset(entry: PackEntry) -> int:
    return entry.offset


def _bounded(entries: Sequence[object]) -> None:
    if len(entries) > BATCH_MAX:
        raise LimitExceeded(what="The number of entries", limit=BATCH_MAX)
