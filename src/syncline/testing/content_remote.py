"""The content half of `ports.remote.Remote` in memory: blocks, packs, grants and manifests as `protocol.md` §2 has them.

For tests of sending and receiving. Packs are opened and believed only as far as the server would believe them; `calls` records
every round trip; `fault` is asked before and after each and may raise what a network or a server would.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from syncline.content.pack import read_index
from syncline.content.seal import block_key
from syncline.model.blocks import Manifest, PackEntry, PackOffer
from syncline.model.errors import ChecksumMismatch, CorruptPack, Forbidden, LimitExceeded, NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId, ulid
from syncline.model.limits import BATCH_MAX, MANIFEST_BLOCKS_PAGE_MAX
from syncline.ports.remote import Traffic
from syncline.protocol.blocks import (
    DoneAnswer,
    Grant,
    GrantAnswer,
    ManifestsAnswer,
    PackDone,
    PackSource,
    RevisionManifest,
    RevisionRef,
    SignedRequest,
    StoredBlock,
)

Fault = Callable[[str, bool], None]
"""`(call, is_after)`; raises to fail the call, before it took effect or after."""
_SCHEME: Final = "mem:"


def no_fault(call: str, is_after: bool) -> None:
    """Nothing goes wrong."""


class ContentRemote:
    """One server's packs. `page_blocks_max` bounds the blocks of one page of manifests."""

    def __init__(self, *, page_blocks_max: int = MANIFEST_BLOCKS_PAGE_MAX) -> None:
        self.traffic = Traffic()
        self.calls: list[str] = []
        self.fault: Fault = no_fault
        self.objects: dict[PackId, bytearray] = {}
        self.ranges: list[tuple[PackId, int, int]] = []
        self.held: dict[NamespaceId, set[Digest]] = {}
        self.urls_end = 0
        """Addresses signed before this number have run out; `expire` sets it to now."""
        self._page_blocks_max = page_blocks_max
        self._offers: dict[PackId, tuple[NamespaceId, PackOffer]] = {}
        self._copies: dict[Digest, tuple[PackId, PackEntry]] = {}
        self._revisions: dict[tuple[NamespaceId, NodeId, int], Manifest] = {}
        self._numbers = itertools.count(1)
        self._urls = itertools.count(1)

    def expire(self) -> None:
        """Every address signed so far runs out."""
        self.urls_end = next(self._urls)

    def add_revision(self, namespace: NamespaceId, node: NodeId, revision: int, manifest: Manifest) -> None:
        """What a commit would have made of it."""
        self._revisions[namespace, node, revision] = manifest

    # -- the doors -------------------------------------------------------------------------------------------------------------

    async def missing(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[Digest]:
        self._enter("missing")
        if len(hashes) > BATCH_MAX:
            raise LimitExceeded(what="a batch", limit=BATCH_MAX)
        held = self.held.setdefault(namespace, set())
        lacking = [name for name in dict.fromkeys(hashes) if name not in held]
        self.fault("missing", True)
        return lacking

    async def grant(self, namespace: NamespaceId, packs: Sequence[PackOffer]) -> GrantAnswer:
        self._enter("grant")
        grants = []
        for offer in packs:
            pack_id = PackId(ulid(next(self._numbers), b"0123456789"))
            self._offers[pack_id] = (namespace, offer)
            grants.append(Grant(pack_id=pack_id, put=self._sign(pack_id)))
        self.fault("grant", True)
        return GrantAnswer(packs=grants)

    async def put_pack(self, put: SignedRequest, path: str, size: int) -> None:
        self._enter("put")
        pack_id = self._opened(put)
        data = Path(path).read_bytes()
        _, offer = self._offers[pack_id]
        if len(data) != size or size != offer.size or hashlib.sha256(data).hexdigest() != offer.sha256:
            raise ChecksumMismatch()
        self.traffic.sent_bytes += size
        self.objects.setdefault(pack_id, bytearray(data))
        self.fault("put", True)

    async def packs_done(self, pack_ids: Sequence[PackId]) -> DoneAnswer:
        self._enter("done")
        states = []
        for pack_id in pack_ids:
            if pack_id in self.objects:
                self._finish(pack_id)
            states.append(PackDone(pack_id=pack_id, state="done" if pack_id in self.objects else "absent"))
        self.fault("done", True)
        return DoneAnswer(packs=states)

    async def manifests(self, namespace: NamespaceId, revisions: Sequence[RevisionRef]) -> ManifestsAnswer:
        self._enter("manifests")
        packs: dict[PackId, int] = {}
        answers: list[RevisionManifest] = []
        room = self._page_blocks_max
        for ref in revisions:
            if room <= 0:
                break
            answer = self._manifest(namespace, ref, room, packs)
            room -= len(answer.blocks)
            answers.append(answer)
        sources = [PackSource(pack_id=pack, get=self._sign(pack), size=len(self.objects[pack])) for pack in packs]
        self.fault("manifests", True)
        return ManifestsAnswer(manifests=answers, packs=sources)

    async def read_object(self, get: SignedRequest, offset: int, length: int) -> bytes:
        self._enter("read")
        pack_id = self._opened(get)
        data = bytes(self.objects[pack_id][offset : offset + length])
        self.ranges.append((pack_id, offset, length))
        self.traffic.received_bytes += len(data)
        if len(data) != length:
            raise CorruptPack(reason=f"{len(data)} of {length} bytes came")
        self.fault("read", True)
        return data

    async def read_into(self, get: SignedRequest, offset: int, into: memoryview) -> None:
        into[:] = await self.read_object(get, offset, len(into))

    # -- inside ----------------------------------------------------------------------------------------------------------------

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        self.traffic.requests += 1
        self.fault(call, False)

    def _sign(self, pack_id: PackId) -> SignedRequest:
        return SignedRequest(url=f"{_SCHEME}{pack_id}:{next(self._urls)}")

    def _opened(self, request: SignedRequest) -> PackId:
        pack_id, _, number = request.url.removeprefix(_SCHEME).partition(":")
        if int(number) < self.urls_end:
            raise Forbidden(what="use this address any longer")
        return PackId(pack_id)

    def _finish(self, pack_id: PackId) -> None:
        namespace, offer = self._offers[pack_id]
        data = self.objects[pack_id]
        assert read_index(io.BytesIO(data), len(data), offer.pack_key) == offer.index
        for entry in offer.index:
            self._copies[entry.hash] = (pack_id, entry)
        self.held.setdefault(namespace, set()).update(entry.hash for entry in offer.index)

    def _manifest(self, namespace: NamespaceId, ref: RevisionRef, room: int, packs: dict[PackId, int]) -> RevisionManifest:
        manifest = self._revisions.get((namespace, ref.node_id, ref.revision))
        if manifest is None:
            return RevisionManifest(
                node_id=ref.node_id,
                revision=ref.revision,
                content_hash=Digest(""),
                size=0,
                cut="",
                blocks=[],
                error=NotFound.code,
            )
        some = manifest.blocks[ref.from_block : ref.from_block + room]
        end = ref.from_block + len(some)
        return RevisionManifest(
            node_id=ref.node_id,
            revision=ref.revision,
            content_hash=manifest.content_hash,
            size=manifest.size,
            cut=manifest.cut,
            blocks=[self._stored(block.hash, packs) for block in some],
            next_block=end if end < len(manifest.blocks) else None,
        )

    def _stored(self, name: Digest, packs: dict[PackId, int]) -> StoredBlock:
        pack_id, entry = self._copies[name]
        _, offer = self._offers[pack_id]
        return StoredBlock(
            hash=name,
            size=entry.plain_size,
            pack=packs.setdefault(pack_id, len(packs)),
            offset=entry.offset,
            length=entry.length,
            codec=entry.codec,
            key=block_key(offer.pack_key, name),
        )
