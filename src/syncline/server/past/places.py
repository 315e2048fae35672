"""Where what was deleted comes back to: its old path, as people know it.

Folders above it that were deleted too come back with it, empty but for it. Where somebody has made a folder of that name since, it
goes into that one. What is above a folder that was purged is not known any more: then it is the top.
"""

from __future__ import annotations

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.errors import CommitRefused, NameTaken
from syncline.model.ids import NodeId
from syncline.model.journal import JournalEntry
from syncline.model.paths import key_rule, restored_name
from syncline.ports.metadata_store import Head
from syncline.ports.past_store import PastStore
from syncline.protocol.commits import Change, Op
from syncline.server.past.paths import path_of

NAMES_TRIED_MAX = 100


class Back(Struct):
    """The changes that bring a node back, its own last; and the path where it will be."""

    changes: list[Change]
    path: str


class Places:
    def __init__(self, store: PastStore) -> None:
        self._store = store

    async def back(
        self,
        head: Head,
        node: JournalEntry,
        *,
        parent: NodeId | None,
        name: str | None,
        rename: bool,
        from_revision: int | None = None,
    ) -> Back:
        """Into `parent`, or where it was. Raises `NameTaken` unless `rename`."""
        root = NodeId(head.namespace)
        ids = [node.node_id] if parent is None else [node.node_id, parent]
        above = (await self._store.surroundings(head.namespace, ids, [], [])).nodes
        placed = {row.node_id: (row.parent_id, row.name) for row in above.values()}
        changes: list[Change] = []
        folder = parent
        if folder is None:
            folder, gone = _anchor(node, root, above)
            for row in gone:
                folder = await self._folder(head, folder, row, changes, placed)
        name = await self._name(head, folder, name or node.name, rename=rename)
        changes.append(
            Change(
                op=Op.UNDELETE,
                node_id=node.node_id,
                parent_id=folder,
                name=name,
                recursive=node.kind is Kind.DIR,
                from_revision=from_revision,
            )
        )
        placed[node.node_id] = (folder, name)
        return Back(changes, path_of(node.node_id, root, placed.get))

    async def _folder(
        self,
        head: Head,
        folder: NodeId,
        row: JournalEntry,
        changes: list[Change],
        placed: dict[NodeId, tuple[NodeId, str]],
    ) -> NodeId:
        """The folder that stands for a deleted one: a live one of its name, or itself, brought back."""
        holder = await self._holder(head, folder, row.name)
        if holder is not None and holder.kind is Kind.DIR and not holder.mount:
            placed[holder.node_id] = (folder, holder.name)
            return holder.node_id
        name = await self._name(head, folder, row.name, rename=True)
        changes.append(Change(op=Op.UNDELETE, node_id=row.node_id, parent_id=folder, name=name))
        placed[row.node_id] = (folder, name)
        return row.node_id

    async def _name(self, head: Head, folder: NodeId, name: str, *, rename: bool) -> str:
        tried, number = name, 0
        while await self._holder(head, folder, tried) is not None:
            number += 1
            if not rename or number > NAMES_TRIED_MAX:
                raise NameTaken(path=name)
            tried = restored_name(name, number)
        return tried

    async def _holder(self, head: Head, folder: NodeId, name: str) -> JournalEntry | None:
        place = (folder, key_rule(head.name_key_version)(name))
        return (await self._store.surroundings(head.namespace, [], [place], [])).holders.get(place)


def _anchor(node: JournalEntry, root: NodeId, above: dict[NodeId, JournalEntry]) -> tuple[NodeId, list[JournalEntry]]:
    """The nearest live folder above a deleted node, and the deleted ones between, outermost first."""
    gone: list[JournalEntry] = []
    at = node.parent_id
    while at != root and len(gone) <= len(above):
        row = above.get(at)
        if row is None or row.mount:
            return root, gone[::-1]
        if not row.deleted:
            return at, gone[::-1]
        gone.append(row)
        at = row.parent_id
    return root, gone[::-1]


def refused(refusal: CommitRefused) -> str:
    """The code of the first failure."""
    failures = refusal.fields.get("failures") or [{}]
    return str(failures[0].get("code", ""))
