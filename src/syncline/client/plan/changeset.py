"""The server's side of a plan: what to push, in an order in which each change is valid after those before it.

Changes that are only valid together (swaps, rings, a name freed by a delete) become one group, checked here on its final state the
way the server checks it; members that could not stand are taken out. Deletes come last, but for those a group needs.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from syncline.client.plan.decision import ASIDE, CONFLICT, FROZEN, HASH, MERGE, PUSH, WAIT, Decision
from syncline.client.plan.groups import Groups
from syncline.client.plan.pushes import pushed
from syncline.client.plan.removals import Removals
from syncline.client.plan.revival import Revival
from syncline.client.plan.steps import Push, Step
from syncline.client.plan.view import CLIMB_MAX, View
from syncline.model.entries import DIR, FILE
from syncline.model.ids import NodeId
from syncline.protocol.commits import Op

_UNDECIDED: Final = (ASIDE, MERGE, HASH, WAIT)


class Changeset:
    """An overlay over the remote tree, and the pushes that lead from one to the other."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.pushes: list[Step] = []
        self.removals = Removals(view)
        self.blocked: list[Decision] = []
        self._ops: dict[NodeId, Decision] = {}
        self._placed: dict[tuple[NodeId, str], NodeId] = {}
        self._parents: dict[NodeId, NodeId] = {}
        self._blockers: dict[NodeId, NodeId] = {}
        self._revival: Revival

    def order(self) -> None:
        """Fills `pushes` (deletes that nothing waits for are in `removals`)."""
        wanted: dict[NodeId, Decision] = {}
        edits: list[Decision] = []
        doomed: list[Decision] = []
        for decision in self.view.decisions.values():
            if decision.here is None:
                if self.removals.is_removal(decision.id):
                    doomed.append(decision)
            elif decision.exists and not decision.held:
                if self._has_place_to_push(decision):
                    wanted[decision.id] = decision
                if decision.there is not None and (decision.content is PUSH or decision.push_executable):
                    edits.append(decision)
        if wanted:
            self._places(wanted)
        for decision in edits:
            self._edit(decision)
        if doomed:
            self.removals.finish(doomed)

    def _places(self, wanted: dict[NodeId, Decision]) -> None:
        """Pushes the nodes that are to be made, to come back or to move."""
        self._revival = Revival(self.view)
        covered, waiting = self._revival.cover(wanted)
        self._arrange({node_id: op for node_id, op in wanted.items() if node_id not in covered and node_id not in waiting})
        if waiting and not self.pushes:  # What waits is in the way of what it waits for.
            self._arrange({node_id: op for node_id, op in wanted.items() if node_id not in covered})

    def _arrange(self, ops: dict[NodeId, Decision]) -> None:
        """Pushes one after the other, then in groups; what has to wait is in `blocked`."""
        self._ops = ops
        stuck = self._solve()
        if stuck:
            groups = Groups(self.view, stuck, self._blockers, self._placed, self._parents, self.removals, self._revival)
            self.pushes += groups.form(first=self._revival.count)
            self.blocked = [stuck[node_id] for node_id in sorted(stuck) if node_id not in groups.done]

    def _has_place_to_push(self, decision: Decision) -> bool:
        """Whether something here that exists has a place the server must be told of."""
        if decision.place is CONFLICT or decision.parent in self.view.detached:
            return False
        there = decision.there
        if there is None:
            return True
        return decision.place is not FROZEN and (there.parent != decision.parent or there.name != decision.name)

    def _solve(self) -> dict[NodeId, Decision]:
        """Pushes what can be pushed one after the other; what is left."""
        remaining = dict(self._ops)
        queue = deque(remaining)
        waiters: dict[NodeId, list[NodeId]] = {}
        while queue:
            node_id = queue.popleft()
            op = remaining.get(node_id)
            if op is None:
                continue
            blocker = self._blocker(op)
            if blocker is not None:
                self._blockers[node_id] = blocker
                waiters.setdefault(blocker, []).append(node_id)
                continue
            del remaining[node_id]
            self._placed[op.parent, op.key] = node_id
            self._parents[node_id] = op.parent
            self.pushes.append(self._push(op))
            queue.extend(waiters.pop(node_id, ()))
        return remaining

    def _push(self, op: Decision) -> Push:
        return pushed(self.view, op, group=self._revival.group_of(op), recursive=op.id in self._revival.recursive)

    def _blocker(self, op: Decision) -> NodeId | None:
        """What must change on the server before this can; None when nothing does."""
        view, parent = self.view, op.parent
        if parent != view.root and parent not in view.remote and parent not in self._parents:
            return parent
        for node_id in view.remote.keyed(parent, op.key):
            if node_id != op.id and node_id not in self._parents:
                return node_id
        placed = self._placed.get((parent, op.key))
        if placed is not None and placed != op.id:
            return placed
        if op.kind is DIR and op.there is not None and op.there.parent != parent:
            return self._ring(op)
        return None

    def _ring(self, op: Decision) -> NodeId | None:
        at: NodeId | None = op.parent
        inside: NodeId | None = None
        for _ in range(CLIMB_MAX):
            if at is None or at == self.view.root:
                break
            if at == op.id:
                return inside or op.id
            if inside is None and at in self._ops and at not in self._parents:
                inside = at
            node = self.view.remote.get(at)
            at = self._parents.get(at) or (None if node is None else node.parent)
        return None

    def _edit(self, decision: Decision) -> None:
        """Content and executable bit of a file the server has."""
        there, here = decision.there, decision.here
        assert there is not None
        assert here is not None
        if decision.place is CONFLICT or decision.content in _UNDECIDED:
            return
        content = decision.content is PUSH
        self.pushes.append(
            Push(
                node=decision.id,
                why=decision.why,
                op=Op.EDIT,
                namespace=there.namespace,
                kind=FILE,
                base_revision=there.revision,
                content=content,
                content_hash=here.content_hash if content else None,
                executable=decision.executable,
            )
        )
