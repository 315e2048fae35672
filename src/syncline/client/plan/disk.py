"""The disk's side of a plan: which folders to make, what to move, fetch and throw away, in an order in which each step can be done.

The target tree is valid, so every move can be done; an order is found by letting each wait for what stands in its way. What is
left when nothing moves is a ring: one of it hops aside (`Stage`) and lands later in the same plan. Steps that wait for something
outside the plan (a transfer, a hash) are left for the next one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from syncline.client.plan.decision import ASIDE, CONFLICT, FETCH, MERGE, Decision
from syncline.client.plan.steps import Discard, Fetch, MakeFolder, Merge, Relocate, RemoveFolder, SetExecutable, Stage, Step
from syncline.client.plan.view import CLIMB_MAX, View
from syncline.model.entries import DIR, FILE, LocalNode
from syncline.model.ids import NodeId
from syncline.model.paths import name_key

REPLACED: Final = (FETCH, ASIDE, MERGE)


class Disk:
    """An overlay over the local tree, and the steps that lead from one to the other."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.structure: list[Step] = []
        self.fetches: list[Step] = []
        self.deletes: list[Step] = []
        self.files_deleted = 0
        self.blocked: list[Decision] = []
        self._ops: dict[NodeId, Decision] = {}
        self._changing: list[Decision] = []
        self._hopeless: set[NodeId] = set()
        self._left: set[NodeId]
        self._placed: dict[tuple[NodeId, str], NodeId]
        self._parents: dict[NodeId, NodeId] = {}
        self._gone: set[NodeId]
        self._staged: set[NodeId]
        self._blockers: dict[NodeId, NodeId]

    def _reset(self) -> None:
        self._left = set(self.view.leaving)
        self._placed = {}
        self._parents = {}
        self._gone = set(self.view.leaving)
        self._staged = set()
        self._blockers = {}
        self.structure = []
        self.fetches = []
        self.files_deleted = 0

    def order(self) -> None:
        """Fills `structure`, `fetches` and `deletes`; what has to wait is in `blocked`."""
        doomed = self._sort_out()
        if self._ops:
            self._reset()
            while not self._solve():
                self._reset()
            self.blocked = [self._ops[node_id] for node_id in sorted(self._hopeless)]
        elif doomed:
            self._reset()
        self._contents()
        if doomed:
            self._delete_rest(doomed)

    # -- what is wanted ---------------------------------------------------------------------------------------------------

    def _sort_out(self) -> list[Decision]:
        """Finds what has to get to another place (conflict names first), and what stays but may need other bytes. What has to go is
        given back."""
        first: list[Decision] = []
        rest: list[Decision] = []
        doomed: list[Decision] = []
        for decision in self.view.decisions.values():
            here = decision.here
            if decision.held:
                if decision.place is CONFLICT and here is not None:
                    first.append(decision)
            elif not decision.exists:
                if here is not None:
                    doomed.append(decision)
            elif here is None:
                rest.append(decision)
            else:
                if here.parent != decision.parent or here.name != decision.name:
                    (first if decision.place is CONFLICT else rest).append(decision)
                if decision.kind is FILE and (decision.set_executable or decision.content in REPLACED):
                    self._changing.append(decision)
        self._ops = {decision.id: decision for decision in (*first, *rest)}
        return doomed

    # -- ordering ---------------------------------------------------------------------------------------------------------

    def _solve(self) -> bool:
        """One attempt; false when something was staged that cannot land, and must not be staged in the next attempt."""
        remaining = {node_id: op for node_id, op in self._ops.items() if node_id not in self._hopeless}
        queue = deque(remaining)
        waiters: dict[NodeId, list[NodeId]] = {}
        while True:
            while queue:
                node_id = queue.popleft()
                if node_id not in remaining:
                    continue
                blocker = self._try(remaining[node_id])
                if blocker is None:
                    del remaining[node_id]
                    self._blockers.pop(node_id, None)
                    queue.extend(waiters.pop(node_id, ()))
                else:
                    self._blockers[node_id] = blocker
                    waiters.setdefault(blocker, []).append(node_id)
            self._drop_hopeless(remaining)
            if not remaining:
                return not (self._staged & self._hopeless)
            hop = self._pick_hop(remaining)
            if hop is None:
                self._hopeless.update(remaining)
                return not (self._staged & self._hopeless)
            self._stage(hop)
            queue.extend(waiters.pop(hop.id, ()))
            queue.append(hop.id)

    def _drop_hopeless(self, remaining: dict[NodeId, Decision]) -> None:
        """Whatever waits for something that will not move in this plan waits for the next."""
        found = True
        while found:
            found = False
            for node_id in list(remaining):
                if self._blockers[node_id] not in remaining:
                    del remaining[node_id]
                    self._hopeless.add(node_id)
                    found = True

    def _pick_hop(self, remaining: dict[NodeId, Decision]) -> Decision | None:
        blocking = {self._blockers[node_id] for node_id in remaining}
        movable = [
            op for node_id, op in remaining.items() if op.here is not None and node_id not in self._staged and node_id in blocking
        ]
        return min(movable, key=lambda op: op.id, default=None)

    def _stage(self, op: Decision) -> None:
        self.structure.append(Stage(node=op.id, why=op.why))
        self._staged.add(op.id)
        self._left.add(op.id)

    def _try(self, op: Decision) -> NodeId | None:
        """Does the step if it can be done now; else what is in the way."""
        parent = op.parent
        if parent != self.view.root and not self._can_take(parent):
            return parent
        if op.here is not None and op.kind is DIR:
            inside = self._way_out(op)
            if inside is not None:
                return inside
        key = op.key or self.view.trees.key(op.name)
        # Twins have one key: each of them is in the way.
        while (occupant := self._occupant(parent, key, op.id)) is not None:
            if not self.view.is_absent(occupant):
                return occupant
            blocker = self._clear(occupant)
            if blocker is not None:
                return blocker
        self._do(op, parent, key)
        return None

    def _do(self, op: Decision, parent: NodeId, key: str) -> None:
        if op.here is None:
            if op.kind is DIR:
                self.structure.append(MakeFolder(node=op.id, parent=parent, name=op.name, why=op.why))
            else:
                self.fetches.append(Fetch(node=op.id, parent=parent, name=op.name, why=op.why))
        else:
            self._hop_over_own_name(op, parent, key)
            step = Relocate(node=op.id, parent=parent, name=op.name, conflict=op.conflict, beside=op.beside, why=op.why)
            self.structure.append(step)
            self._left.add(op.id)
            self._staged.discard(op.id)
        self._placed[parent, key] = op.id
        self._parents[op.id] = parent

    def _hop_over_own_name(self, op: Decision, parent: NodeId, key: str) -> None:
        """A rename in which only case or normalisation changes needs a hop where the disk does not tell them apart."""
        if self.view.context.case_sensitive_disk or op.id in self._staged:
            return
        assert op.here is not None
        if op.here.parent == parent and name_key(op.here.name) == name_key(op.name):
            self.structure.append(Stage(node=op.id, why=op.why))

    def _can_take(self, folder: NodeId) -> bool:
        """Whether a folder is on disk now, as itself, at a place of its own."""
        if folder in self._gone or folder in self._staged or folder in self.view.detached:
            return False
        return folder in self.view.local or folder in self._parents

    def _way_out(self, op: Decision) -> NodeId | None:
        """A folder cannot go into itself: what has to leave it first (itself, if nothing below moves)."""
        at: NodeId | None = op.parent
        inside: NodeId | None = None
        for _ in range(CLIMB_MAX):
            if at is None or at == self.view.root:
                break
            if at == op.id:
                return inside or op.id
            if at in self._staged:
                return at
            if at in self._ops and at not in self._parents and inside is None:
                inside = at
            node = self.view.local.get(at)
            at = self._parents.get(at) or (None if node is None else node.parent)
        return None

    def _occupant(self, parent: NodeId, key: str, me: NodeId) -> NodeId | None:
        for node_id in self.view.local.keyed(parent, key):
            if node_id != me and node_id not in self._left and node_id not in self._gone:
                return node_id
        placed = self._placed.get((parent, key))
        return None if placed == me else placed

    # -- deleting ---------------------------------------------------------------------------------------------------------

    def _clear(self, node_id: NodeId) -> NodeId | None:
        """Deletes something that is decided to go, with what is below it; else what has to leave it first."""
        if node_id in self.view.busy:
            return node_id
        decision = self.view.decisions[node_id]
        if decision.kind is FILE:
            self.structure.append(Discard(node=node_id, why=decision.why))
            self._gone.add(node_id)
            self.files_deleted += decision.there is None  # What is only kept off this disk is no delete.
            return None
        for child in self.view.local.children(node_id):
            if child.id in self._left or child.id in self._gone:
                continue
            if not self.view.is_absent(child.id):
                return child.id
            blocker = self._clear(child.id)
            if blocker is not None:
                return blocker
        self.structure.append(RemoveFolder(node=node_id, why=decision.why))
        self._gone.add(node_id)
        return None

    def _delete_rest(self, doomed: list[Decision]) -> None:
        """Deletes last, bottom-up; a folder that still holds something waits."""
        kept = self.structure
        self.structure = self.deletes = []
        for decision in doomed:
            if decision.id not in self._gone:
                self._clear(decision.id)
        self.structure = kept

    # -- contents ---------------------------------------------------------------------------------------------------------

    def _contents(self) -> None:
        """Bytes and executable bits of files that are on disk already."""
        for decision in self._changing:
            if decision.set_executable:
                assert decision.executable is not None
                self.structure.append(SetExecutable(node=decision.id, executable=decision.executable, why=decision.why))
            if decision.content in REPLACED:
                self._replace(decision)

    def _replace(self, decision: Decision) -> None:
        here = decision.here
        assert here is not None
        if decision.push_executable:
            return
        moved = decision.id in self._parents
        parent, name = (decision.parent, decision.name) if moved else (here.parent, here.name)
        if parent in self.view.detached:
            return
        if decision.content is MERGE:
            self.fetches.append(_merge(decision, parent, name))
            return
        aside_id = aside_name = None
        if decision.content is ASIDE and not self._is_held_beside(decision, parent, here):
            aside_id, aside_name = self.view.context.fresh_id(), self.view.take_name(parent, name, "conflict")
        self.fetches.append(
            Fetch(node=decision.id, parent=parent, name=name, aside_id=aside_id, aside_name=aside_name, why=decision.why)
        )

    def _is_held_beside(self, decision: Decision, folder: NodeId, here: LocalNode) -> bool:
        """Whether, nothing being known of before, the copy would say nothing new where it is made. That is not always where the
        file is to be: it may get there only later."""
        if decision.base is not None or folder == decision.parent:
            return False
        return self.view.holds_already(folder, here.content_hash, copies_only=False)


def _merge(decision: Decision, parent: NodeId, name: str) -> Merge:
    there, here, base = decision.there, decision.here, decision.base
    assert there is not None
    assert here is not None
    assert base is not None
    assert base.content_hash is not None
    assert here.content_hash is not None
    assert there.content_hash is not None
    return Merge(
        node=decision.id,
        parent=parent,
        name=name,
        namespace=there.namespace,
        base=base.content_hash,
        base_revision=base.revision,
        ours=here.content_hash,
        theirs=there.content_hash,
        why=decision.why,
    )
