"""One namespace's nodes: each as its last journal row left it, each live one in a live folder under a key of its own and with its
revision, and all live ones together adding up to the head's Merkle root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import asdict

from syncline.model.entries import Kind
from syncline.model.journal import JournalEntry, node_term, root_text
from syncline.model.paths import key_rule
from syncline.ports.check_store import CheckedNamespace, CheckedNode, Twins
from syncline.server.check.findings import About, Finding
from syncline.server.check.folders import Folders


class TreeRule:
    """Fed with every node in any order, and with the places that are held twice, then `end`."""

    def __init__(self, space: CheckedNamespace, folders: Folders) -> None:
        self._space = space
        self._about = About(space)
        self._folders = folders
        self._key = key_rule(space.name_key_version)
        self._sum = 0
        self.live = 0
        self.nodes = 0

    def node(self, node: CheckedNode) -> Iterator[Finding]:
        self.nodes += 1
        entry = node.entry
        yield from self._last_row(node)
        if entry.deleted:
            if node.name_key is not None:
                yield self._finding("check.name_key_wrong", "it is deleted, and still holds a name", entry)
            return
        self.live += 1
        self._sum += node_term(entry.node_id, entry.parent_id, entry.name, entry.kind, entry.executable, entry.content_hash)
        if node.name_key != self._key(entry.name):
            message = f"its name key is {node.name_key!r} and must be {self._key(entry.name)!r}: another could take its name"
            yield self._finding("check.name_key_wrong", message, entry)
        if not self._folders.holds(entry.parent_id):
            yield self._finding(
                "check.parent_missing", f"its folder ({entry.parent_id}) is deleted, no folder, or not there", entry
            )
        if entry.kind is Kind.FILE:
            yield from self._revision(node)

    def twins(self, twins: Twins) -> Finding:
        message = f"{len(twins.ids)} live nodes have this place: {', '.join(twins.ids)}"
        return self._about.finding("check.name_taken", message, self._folders.path(twins.parent, twins.key), node=twins.ids[0])

    def end(self) -> Iterator[Finding]:
        if root_text(self._sum) != self._space.root:
            message = f"the live nodes add up to another Merkle root than the head's at sequence {self._space.sequence}"
            yield self._about.finding("check.root_wrong", message, sequence=self._space.sequence)

    def _last_row(self, node: CheckedNode) -> Iterator[Finding]:
        entry = node.entry
        if entry.sequence <= self._space.pruned_sequence:
            return
        if node.row is None:
            yield self._finding(
                "check.node_differs", f"there is no journal row {entry.sequence}, which it names as its last", entry
            )
        elif node.row != entry:
            message = f"it differs from its last journal row ({entry.sequence}) in {differences(entry, node.row)}"
            yield self._finding("check.node_differs", message, entry)

    def _revision(self, node: CheckedNode) -> Iterator[Finding]:
        entry, revision = node.entry, node.revision
        if revision is None:
            yield self._finding("check.revision_missing", f"revision {entry.revision}, its present one, is not stored", entry)
        elif _content(entry) != _content(revision):
            message = f"its content is not that of revision {entry.revision}, its present one"
            yield self._finding("check.revision_differs", message, entry)

    def _finding(self, code: str, message: str, entry: JournalEntry) -> Finding:
        path = self._folders.path(entry.parent_id, entry.name)
        revision = entry.revision if entry.kind is Kind.FILE else None
        return self._about.finding(code, message, path, node=entry.node_id, revision=revision, sequence=entry.sequence)


def differences(one: JournalEntry, other: JournalEntry) -> str:
    """The names of the fields that differ."""
    theirs = asdict(other)
    return ", ".join(name for name, value in asdict(one).items() if value != theirs[name])


def _content(entry: JournalEntry) -> Any:
    return entry.content_hash, entry.size, entry.executable
