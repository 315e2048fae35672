"""The hop revisions ↔ blocks, as a device sees it: the manifest of every file in sync can be had from the server, whole.

A manifest says where each block lies and gives its key, so a file whose manifest is whole can be fetched as far as the server's own
records go; whether the store still holds the bytes is what `syncline admin check` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syncline.client.observe.notes import shown
from syncline.client.verify.held import Held, within
from syncline.client.verify.report import Notebook
from syncline.model.entries import Kind, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.remote import Remote
from syncline.protocol.blocks import RevisionManifest, RevisionRef

TELL: Final = "keep your copy, and tell whoever runs the server: `syncline admin check --deep` says more"


class ManifestCheck:
    def __init__(self, remote: Remote, held: Held, notes: Notebook, only: Sequence[str]) -> None:
        self._remote = remote
        self._held = held
        self._notes = notes
        self._only = only
        self._sizes: dict[NodeId, int] = {}
        self.revisions = 0
        self.blocks = 0

    async def check(self) -> None:
        """Raises `Unavailable` and `Unauthenticated` where the server cannot be asked."""
        by_namespace: dict[NamespaceId, list[SyncedNode]] = {}
        for base in self._held.trees.synced:
            there = self._held.trees.remote.get(base.id)
            if there is not None and _is_same(base, there) and within(self._path(base.id), self._only):
                by_namespace.setdefault(base.namespace, []).append(base)
        for namespace, bases in by_namespace.items():
            for start in range(0, len(bases), BATCH_MAX):
                await self._batch(namespace, bases[start : start + BATCH_MAX])

    async def _batch(self, namespace: NamespaceId, bases: Sequence[SyncedNode]) -> None:
        known = {base.id: base for base in bases}
        refs = [RevisionRef(node_id=base.id, revision=base.revision) for base in bases]
        while refs:
            answer = await self._remote.manifests(namespace, refs)
            refs = refs[len(answer.manifests) :] if answer.manifests else []
            packs = len(answer.packs)
            for manifest in answer.manifests:
                base = known.get(manifest.node_id)
                if base is not None and self._part(base, manifest, packs):
                    refs.insert(0, RevisionRef(node_id=base.id, revision=base.revision, from_block=manifest.next_block or 0))

    def _part(self, base: SyncedNode, manifest: RevisionManifest, packs: int) -> bool:
        """Looks at one manifest, or a part of one; whether more of it is to be asked for."""
        fault = None
        if manifest.error is not None:
            fault = "verify.manifest_missing", f"the server cannot say what revision {base.revision} is made of ({manifest.error})"
        elif manifest.content_hash != base.content_hash:
            fault = "verify.manifest_differs", f"the server's revision {base.revision} has another content than was synced"
        elif any(not 0 <= block.pack < packs for block in manifest.blocks):
            fault = "verify.manifest_differs", f"the manifest of revision {base.revision} names a pack that is not given"
        else:
            self.blocks += len(manifest.blocks)
            total = self._sizes[base.id] = self._sizes.get(base.id, 0) + sum(block.size for block in manifest.blocks)
            if manifest.next_block is not None and manifest.blocks:
                return True
            there = self._held.trees.remote[base.id]
            if not total == manifest.size == there.size:
                message = f"the blocks of revision {base.revision} add up to {total} bytes of {there.size}"
                fault = "verify.manifest_differs", message
        self.revisions += 1
        if fault is not None:
            self._notes.found(fault[0], shown(self._path(base.id)), fault[1], TELL)
        return False

    def _path(self, node_id: NodeId) -> str:
        return self._held.trees.remote_path(node_id) or f"…/{node_id}"


def _is_same(base: SyncedNode, there: RemoteNode) -> bool:
    return base.kind is Kind.FILE and base.content_hash is not None and there.revision == base.revision
