"""Bringing whole folders back: deleted on the server, moved here (`folder move/delete`).

All of it must come back at once: a half that is back would make the other half look deleted and unchanged. So the nodes go into
one group; only a folder with more nodes than a changeset holds is left to the server's recursive undelete, which may bring back
more than was here.
"""

from __future__ import annotations

from collections.abc import Mapping

from syncline.client.plan.books import below_in_base
from syncline.client.plan.decision import KEEP, Decision
from syncline.client.plan.view import View
from syncline.model.entries import DIR
from syncline.model.ids import NodeId
from syncline.model.limits import BATCH_MAX


class Revival:
    def __init__(self, view: View) -> None:
        self.view = view
        self.recursive: set[NodeId] = set()
        self.count = 0
        """Groups formed so far; they are numbered from 0."""
        self._groups: dict[NodeId, int] = {}

    def group_of(self, op: Decision) -> int | None:
        return self._groups.get(op.id)

    def companions(self, node_id: NodeId) -> set[NodeId]:
        """What must come back in the same changeset as a node, if anything."""
        group = self._groups.get(node_id)
        return set() if group is None else {other for other, number in self._groups.items() if number == group} - {node_id}

    def cover(self, ops: Mapping[NodeId, Decision]) -> tuple[set[NodeId], set[NodeId]]:
        """Sorts out which folders come back as a whole: the ops which a recursive one makes needless, and those that had better
        wait to see what it brings back."""
        covered: set[NodeId] = set()
        waiting: set[NodeId] = set()
        for top in [op for op in ops.values() if self._is_top(op)]:
            below = self._still_below(top.id)
            if not self.view.busy.isdisjoint(below):
                covered.update((top.id, *below))
                self.view.waiting += 1
                continue
            unchanged = [node_id for node_id in below if node_id in ops and _may_be_unchanged(ops[node_id])]
            if len(unchanged) >= BATCH_MAX:
                below = below_in_base(self.view.trees, top.id)  # Also what moved away.
                self.recursive.add(top.id)
                covered.update(node_id for node_id in below if node_id in ops and ops[node_id].there is None)
                inside = {top.id, *below, *(node.id for node in self.view.local.descendants(top.id))}
                waiting.update(node_id for node_id, op in ops.items() if op.parent in inside and node_id != top.id)
                continue
            if unchanged:
                self._groups.update(dict.fromkeys((top.id, *unchanged), self.count))
                self.count += 1
        return covered, waiting - covered

    def _still_below(self, folder: NodeId) -> list[NodeId]:
        """What was below a folder when it was last agreed on and has not moved from there: what did move is a change of its own,
        which brings itself back, and perhaps to a folder that has to be made first."""
        found: list[NodeId] = []
        frontier = [folder]
        while frontier:
            for base in self.view.synced.children(frontier.pop()):
                here = self.view.local.get(base.id)
                if here is not None and here.parent == base.parent and here.name == base.name:
                    found.append(base.id)
                    frontier.append(base.id)
        return found

    def _is_top(self, op: Decision) -> bool:
        base = op.base
        return (
            op.kind is DIR
            and op.there is None
            and base is not None
            and op.here is not None
            and (op.here.parent != base.parent or op.here.name != base.name)
            and not op.forced
        )


def _may_be_unchanged(op: Decision) -> bool:
    """Whether a node of a folder that comes back would look deleted, and nothing else, once the folder is back."""
    if op.there is not None:
        return False
    return op.content is KEEP or (op.here is not None and op.here.content_hash is None)
