"""Merkle sums over what is *here*: the synced and the local tree, kept in step at the cost of what changed.

A namespace's own root is the sum over its synced nodes, and over those remote nodes that have no base here (`not_here`). It equals
the server's only where this device agreed on every node; that the disk holds just that, nothing more and nothing else, is what the
equality of the two sums over the synced and the local tree says. Where a base exists neither is taken from the remote tree, so a
node that the planner lost sight of shows as a difference, not as agreement.

Changes are noted as they come and summed by `fold`, so that a node which changes ten times is hashed once. The first `fold` sums
everything; whoever never asks (a plan alone) pays for nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from syncline.client.trees.tree import Tree
from syncline.model.entries import FILE, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import MODULUS, node_term, root_text

_UNCOUNTED: Final[Counter[NamespaceId]] = Counter()
"""Before the first `fold`: replaced by it, and never written to."""


class _Sides(NamedTuple):
    """One node in the three trees."""

    there: RemoteNode | None
    here: LocalNode | None
    base: SyncedNode | None


class Here:
    """`touch` a node before it changes in any tree, `fold` before asking; answers are as of the last `fold`."""

    def __init__(self, remote: Tree[RemoteNode], local: Tree[LocalNode], synced: Tree[SyncedNode]) -> None:
        self._trees = (remote, local, synced)
        self.version = 0
        """Grows with every `touch`."""
        self._is_counted = False
        self._before: dict[NodeId, _Sides] = {}
        self._bases = self._lacking = self._not_here = _UNCOUNTED
        self._disk = 0

    def touch(self, node_id: NodeId) -> None:
        self.version += 1
        if self._is_counted and node_id not in self._before:
            self._before[node_id] = self._sides(node_id)

    @property
    def unfolded(self) -> int:
        """How many nodes were touched since the last `fold`."""
        return len(self._before)

    def fold(self) -> None:
        """Sums what was touched: O(changes), but for the first time."""
        if not self._is_counted:
            self._is_counted = True
            self._sum()
            return
        before, self._before = self._before, {}
        for node_id, sides in before.items():
            self._add(sides, -1)
            self._add(self._sides(node_id), 1)

    def root(self, namespace: NamespaceId) -> str:
        """This device's own Merkle root: its bases, and what is not here."""
        return root_text(self._bases[namespace] + self._lacking[namespace])

    def not_here(self, namespace: NamespaceId) -> int:
        """How many nodes of the server have no base on this device."""
        return self._not_here[namespace]

    @property
    def disk_agrees(self) -> bool:
        """Whether the local tree is exactly the synced tree, in all namespaces together."""
        return (self._disk - sum(self._bases.values())) % MODULUS == 0

    def count(self) -> bool:
        """Sums everything anew, O(n); whether that is what was known before."""
        self.fold()
        known = self._facts()
        self._sum()
        return known == self._facts()

    def _sum(self) -> None:
        remote, local, synced = self._trees
        self._bases, self._lacking, self._not_here = Counter(), Counter(), Counter()
        for base in synced:
            self._bases[base.namespace] += _term(base)
        for there in remote:
            if there.id not in synced:
                self._lacking[there.namespace] += _term(there)
                self._not_here[there.namespace] += 1
        # The sums fit a machine word's worth of digits more than a term: one remainder at the end is enough.
        self._disk = sum(_local_term(here, synced.get(here.id)) for here in local) % MODULUS
        for sums in (self._bases, self._lacking):
            for space in sums:
                sums[space] %= MODULUS

    def _facts(self) -> object:
        spaces = sorted({*self._bases, *self._lacking})
        # A namespace that holds nothing any more is as good as one that was never seen.
        told = [(space, self.root(space), self._not_here[space]) for space in spaces]
        return [each for each in told if each[1:] != (root_text(0), 0)], self._disk

    def _sides(self, node_id: NodeId) -> _Sides:
        remote, local, synced = self._trees
        return _Sides(remote.get(node_id), local.get(node_id), synced.get(node_id))

    def _add(self, sides: _Sides, sign: int) -> None:
        there, here, base = sides
        if base is not None:
            self._bases[base.namespace] = (self._bases[base.namespace] + sign * _term(base)) % MODULUS
        elif there is not None:
            self._lacking[there.namespace] = (self._lacking[there.namespace] + sign * _term(there)) % MODULUS
            self._not_here[there.namespace] += sign
        if here is not None:
            self._disk = (self._disk + sign * _local_term(here, base)) % MODULUS


def _term(node: RemoteNode | SyncedNode) -> int:
    return node_term(node.id, node.parent, node.name, node.kind, node.executable, node.content_hash)


def _local_term(node: LocalNode, base: SyncedNode | None) -> int:
    """A disk that cannot say whether a file is executable agrees with whatever the base says."""
    executable = node.executable
    if executable is None:
        executable = base is not None and base.executable and node.kind is FILE
    return node_term(node.id, node.parent, node.name, node.kind, executable, node.content_hash)
