"""This device's own Merkle roots: kept in step with the remote tree, compared with what the server says.

A root over the remote tree, together with an empty plan (remote = synced = local for every node that is here), is what lets
`status` say "in sync" rather than hope so.
"""

from __future__ import annotations

from collections.abc import Iterable

from syncline.model.entries import RemoteNode
from syncline.model.ids import NamespaceId
from syncline.model.journal import MODULUS, node_term, root_text


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

    def text(self, namespace: NamespaceId) -> str:
        """The root as 64 hexadecimal digits."""
        return root_text(self._sums.get(namespace, 0))


def _term(node: RemoteNode) -> int:
    return node_term(node.id, node.parent, node.name, node.kind, node.executable, node.content_hash)
