"""Reading the server: the journal by cursor into the remote tree, or a snapshot where the history was reset.

Laws (`docs/protocol.md`): the cursor and the rows it stands for are one transaction; the chain over the rows of every page and the
Merkle root at its end are recomputed here, and a page that does not add up is thrown away for a snapshot. After a reset of the
same epoch absences are deletes; under a new epoch, or a history that diverged, the synced tree counts as empty, so that nothing is
deleted on a server's account that lost its memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from msgspec.structs import replace

from syncline.client.proof import Roots
from syncline.client.trees.trees import Trees
from syncline.model.entries import RemoteNode
from syncline.model.errors import Corrupt, CursorReset, HistoryExpired
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, chain_over
from syncline.ports.remote import Remote
from syncline.ports.tree_store import CursorRow, TreeStore
from syncline.protocol.sessions import Namespace

log = structlog.get_logger(__name__)

SNAPSHOT_PAGES_MAX = 100_000
REPLAY_PAGES_MAX = 1_000_000


class Puller:
    """Keeps the remote tree of every namespace at the server's head."""

    def __init__(self, remote: Remote, trees: Trees, store: TreeStore, cursors: Iterable[CursorRow]) -> None:
        self._remote = remote
        self._trees = trees
        self._store = store
        self.cursors: dict[NamespaceId, CursorRow] = {row.namespace: row for row in cursors}
        self.roots = Roots(trees.remote)
        self._spaces: dict[NamespaceId, Namespace] = {}
        self.resets = 0
        """How often history had to be observed anew."""

    async def refresh_namespaces(self) -> None:
        """Asks which namespaces this device may see, and with what access."""
        answer = await self._remote.namespaces()
        self._trees.access = {space.id: space.access for space in answer.namespaces}
        for space in answer.namespaces:
            known = self.cursors.get(space.id)
            if known is not None and (known.access, known.name) != (space.access, space.name):
                self.cursors[space.id] = replace(known, name=space.name, access=space.access)
        self._spaces = {space.id: space for space in answer.namespaces}

    async def pull(self, namespace: NamespaceId) -> bool:
        """Brings one namespace to the head; whether anything came. Raises `Unavailable` and what else the remote raises."""
        row = self.cursors.get(namespace)
        if row is None:
            await self._observe_anew(namespace, forget_synced=False)
            return True
        try:
            return await self._follow(row)
        except (CursorReset, HistoryExpired) as reset:
            reason = str(reset.fields.get("reason", reset.code))
            log.warning("history.reset", namespace=namespace, reason=reason)
            diverged = reason in ("history_diverged", "epoch_changed")
        except Corrupt as damage:
            log.warning("history.mismatch", namespace=namespace, reason=str(damage))
            diverged = False
        self.resets += 1
        await self._observe_anew(namespace, forget_synced=diverged)
        return True

    async def _follow(self, row: CursorRow) -> bool:
        came = False
        for _ in range(REPLAY_PAGES_MAX):
            page = await self._remote.changes(row.namespace, row.cursor)
            if page.epoch != row.epoch:
                raise CursorReset(reason="epoch_changed", epoch=page.epoch)
            if page.entries:
                came = True
                entries = [entry.row() for entry in page.entries]
                await asyncio.to_thread(self._check_chain, row, entries, page.chain)
                for entry in entries:
                    self._apply(row.namespace, entry)
                if self.roots.text(row.namespace) != page.root:
                    raise Corrupt(what=f"the tree of {row.namespace}", reason="its Merkle root is not the server's")
            row = replace(row, cursor=page.cursor, sequence=page.sequence, chain=page.chain, root=page.root)
            self.cursors[row.namespace] = row
            if page.entries:
                await self._write()
            if not page.has_more:
                return came
        return came

    @staticmethod
    def _check_chain(row: CursorRow, entries: list[JournalEntry], chain: str) -> None:
        if chain_over(row.chain, entries) != chain:
            raise CursorReset(reason="history_diverged")

    def _apply(self, namespace: NamespaceId, entry: JournalEntry) -> None:
        old = self._trees.remote.get(entry.node_id)
        if entry.deleted:
            self._trees.remove_remote(entry.node_id)
            self.roots.replace(old, None)
            return
        new = _node(namespace, entry)
        self._trees.put_remote(new)
        self.roots.replace(old, new)

    async def _observe_anew(self, namespace: NamespaceId, *, forget_synced: bool) -> None:
        """Collects a snapshot and the changes after it, then diffs the whole into the remote tree in one transaction."""
        staged: dict[NodeId, RemoteNode] = {}
        page = await self._remote.snapshot(namespace, None)
        cursor, epoch, sequence, chain = page.cursor, page.epoch, page.sequence, page.chain
        for _ in range(SNAPSHOT_PAGES_MAX):
            for entry in page.entries:
                staged[entry.node_id] = _node(namespace, entry.row())
            if page.next is None:
                break
            page = await self._remote.snapshot(namespace, page.next)
        root = ""
        for _ in range(REPLAY_PAGES_MAX):
            changes = await self._remote.changes(namespace, cursor)
            for change in changes.entries:
                if change.deleted:
                    staged.pop(change.node_id, None)
                else:
                    staged[change.node_id] = _node(namespace, change.row())
            cursor, sequence, chain, root = changes.cursor, changes.sequence, changes.chain, changes.root
            if not changes.has_more:
                break
        known = self.cursors.get(namespace)
        forget = forget_synced or (known is not None and known.epoch != epoch)
        await asyncio.to_thread(self._replace_all, namespace, staged, forget)
        if self.roots.text(namespace) != root:
            raise Corrupt(what=f"the snapshot of {namespace}", reason="its Merkle root is not the server's")
        space = self._spaces.get(namespace)
        self.cursors[namespace] = CursorRow(
            namespace=namespace,
            name=space.name if space else "",
            access=self._trees.access[namespace],
            is_root=str(namespace) == str(self._trees.root),
            cursor=cursor,
            epoch=epoch,
            sequence=sequence,
            chain=chain or EMPTY_CHAIN,
            root=root,
        )
        await self._write()

    def _replace_all(self, namespace: NamespaceId, staged: dict[NodeId, RemoteNode], forget_synced: bool) -> None:
        gone = [node for node in self._trees.remote if node.namespace == namespace and node.id not in staged]
        for node in gone:
            self._trees.remove_remote(node.id)
        for node in staged.values():
            if self._trees.remote.get(node.id) != node:
                self._trees.put_remote(node)
        if forget_synced:
            for base in [base.id for base in self._trees.synced if base.namespace == namespace]:
                self._trees.remove_synced(base)
        self.roots = Roots(self._trees.remote)

    async def _write(self) -> None:
        changes = self._trees.drain()
        changes.cursor_put = list(self.cursors.values())
        try:
            await asyncio.to_thread(self._store.write, changes)
        except BaseException:
            self._trees.undrain(changes)
            raise


def _node(namespace: NamespaceId, entry: JournalEntry) -> RemoteNode:
    return RemoteNode(
        id=entry.node_id,
        namespace=namespace,
        parent=entry.parent_id,
        name=entry.name,
        kind=entry.kind,
        revision=entry.revision,
        content_hash=entry.content_hash,
        size=entry.size,
        executable=entry.executable,
        mtime_us=entry.mtime_us,
        mount=entry.mount,
    )
