"""Ports in memory, for tests: they keep the promises and none of the machinery."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.model.blocks import Manifest
from syncline.model.conflicts import OpenConflict
from syncline.model.entries import LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.tree_store import BlockSource, Changes, CursorRow, InflightRow, Remembered, SpoolRow


class MemoryTreeStore:
    """`ports.tree_store.TreeStore` in dictionaries. `writes` counts transactions."""

    def __init__(self) -> None:
        self.writes = 0
        self.remote: dict[NodeId, RemoteNode] = {}
        self.local: dict[NodeId, LocalNode] = {}
        self.synced: dict[NodeId, SyncedNode] = {}
        self.cursors: dict[NamespaceId, CursorRow] = {}
        self.inflight: dict[str, InflightRow] = {}
        self.conflicts: dict[NodeId, OpenConflict] = {}
        self.meta: dict[str, str] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self._spool: dict[str, SpoolRow] = {}

    def load(self) -> Remembered:
        return Remembered(
            remote=list(self.remote.values()),
            local=list(self.local.values()),
            synced=list(self.synced.values()),
            cursors=list(self.cursors.values()),
            inflight=list(self.inflight.values()),
            meta=dict(self.meta),
            conflicts=list(self.conflicts.values()),
        )

    def write(self, changes: Changes) -> None:
        self.writes += 1
        for remote in changes.remote_put:
            self.remote[remote.id] = remote
        for local in changes.local_put:
            self.local[local.id] = local
        for synced in changes.synced_put:
            self.synced[synced.id] = synced
        for cursor in changes.cursor_put:
            self.cursors[cursor.namespace] = cursor
        for row in changes.inflight_put:
            self.inflight[row.id] = row
        for manifest in changes.manifest_put:
            self._manifests[manifest.content_hash] = manifest
        for conflict in changes.conflict_put:
            self.conflicts[conflict.copy] = conflict
        self.meta.update(changes.meta_put)
        self._remove(changes)

    def _remove(self, changes: Changes) -> None:
        for node in changes.remote_remove:
            self.remote.pop(node, None)
        for node in changes.local_remove:
            self.local.pop(node, None)
        for node in changes.synced_remove:
            self.synced.pop(node, None)
        for namespace in changes.cursor_remove:
            self.cursors.pop(namespace, None)
        for node in changes.conflict_remove:
            self.conflicts.pop(node, None)
        for row_id in changes.inflight_remove:
            self.inflight.pop(row_id, None)

    def manifest(self, content_hash: Digest) -> Manifest | None:
        return self._manifests.get(content_hash)

    def block_sources(self, hashes: Sequence[Digest]) -> dict[Digest, BlockSource]:
        wanted, found = set(hashes), {}
        for manifest in self._manifests.values():
            offset = 0
            for block in manifest.blocks:
                if block.hash in wanted:
                    found[block.hash] = BlockSource(manifest.content_hash, offset, block.size)
                offset += block.size
        return found

    def spooled(self) -> list[SpoolRow]:
        return list(self._spool.values())

    def spool_put(self, rows: Sequence[SpoolRow]) -> None:
        self._spool.update((row.file_name, row) for row in rows)

    def spool_remove(self, file_names: Sequence[str]) -> None:
        for file_name in file_names:
            self._spool.pop(file_name, None)

    def close(self) -> None:
        """Nothing to give back."""
