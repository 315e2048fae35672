"""Merkle roots against what the server says.

`Roots` checks what is read: the remote tree, page by page. `doubt` is what lets `status` say "in sync" rather than hope so: the
sums over what is here (`trees.here`) are the server's roots, and the disk is what was agreed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from syncline.client.trees.trees import Trees
from syncline.model.entries import RemoteNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import MODULUS, node_term, root_text
from syncline.ports.tree_store import CursorRow


class Roots:
    """One sum per namespace."""

    def __init__(self, nodes: Iterable[RemoteNode] = ()) -> None:
        self._sums: dict[NamespaceId, int] = {}
        for node in nodes:
            self.replace(None, node)

    def replace(self, old: RemoteNode | None, new: RemoteNode | None) -> None:
        """A node became another, appeared (old None) or went (new None)."""
        if old is not None:
            self._sums[old.namespace] = (self._sums.get(old.namespace, 0) - _term(old)) % MODULUS
        if new is not None:
            self._sums[new.namespace] = (self._sums.get(new.namespace, 0) + _term(new)) % MODULUS

    def text_after(self, namespace: NamespaceId, changes: Iterable[tuple[RemoteNode | None, RemoteNode | None]]) -> str:
        """What `text` would say after these replacements, which are not made."""
        total = self._sums.get(namespace, 0)
        for old, new in changes:
            total -= _term(old) if old is not None and old.namespace == namespace else 0
            total += _term(new) if new is not None and new.namespace == namespace else 0
        return root_text(total)

    def namespaces(self) -> set[NamespaceId]:
        """Those of which any node is there."""
        return {namespace for namespace, total in self._sums.items() if total}

    def text(self, namespace: NamespaceId) -> str:
        """The root as 64 hexadecimal digits."""
        return root_text(self._sums.get(namespace, 0))


def _term(node: RemoteNode) -> int:
    return node_term(node.id, node.parent, node.name, node.kind, node.executable, node.content_hash)


def away_on_purpose(trees: Trees, excluded: Set[NodeId]) -> int:
    """How many remote nodes are not here because they, or a folder above them, are excluded. They stay open, so only these are
    looked at."""
    if not excluded:
        return 0
    remote = trees.remote
    away = [node_id for node_id in trees.open if node_id in remote and node_id not in trees.synced]
    return sum(node_id in excluded or any(above in excluded for above in remote.ancestors(node_id)) for node_id in away)


def doubt(trees: Trees, cursors: Mapping[NamespaceId, CursorRow], wanted_away: int = 0) -> str | None:
    """Why this device's own roots do not prove that it holds what the server does; None when they do, as of the last `fold`.

    `wanted_away` counts the remote nodes that are kept off this disk on purpose.
    """
    away = 0
    for namespace in trees.access:
        row = cursors.get(namespace)
        if row is None:
            return "The server's tree has not been read yet."
        if trees.here.root(namespace) != row.root:
            return f"What is here does not add up to the server's Merkle root at sequence {row.sequence}."
        away += trees.here.not_here(namespace)
    if not trees.here.disk_agrees:
        return "What the folder holds is not what was agreed on with the server."
    if away != wanted_away:
        return f"{away} entries of the server are not on this disk, though {wanted_away} are kept off it on purpose."
    return None
