"""Changes that are valid only together: found among what is stuck, checked on the final state, split into the smallest groups.

A member leaves the set when its final state would be invalid (greedily), and when nothing in the set needs it: what merely waits
for a group comes in the next plan. A delete joins when a member needs the name it frees.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import takewhile

from syncline.client.plan.decision import Decision
from syncline.client.plan.pushes import pushed
from syncline.client.plan.removals import Removals
from syncline.client.plan.revival import Revival
from syncline.client.plan.steps import Step
from syncline.client.plan.view import CLIMB_MAX, View
from syncline.model.entries import DIR, FILE
from syncline.model.ids import NodeId


class Groups:
    def __init__(
        self,
        view: View,
        stuck: Mapping[NodeId, Decision],
        blockers: Mapping[NodeId, NodeId],
        placed: Mapping[tuple[NodeId, str], NodeId],
        parents: Mapping[NodeId, NodeId],
        removals: Removals,
        revival: Revival,
    ) -> None:
        self.view = view
        self.removals = removals
        self.done: set[NodeId] = set()
        self._revival = revival
        self._placed = placed
        self._parents = parents
        self._members = dict(stuck)
        self._needs: dict[NodeId, set[NodeId]] = {}
        """What each member needs in the same changeset: other members, and deletes."""
        self._leaving: dict[NodeId, set[NodeId]] = {}
        """For each delete, the members that must leave it."""
        self._drop_hopeless(blockers)

    def form(self, *, first: int) -> list[Step]:
        """The groups' pushes, numbered from `first`."""
        self._drop_invalid()
        self._drop_needless()
        steps: list[Step] = []
        for number, component in enumerate(self._components(), first):
            steps += self._steps(component, number)
        return steps

    def _drop_hopeless(self, blockers: Mapping[NodeId, NodeId]) -> None:
        found = True
        while found:
            found = False
            for node_id in list(self._members):
                blocker = blockers[node_id]
                if blocker not in self._members and not self.removals.is_removal(blocker):
                    del self._members[node_id]
                    found = True

    # -- the final state --------------------------------------------------------------------------------------------------

    def _drop_invalid(self) -> None:
        while self._members:
            self._needs.clear()
            self._leaving.clear()
            invalid = [node_id for node_id, op in self._members.items() if not self._stands(op)]
            if not invalid:
                return
            for node_id in invalid:
                del self._members[node_id]

    def _stands(self, op: Decision) -> bool:
        """Whether the member's final place is valid when all members and the deletes they need are done; notes what it needs."""
        view, needs = self.view, self._needs.setdefault(op.id, set())
        needs |= self._revival.companions(op.id) & self._members.keys()
        if op.parent in self._members:
            needs.add(op.parent)
        elif not self._holds(op.parent):
            return False
        for node_id in view.remote.keyed(op.parent, op.key):
            if node_id == op.id or node_id in self._parents:
                continue
            if node_id in self._members:
                needs.add(node_id)
            elif not self._can_be_deleted(node_id):
                return False
            else:
                needs.add(node_id)
        placed = self._placed.get((op.parent, op.key))
        if placed is not None and placed != op.id:
            return False
        return op.kind is FILE or self._climbs_to_root(op, needs)

    def _holds(self, folder: NodeId) -> bool:
        """Whether a folder outside the set will be on the server."""
        if folder == self.view.root or folder in self._parents:
            return True
        return folder in self.view.remote and not self.removals.is_removal(folder)

    def _climbs_to_root(self, op: Decision, needs: set[NodeId]) -> bool:
        at: NodeId | None = op.parent
        for _ in range(CLIMB_MAX):
            if at is None or at == self.view.root:
                break
            if at == op.id:
                return False
            member = self._members.get(at)
            if member is not None:
                needs.add(at)
                at = member.parent
                continue
            node = self.view.remote.get(at)
            at = self._parents.get(at) or (None if node is None else node.parent)
        else:
            return False
        return True

    def _can_be_deleted(self, node_id: NodeId) -> bool:
        if not self.removals.is_removal(node_id):
            return False
        leaving = self._leaving.setdefault(node_id, set())
        for below in self.view.remote.descendants(node_id):
            if self.removals.is_removal(below.id) or below.id in self._parents:
                continue
            if below.id in self._members:
                leaving.add(below.id)
            elif not self._leaves_with_another(below.id, node_id, leaving):
                return False
        return True

    def _leaves_with_another(self, below: NodeId, doomed: NodeId, leaving: Set[NodeId]) -> bool:
        """Whether a folder between both is moved out. One above what is deleted takes nothing out of it."""
        between = takewhile(lambda above: above != doomed, self.view.remote.ancestors(below))
        return any(above in leaving or above in self._parents for above in between)

    # -- the smallest sets ------------------------------------------------------------------------------------------------

    def _drop_needless(self) -> None:
        """What nothing else needs, and which needs no delete, comes later by itself."""
        while True:
            needed = {need for node_id in self._members for need in self._all_needs(node_id)}
            needless = [
                node_id
                for node_id in self._members
                if node_id not in needed and not any(need in self._leaving for need in self._needs[node_id])
            ]
            if not needless:
                return
            for node_id in needless:
                del self._members[node_id]

    def _all_needs(self, node_id: NodeId) -> set[NodeId]:
        needs = self._needs[node_id]
        leaving = [self._leaving[need] for need in needs if need in self._leaving]
        return needs.union(*leaving) - {node_id} if leaving else needs

    def _components(self) -> list[list[NodeId]]:
        parent: dict[NodeId, NodeId] = {}

        def find(node_id: NodeId) -> NodeId:
            while parent.setdefault(node_id, node_id) != node_id:
                node_id = parent[node_id]
            return node_id

        for node_id in self._members:
            for need in self._all_needs(node_id):
                one, other = sorted((find(node_id), find(need)))
                parent[other] = one
        gathered: dict[NodeId, list[NodeId]] = {}
        for node_id in self._members:
            gathered.setdefault(find(node_id), []).append(node_id)
        return [gathered[key] for key in sorted(gathered)]

    # -- as steps ---------------------------------------------------------------------------------------------------------

    def _steps(self, component: list[NodeId], group: int) -> list[Step]:
        self.done.update(component)
        ordered = sorted(component, key=lambda node_id: (self._height(node_id), node_id))
        steps: list[Step] = [
            pushed(self.view, self._members[node_id], group=group, recursive=node_id in self._revival.recursive)
            for node_id in ordered
        ]
        deletes = {need for node_id in component for need in self._needs[node_id] if need in self._leaving}
        for node_id in sorted(deletes):
            steps += self._delete(node_id, group)
        return steps

    def _height(self, node_id: NodeId) -> int:
        """How many members lie above it in the final state."""
        height = 0
        member = self._members.get(self._members[node_id].parent)
        while member is not None and height <= len(self._members):
            height += 1
            member = self._members.get(member.parent)
        return height

    def _delete(self, node_id: NodeId, group: int) -> list[Step]:
        view, removals = self.view, self.removals
        decision = view.decisions[node_id]
        if removals.is_taken(node_id):
            return []
        below = removals.clean_below(node_id)
        if below is not None:
            removals.take(decision, below)
            return [removals.push(decision, recursive=decision.kind is DIR, group=group)]
        gone = [
            node.id
            for node in reversed(view.remote.descendants(node_id))
            if removals.is_removal(node.id) and not removals.is_taken(node.id)
        ]
        removals.take(decision, gone)
        return [removals.push(view.decisions[each], recursive=False, group=group) for each in (*gone, node_id)]
