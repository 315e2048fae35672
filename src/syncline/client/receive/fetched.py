"""The nouns of receiving: a revision wanted on this disk, and what came of it."""

from __future__ import annotations

from msgspec import Struct

from syncline.model.blocks import Manifest
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NamespaceId, NodeId


class Wanted(Struct, frozen=True, kw_only=True):
    """A revision to bring to a temporary file."""

    node: NodeId
    namespace: NamespaceId
    revision: int
    content_hash: Digest
    size: int
    executable: bool
    mtime_us: int


class Fetched(Struct, frozen=True, kw_only=True):
    """Verified bytes under `.syncline/tmp`, with mode and mtime set, not yet synced to disk. `manifest` where it was learnt and has
    two blocks or more."""

    node: NodeId
    revision: int
    content_hash: Digest
    size: int
    temp_path: str
    manifest: Manifest | None = None
    ours: Digest | None = None
    merged: Digest | None = None
    """A merge: the file holds `merged`, made of the revision's bytes and the local content `ours`; `size` is its own."""


class FetchFailed(Struct, frozen=True, kw_only=True):
    node: NodeId
    error: SynclineError
