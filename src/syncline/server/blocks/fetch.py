"""Fetching: manifests to read revisions by (`POST /v1/manifests`).

Which stored copy serves a block is chosen here, at reading. A reader gets the keys of exactly the blocks its manifests name, and
one presigned GET per pack. A page holds at most `MANIFEST_BLOCKS_PAGE_MAX` blocks; a revision that cannot be served says why in
its own `error` and spoils no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from syncline.content.seal import block_key
from syncline.model.errors import BlocksMissing, ContentRaw, Corrupt, InvalidRequest, LimitExceeded, NotFound, SynclineError
from syncline.model.ids import Digest, NamespaceId, PackId
from syncline.model.limits import BATCH_MAX, GRANT_TTL_S, MANIFEST_BLOCKS_PAGE_MAX
from syncline.ports.kms import KeyWrapper
from syncline.ports.object_store import ObjectStore
from syncline.ports.pack_store import Copy, PackRow, PackStore
from syncline.protocol.blocks import ManifestsAnswer, ManifestsRequest, PackSource, RevisionManifest, RevisionRef, StoredBlock
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata, RevisionBlocks

_COPIES_AT_ONCE: Final = 1000
_REVISIONS_AT_ONCE: Final = 200
"""Block lists are read whole, so that many large files at once would not fit in memory."""
_INLINE_BLOCKS: Final = 128
"""Below so many blocks, deriving their keys is quicker than a hop to a thread."""


class Fetching:
    def __init__(self, metadata: Metadata, packs: PackStore, objects: ObjectStore, keys: KeyWrapper) -> None:
        self._metadata = metadata
        self._packs = packs
        self._objects = objects
        self._keys = keys

    async def manifests(self, caller: Caller, request: ManifestsRequest) -> ManifestsAnswer:
        """Manifests in request order, as many as fit a page. Raises `NotFound` for a foreign namespace, `LimitExceeded`."""
        if len(request.revisions) > BATCH_MAX:
            raise LimitExceeded(what="The number of revisions", limit=BATCH_MAX)
        slices = await self._page(caller, request)
        hashes = list(dict.fromkeys(block for part in slices for block, _ in part.blocks))
        copies = await self._copies(request.namespace, hashes)
        packs = await self._pack_rows({copy.pack for copy in copies.values()})
        page = _Answer(copies, packs, self._keys, self._objects)
        if len(hashes) <= _INLINE_BLOCKS:
            return page.build(slices)
        return await asyncio.to_thread(page.build, slices)

    async def _page(self, caller: Caller, request: ManifestsRequest) -> list[_Slice]:
        """The slices of one page, in request order; it ends where the page is full."""
        slices, room = list[_Slice](), MANIFEST_BLOCKS_PAGE_MAX
        for start in range(0, len(request.revisions), _REVISIONS_AT_ONCE):
            refs = request.revisions[start : start + _REVISIONS_AT_ONCE]
            found = await self._metadata.revision_blocks(caller, request.namespace, refs)
            for ref, one in zip(refs, found, strict=True):
                if room <= 0:
                    return slices
                slices.append(_Slice(ref, one, room))
                room -= len(slices[-1].blocks)
        return slices

    async def _copies(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> dict[Digest, Copy]:
        copies: dict[Digest, Copy] = {}
        for start in range(0, len(hashes), _COPIES_AT_ONCE):
            for copy in await self._packs.copies(namespace, hashes[start : start + _COPIES_AT_ONCE]):
                copies[copy.hash] = copy
        return copies

    async def _pack_rows(self, ids: set[PackId]) -> dict[PackId, PackRow]:
        wanted = sorted(ids)
        rows: dict[PackId, PackRow] = {}
        for start in range(0, len(wanted), _COPIES_AT_ONCE):
            rows |= {row.id: row for row in await self._packs.packs(wanted[start : start + _COPIES_AT_ONCE])}
        return rows


class _Slice:
    """The part of one revision's block list that a page holds, or why there is none."""

    __slots__ = ("blocks", "error", "found", "next_block", "ref")

    def __init__(self, ref: RevisionRef, found: RevisionBlocks, room: int) -> None:
        self.ref = ref
        self.found = found
        self.error: type[SynclineError] | None = None
        self.next_block: int | None = None
        self.blocks: Sequence[tuple[Digest, int]] = ()
        if found.blocks is None:
            self.error = ContentRaw if found.raw else NotFound
            return
        if not 0 <= ref.from_block <= len(found.blocks):
            self.error = InvalidRequest
            return
        end = ref.from_block + room
        self.blocks = found.blocks[ref.from_block : end]
        self.next_block = end if end < len(found.blocks) else None


class _Answer:
    """Builds one answer: each pack unwrapped and presigned once, however many of its blocks are named."""

    def __init__(self, copies: dict[Digest, Copy], packs: dict[PackId, PackRow], keys: KeyWrapper, objects: ObjectStore) -> None:
        self._copies = copies
        self._packs = packs
        self._keys = keys
        self._objects = objects
        self._sources: list[PackSource] = []
        self._opened: dict[PackId, tuple[int, bytes]] = {}

    def build(self, slices: Sequence[_Slice]) -> ManifestsAnswer:
        return ManifestsAnswer(manifests=[self._manifest(part) for part in slices], packs=self._sources)

    def _manifest(self, part: _Slice) -> RevisionManifest:
        error, blocks = part.error, list[StoredBlock]()
        if error is None:
            try:
                blocks = [self._block(block, size) for block, size in part.blocks]
            except (BlocksMissing, Corrupt) as failure:
                error, blocks = type(failure), []
        return RevisionManifest(
            node_id=part.ref.node_id,
            revision=part.ref.revision,
            content_hash=part.found.content_hash,
            size=part.found.size,
            cut=part.found.cut,
            blocks=blocks,
            next_block=part.next_block if error is None else None,
            error=error.code if error else None,
        )

    def _block(self, block: Digest, size: int) -> StoredBlock:
        copy = self._copies.get(block)
        pack = self._packs.get(copy.pack) if copy else None
        if copy is None or pack is None:
            raise BlocksMissing(count=1)
        number, pack_key = self._opened.get(pack.id) or self._open(pack)
        return StoredBlock(
            hash=block,
            size=size,
            pack=number,
            offset=copy.offset,
            length=copy.length,
            codec=copy.codec,
            key=block_key(pack_key, block),
        )

    def _open(self, pack: PackRow) -> tuple[int, bytes]:
        opened = (len(self._sources), self._keys.unwrap(pack.wrapped_key))
        self._sources.append(
            PackSource(pack_id=pack.id, get=self._objects.presign_get(pack.object_key, ttl_s=GRANT_TTL_S), size=pack.size)
        )
        self._opened[pack.id] = opened
        return opened
