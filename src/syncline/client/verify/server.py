"""The hop remote ↔ server: this device's Merkle root, computed from scratch at its cursor and carried on to the server's head.

Where the sums differ, a whole snapshot is fetched and compared node by node, so that the path at fault is named, or the server that
does not add up itself. Nothing is written: an engine that is told does the healing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from syncline.client.observe.notes import shown
from syncline.client.observe.snapshot import REPLAY_PAGES_MAX, Collected, collect, drop_carried, replay
from syncline.client.proof import Roots
from syncline.client.trees.trees import Trees
from syncline.client.verify.held import Held
from syncline.client.verify.report import Notebook
from syncline.model.entries import RemoteNode
from syncline.model.errors import Corrupt, CorruptCursor, CursorReset, HistoryExpired, NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import chain_over
from syncline.ports.remote import Remote
from syncline.ports.tree_store import CursorRow

ANEW: Final = "a running engine takes the server's tree anew at once; without one, run `syncline start`"
TELL: Final = "tell whoever runs the server: `syncline admin check` says more"
TRIES_MAX: Final = 3


class _Reached(Struct):
    """A namespace's nodes carried on to the head."""

    nodes: dict[NodeId, RemoteNode]
    cursor: str
    sequence: int
    chain: Digest
    agrees: bool = True


class ServerCheck:
    def __init__(self, remote: Remote, held: Held, notes: Notebook) -> None:
        self._remote = remote
        self._held = held
        self._notes = notes
        self.nodes = 0
        self.sequences: list[int] = []

    async def check(self) -> None:
        """Raises `Unavailable` and `Unauthenticated` where the server cannot be asked."""
        for row in self._held.cursors:
            nodes = {node.id: node for node in self._held.trees.remote if node.namespace == row.namespace}
            self.nodes += len(nodes)
            await self._namespace(row, nodes)

    async def _namespace(self, row: CursorRow, nodes: dict[NodeId, RemoteNode]) -> None:
        notes, space = self._notes, row.namespace
        mine = await asyncio.to_thread(_root, space, nodes)
        sound = mine == row.root == self._held.kept_roots.get(space, mine)
        try:
            reached = await self._follow(row, nodes)
        except NotFound:
            notes.left("verify.unfetched", "", f"the server has no namespace {space} for this device any more")
            return
        except HistoryExpired:
            notes.left("verify.unfetched", "", f"the history since sequence {row.sequence} is no longer kept: a snapshot is due")
            return
        except (CursorReset, CorruptCursor) as reset:
            reason = str(reset.fields.get("reason", reset.code))
            notes.found("verify.history_differs", "", f"the server's history is not the one this device read ({reason})", ANEW)
            notes.namespaces.add(space)
            return
        self.sequences.append(reached.sequence)
        if sound and reached.agrees:
            return
        named = await self._compare(row, reached)
        if not named:
            message = f"the Merkle root of this device at sequence {row.sequence} is not the one the server gave for it"
            notes.found("verify.root_differs", "", message, ANEW)
            notes.namespaces.add(space)

    async def _follow(self, row: CursorRow, nodes: dict[NodeId, RemoteNode]) -> _Reached:
        """Goes on from the device's cursor to the head. Raises `CursorReset`, `CorruptCursor`, `HistoryExpired`."""
        reached = _Reached(dict(nodes), row.cursor, row.sequence, row.chain)
        for _ in range(REPLAY_PAGES_MAX):
            page = await self._remote.changes(row.namespace, reached.cursor)
            if page.epoch != row.epoch:
                raise CursorReset(reason="epoch_changed")
            entries = [entry.row() for entry in page.entries]
            replay(row.namespace, reached.nodes, entries)
            if any(entry.mount for entry in entries):
                drop_carried(row.namespace, reached.nodes)
            chain = chain_over(reached.chain, entries)
            if chain != page.chain:
                raise CursorReset(reason="history_diverged")
            reached = _Reached(reached.nodes, page.cursor, page.sequence, chain)
            if not page.has_more:
                root = await asyncio.to_thread(_root, row.namespace, reached.nodes)
                reached.agrees = root == page.root
                break
        return reached

    async def _compare(self, row: CursorRow, reached: _Reached) -> bool:
        """Node by node with a snapshot of the same sequence; whether anything was named."""
        before = self._notes.report.findings_total
        for _ in range(TRIES_MAX):
            try:
                theirs = await collect(self._remote, row.namespace)
            except Corrupt as damage:
                self._notes.found("verify.server_root", "", str(damage), TELL)
                return True
            at_head = _row_at(row, reached)
            reached = await self._follow(at_head, reached.nodes)
            if reached.sequence == theirs.sequence:
                break
        adds_up = await asyncio.to_thread(_root, row.namespace, theirs.nodes) == theirs.root
        if not adds_up:
            message = f"the server's own tree does not add up to the Merkle root it gives for sequence {theirs.sequence}"
            self._notes.found("verify.server_root", "", message, TELL)
        if self._diff(row.namespace, reached.nodes, theirs) and adds_up:
            self._notes.namespaces.add(row.namespace)
        return self._notes.report.findings_total > before

    def _diff(self, namespace: NamespaceId, mine: dict[NodeId, RemoteNode], theirs: Collected) -> bool:
        paths = _Paths(self._held.trees, theirs.nodes)
        found = False
        for node_id in sorted({*mine, *theirs.nodes}):
            here, there = mine.get(node_id), theirs.nodes.get(node_id)
            if here == there:
                continue
            found = True
            if here is None:
                code, message = "verify.remote_missing", "the server has it, and the remote tree of this device does not"
            elif there is None:
                code, message = "verify.remote_extra", "the remote tree of this device has it, and the server does not"
            else:
                code = "verify.remote_differs"
                message = f"the remote tree of this device differs from the server's in {_fields(here, there)}"
            self._notes.found(code, paths.of(node_id), message, ANEW, node=node_id)
        return found


class _Paths:
    """Where nodes lie on the server, and else where they are thought to."""

    def __init__(self, trees: Trees, nodes: dict[NodeId, RemoteNode]) -> None:
        self._theirs = Trees(NamespaceId(trees.root), key=trees.key)
        self._theirs.load((*(node for node in trees.remote if node.id not in nodes), *nodes.values()), (), ())
        self._mine = trees

    def of(self, node_id: NodeId) -> str:
        path = self._theirs.remote_path(node_id)
        return shown(path if path is not None else self._mine.remote_path(node_id) or f"…/{node_id}")


def _root(namespace: NamespaceId, nodes: dict[NodeId, RemoteNode]) -> str:
    return Roots(nodes.values()).text(namespace)


def _row_at(row: CursorRow, reached: _Reached) -> CursorRow:
    return replace(row, cursor=reached.cursor, sequence=reached.sequence, chain=reached.chain)


def _fields(here: RemoteNode, there: RemoteNode) -> str:
    return ", ".join(name for name in RemoteNode.__struct_fields__ if getattr(here, name) != getattr(there, name))
