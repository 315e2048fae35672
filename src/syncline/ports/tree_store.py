"""What a device remembers: three trees, cursors, open conflicts, side effects in flight, manifests of what it holds,
packs in its spool.

One writer. `write` is one durable transaction: it has happened entirely when it returns, or not at all. Methods block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from syncline.model.blocks import Manifest
from syncline.model.conflicts import OpenConflict
from syncline.model.entries import Access, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId


class CursorRow(Struct, frozen=True, kw_only=True):
    """Where a namespace's remote tree stands. `root` is the Merkle root the server gave for `sequence`. With an empty `cursor` the
    namespace may not be seen any more, and only its name is still known."""

    namespace: NamespaceId
    name: str
    access: Access
    is_root: bool
    cursor: str
    epoch: str
    sequence: int
    chain: Digest
    root: str


class InflightRow(Struct, frozen=True, kw_only=True):
    """A side effect on disk that could not be re-derived after a crash: recorded durably before it begins, removed with the
    transaction that claims its result. `kind` and `fields` are the business of `client.receive.apply`."""

    id: str
    kind: str
    fields: dict[str, str | int | bool | None]


class SpoolRow(Struct, frozen=True, kw_only=True):
    """A finished pack in the spool. `pack_id` is set once granted. `entries` is the offer, encoded (msgspec JSON)."""

    file_name: str
    namespace: NamespaceId
    offer: bytes
    pack_id: PackId | None = None


class BlockSource(Struct, frozen=True, gc=False):
    """Where a block's plaintext may lie locally: inside the file whose content is `content_hash`. A hint, re-verified on use."""

    content_hash: Digest
    offset: int
    size: int


class Changes(Struct, kw_only=True):
    """One transaction. Puts replace by id."""

    remote_put: list[RemoteNode] = field(default_factory=list)
    remote_remove: list[NodeId] = field(default_factory=list)
    local_put: list[LocalNode] = field(default_factory=list)
    local_remove: list[NodeId] = field(default_factory=list)
    synced_put: list[SyncedNode] = field(default_factory=list)
    synced_remove: list[NodeId] = field(default_factory=list)
    cursor_put: list[CursorRow] = field(default_factory=list)
    cursor_remove: list[NamespaceId] = field(default_factory=list)
    inflight_put: list[InflightRow] = field(default_factory=list)
    inflight_remove: list[str] = field(default_factory=list)
    manifest_put: list[Manifest] = field(default_factory=list)
    """Only manifests of two blocks or more need keeping: a single block is named by its content hash."""
    conflict_put: list[OpenConflict] = field(default_factory=list)
    conflict_remove: list[NodeId] = field(default_factory=list)
    """By the id of the copy."""
    meta_put: dict[str, str] = field(default_factory=dict)


class Remembered(Struct, kw_only=True):
    remote: list[RemoteNode]
    local: list[LocalNode]
    synced: list[SyncedNode]
    cursors: list[CursorRow]
    inflight: list[InflightRow]
    meta: dict[str, str]
    conflicts: list[OpenConflict] = field(default_factory=list)


class TreeStore(Protocol):
    def load(self) -> Remembered: ...

    def write(self, changes: Changes) -> None: ...

    def manifest(self, content_hash: Digest) -> Manifest | None: ...

    def block_sources(self, hashes: Sequence[Digest]) -> dict[Digest, BlockSource]: ...

    def spooled(self) -> list[SpoolRow]: ...

    def spool_put(self, rows: Sequence[SpoolRow]) -> None: ...

    def spool_remove(self, file_names: Sequence[str]) -> None: ...

    def close(self) -> None: ...
