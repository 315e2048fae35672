"""The audit: Merkle sums taken anew from the whole trees, and a search for whatever the planner lost sight of.

A full reconciliation is three comparisons: the remote tree with the server's root, the local tree with the disk (a full scan, made
every ten minutes anyway), and the trees with each other. It is made at start, where everything is loaded and compared anyway,
daily, and whenever a round ends with nothing to do and the roots do not agree. What it finds is mended: a remote tree is read anew
from a snapshot, nodes in disagreement are opened again so that the next plan decides them, sums are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from syncline.client.observe.pull import Puller
from syncline.client.plan.planner import in_agreement
from syncline.client.proof import Roots
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.entries import LocalNode, Signature
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import AUDIT_AGAIN_S, AUDIT_INTERVAL_S
from syncline.ports.clock import Clock
from syncline.ports.tree_store import CursorRow

CODE: Final = "proof.mismatch"


class Findings(Struct, kw_only=True):
    """What an audit found and mended, but for the namespaces that are to be read anew."""

    drifted: bool = False
    """The sums kept in step were not those of the trees."""
    read_anew: list[NamespaceId] = field(default_factory=list)
    """Their remote tree is not what the server's root says."""
    lost_sight_of: list[NodeId] = field(default_factory=list)
    """Nodes that differ between the trees and that no plan would have looked at."""
    path: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.drifted or self.read_anew or self.lost_sight_of)

    def problem(self, doubt: str | None) -> Problem:
        """What stands in `status` until the roots agree again."""
        told = []
        if self.read_anew:
            told.append("the server's tree as known here did not add up to the server's root, and is read anew")
        if self.lost_sight_of:
            told.append(f"{len(self.lost_sight_of):,} entries differed unnoticed, and are compared again")
        if self.drifted:
            told.append("the sums kept here were wrong, and were taken anew")
        said = "; ".join(told)
        message = f"{said[:1].upper()}{said[1:]}." if told else doubt or "The Merkle roots do not agree."
        return Problem(code=CODE, path=self.path, message=message)


def audit(trees: Trees, puller: Puller) -> Findings:
    """Compares everything: O(n), for a worker thread; nobody else touches the trees meanwhile."""
    found = Findings(drifted=not trees.here.count())
    fresh = Roots(trees.remote)
    for namespace, row in _read(trees, puller.cursors).items():
        found.drifted = found.drifted or fresh.text(namespace) != puller.roots.text(namespace)
        if fresh.text(namespace) != row.root:
            found.read_anew.append(namespace)
    puller.roots = fresh
    ids = dict.fromkeys((*trees.remote.ids(), *trees.synced.ids(), *trees.local.ids()))
    found.lost_sight_of = [node_id for node_id in ids if node_id not in trees.open and not _agrees(trees, node_id)]
    _open(trees, found)
    odd = found.lost_sight_of[:1] or [node_id for node_id in trees.open if not _agrees(trees, node_id)][:1]
    found.path = next((trees.local_path(each) or trees.remote_path(each) or "" for each in odd), "")
    return found


def _open(trees: Trees, found: Findings) -> None:
    """Has the next plan decide them, but never a lack on a side that is not proven: before that side was looked at anew, it would
    read as a deletion. What the disk seems to lack gets a place with a signature no file has, so that the full scan decides."""
    for node_id in found.lost_sight_of:
        there, base = trees.remote.get(node_id), trees.synced.get(node_id)
        known = base or there
        if known is not None and there is None and known.namespace in found.read_anew:
            continue
        if node_id in trees.local:
            trees.open.add(node_id)
        elif base is not None and (base.parent == trees.root or base.parent in trees.local):
            unseen = Signature(0, 0, 0, 0, 0)
            trees.put_local(LocalNode(id=base.id, parent=base.parent, name=base.name, kind=base.kind, signature=unseen))
        elif base is None:
            trees.open.add(node_id)


def _read(trees: Trees, cursors: Mapping[NamespaceId, CursorRow]) -> dict[NamespaceId, CursorRow]:
    return {namespace: cursors[namespace] for namespace in trees.access if namespace in cursors}


def _agrees(trees: Trees, node_id: NodeId) -> bool:
    there, here, base = trees.remote.get(node_id), trees.local.get(node_id), trees.synced.get(node_id)
    return there is not None and here is not None and base is not None and in_agreement(there, here, base)


class Auditor:
    """When to audit. The first is the start itself, which compares everything."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s = clock.monotonic_s()
        self._again_s = float("-inf")
        self._delay_s = AUDIT_AGAIN_S
        self.passed_us: int | None = None
        """When everything was last compared, and agreed (wall clock)."""

    def is_due(self, *, doubt: bool) -> bool:
        """Whether to audit now that a round has ended: daily, and at once where the roots disagree, then less and less often."""
        now_s = self._clock.monotonic_s()
        return now_s >= self._again_s if doubt else now_s - self._last_s >= AUDIT_INTERVAL_S

    def done(self, *, clean: bool) -> None:
        """An audit was made. One that mended something is followed by another where the doubt stays."""
        self._last_s = self._clock.monotonic_s()
        self._again_s = self._last_s + self._delay_s
        self._delay_s = min(float(AUDIT_INTERVAL_S), self._delay_s * 2)
        if clean:
            self.passed_us = self._clock.now_us()

    def proven(self) -> None:
        """The roots agree: the next doubt is looked into at once."""
        self._again_s, self._delay_s = float("-inf"), AUDIT_AGAIN_S
        if self.passed_us is None:
            self.passed_us = self._clock.now_us()
