"""Moving content: which blocks are missing, grants for packs, and manifests to read by (`protocol.md` §2)."""

from __future__ import annotations

from msgspec import Struct, field

from syncline.model.blocks import Codec
from syncline.model.blocks import PackOffer as PackOffer
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId


class MissingRequest(Struct, kw_only=True):
    """`POST /v1/blocks/missing`; at most `BATCH_MAX` hashes."""

    namespace: NamespaceId
    hashes: list[Digest]


class MissingAnswer(Struct, kw_only=True):
    missing: list[Digest]


class GrantRequest(Struct, kw_only=True):
    """`POST /v1/packs`."""

    namespace: NamespaceId
    packs: list[PackOffer]


class SignedRequest(Struct, kw_only=True):
    """A presigned request: every header must be sent as given, since the signature binds it."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


class Grant(Struct, kw_only=True):
    pack_id: PackId
    put: SignedRequest


class GrantAnswer(Struct, kw_only=True):
    """In request order."""

    packs: list[Grant]


class DoneRequest(Struct, kw_only=True):
    """`POST /v1/packs/done`; idempotent."""

    pack_ids: list[PackId]


class PackDone(Struct, kw_only=True):
    """`state` is `done`, or `absent` where the store does not hold the pack (grant it again), or `unknown`."""

    pack_id: PackId
    state: str


class DoneAnswer(Struct, kw_only=True):
    """In request order."""

    packs: list[PackDone]


class RevisionRef(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One revision of one node; `from_block` continues a manifest that did not fit a page."""

    node_id: NodeId
    revision: int
    from_block: int = 0


class ManifestsRequest(Struct, kw_only=True):
    """`POST /v1/manifests`; at most `BATCH_MAX` revisions."""

    namespace: NamespaceId
    revisions: list[RevisionRef]


class StoredBlock(Struct, kw_only=True, array_like=True, gc=False):
    """A block of a manifest and where to read it: `pack` is an index into the answer's packs, `key` the block's own key."""

    hash: Digest
    size: int
    pack: int
    offset: int
    length: int
    codec: Codec
    key: bytes


class RevisionManifest(Struct, kw_only=True, omit_defaults=True, gc=False):
    """`next_block` says where to go on when the page ended inside this manifest. `error` is a problem code instead of blocks."""

    node_id: NodeId
    revision: int
    content_hash: Digest
    size: int
    cut: str
    blocks: list[StoredBlock]
    next_block: int | None = None
    error: str | None = None


class PackSource(Struct, kw_only=True):
    """A presigned GET that honours Range."""

    pack_id: PackId
    get: SignedRequest
    size: int


class ManifestsAnswer(Struct, kw_only=True):
    """In request order, perhaps fewer than asked (`manifests` ends early when the page is full: ask again for the rest)."""

    manifests: list[RevisionManifest]
    packs: list[PackSource]
