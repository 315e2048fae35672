"""Deletes for the server: folders as a whole where everything in them is known to be gone here, else only what is known.

What lies in a deleted folder but was never on this disk (excluded, ignored, refused by the disk) is not deleted unseen: its folder
stays on the server, and that is reported.
"""

from __future__ import annotations

from syncline.client.plan.decision import Decision
from syncline.client.plan.steps import Push, Step
from syncline.client.plan.view import View
from syncline.model.entries import DIR, FILE
from syncline.model.ids import NodeId
from syncline.protocol.commits import Op


class Removals:
    def __init__(self, view: View) -> None:
        self.view = view
        self.pushes: list[Step] = []
        self.files = 0
        """Files whose deletion `pushes`, and the groups that asked here, carry."""
        self._taken: set[NodeId] = set()

    def is_taken(self, node_id: NodeId) -> bool:
        """Whether a push made so far deletes it."""
        return node_id in self._taken

    def is_removal(self, node_id: NodeId) -> bool:
        """Whether a remote node is to be deleted on the server."""
        decision = self.view.decisions.get(node_id)
        return decision is not None and decision.absent and decision.there is not None and decision.here is None

    def finish(self, doomed: list[Decision]) -> None:
        """Deletes all that is left of what is to be deleted, each folder with what is below it."""
        for decision in doomed:
            if decision.id not in self._taken and self._is_topmost(decision):
                self._delete(decision.id, decision)

    def _is_topmost(self, decision: Decision) -> bool:
        assert decision.there is not None
        return not self.is_removal(decision.there.parent)

    def _delete(self, node_id: NodeId, decision: Decision) -> None:
        if decision.id in self._taken:
            return
        below = self.clean_below(node_id)
        if below is not None:
            self.pushes.append(self.push(decision, recursive=decision.kind is DIR and not self.view.is_mount(node_id)))
            self.take(decision, below)
            return
        told = False
        for child in self.view.remote.children(node_id):
            if self.is_removal(child.id):
                self._delete(child.id, self.view.decisions[child.id])
            elif not told and not any(child.id in known for known in (self.view.decisions, self.view.busy, self.view.local)):
                told = True
                self.view.report(
                    node_id,
                    "folder.kept",
                    "Deleted here, but it holds files on the server that are not on this device: it stays there.",
                    decision.why,
                )

    def clean_below(self, node_id: NodeId) -> list[NodeId] | None:
        """Everything below a remote node, if all of it is to be deleted; else None."""
        found: list[NodeId] = []
        frontier = [] if self.view.is_mount(node_id) else [node_id]
        while frontier:
            at = frontier.pop()
            for child in self.view.remote.children(at):
                if not self.is_removal(child.id):
                    return None
                found.append(child.id)
                if child.kind is DIR and not child.mount:
                    frontier.append(child.id)
            if len(found) > len(self.view.remote):
                return None  # A ring: nothing of the kind is deleted.
        return found

    def take(self, decision: Decision, below: list[NodeId]) -> None:
        """Counts a delete and what it carries along."""
        for node_id in (decision.id, *below):
            if node_id not in self._taken:
                self._taken.add(node_id)
                self.files += self.view.decisions[node_id].kind is FILE

    def push(self, decision: Decision, *, recursive: bool, group: int | None = None) -> Push:
        there = decision.there
        assert there is not None
        return Push(
            node=decision.id,
            why=decision.why,
            op=Op.DELETE,
            namespace=there.namespace,
            kind=decision.kind,
            base_revision=there.revision if decision.kind is FILE else None,
            recursive=recursive,
            group=group,
        )
