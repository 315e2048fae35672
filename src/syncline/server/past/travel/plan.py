"""Makes a changeset out of goals: the changes that lead there, such that a tree comes of it and nothing of anybody else's is lost.

What a goal asks for gives way where it must: a folder stays while something in it stays; a node stays where it is when its old
place is gone or would lie inside itself; a deleted folder comes back when something deleted in it does; a taken name gives
`name (restored)`. Each time that is told. Pure: the ground is what the store said, and holds still or the commit is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.model.journal import JournalEntry
from syncline.model.paths import name_key, restored_name
from syncline.ports.metadata_store import Place
from syncline.protocol.commits import Change, Op
from syncline.server.past.travel.goals import Goal, Reason, Spared

NAMES_TRIED_MAX: Final = 1000


class Ground(Struct, kw_only=True):
    """What stands. `nodes` are those the goals name and all above them and above where they lead; `holders` who has the places in
    `asked` (None: nobody); `children` the live children of folders that shall go; `kept` the revisions that can be had."""

    root: NodeId
    key: Callable[[str], str] = name_key
    nodes: dict[NodeId, JournalEntry] = field(default_factory=dict)
    holders: dict[Place, NodeId] = field(default_factory=dict)
    asked: set[Place] = field(default_factory=set)
    children: dict[NodeId, list[JournalEntry]] = field(default_factory=dict)
    kept: dict[tuple[NodeId, int], JournalEntry] = field(default_factory=dict)


class Deed(StrEnum):
    """What happens to a node."""

    RESTORED = "restored"
    MOVED = "moved"
    REVERTED = "reverted"
    DELETED = "deleted"


class Outcome(Struct, frozen=True):
    """One node as it will be, and what happens to it on the way."""

    goal: Goal
    present: JournalEntry | None
    deeds: tuple[Deed, ...]


class Plan(Struct):
    """`wants` are places that must be asked for before this plan can be believed."""

    changes: list[Change]
    outcomes: list[Outcome]
    spared: list[Spared]
    wants: set[Place]


def plan(goals: Iterable[Goal], spared: Sequence[Spared], ground: Ground) -> Plan:
    settling = _Settling(ground, list(spared))
    for goal in goals:
        settling.admit(goal)
    settling.settle()
    outcomes = [_outcome(goal, ground) for goal in settling.final.values()]
    outcomes = [outcome for outcome in outcomes if outcome.deeds]
    changes = [change for outcome in outcomes for change in _changes(outcome)]
    return Plan(changes, outcomes, settling.spared, settling.wants)


class _Settling:
    """The goals as they give way, until all of them together make a tree."""

    def __init__(self, ground: Ground, spared: list[Spared]) -> None:
        self.ground = ground
        self.final: dict[NodeId, Goal] = {}
        self.spared = spared
        self.wants: set[Place] = set()

    def admit(self, goal: Goal) -> None:
        """Takes a goal in, as far as its content can be had."""
        present = self.ground.nodes.get(goal.node_id)
        if present is None and (not goal.alive or goal.kind is Kind.FILE):
            if goal.alive:
                self._spare(goal, Reason.PURGED)
            return
        if not goal.alive and (present is None or present.deleted):
            return
        if goal.alive and goal.revision and present is not None and goal.revision != present.revision:
            row = self.ground.kept.get((goal.node_id, goal.revision))
            if row is None or row.content_hash is None:
                self._spare(goal, Reason.NOT_KEPT)
                if present.deleted:
                    return
                goal = replace(goal, revision=0)
            elif (row.content_hash, row.executable) == (present.content_hash, present.executable):
                goal = replace(goal, revision=0)
        elif goal.revision:
            goal = replace(goal, revision=0)
        self.final[goal.node_id] = goal

    def settle(self) -> None:
        """Each round gives something up or takes a folder back, so it ends."""
        while self._lift_parents() or self._keep_folders() or self._break_cycles():
            pass
        self._name()

    def _lift_parents(self) -> bool:
        """Every node that shall live gets a folder that does."""
        changed = False
        for goal in list(self.final.values()):
            if not goal.alive or self._may_hold(goal.parent_id):
                continue
            changed = True
            present, folder = self.ground.nodes.get(goal.node_id), self.ground.nodes.get(goal.parent_id)
            if present is not None and not present.deleted:
                self._stay(goal, present, Reason.PLACE_GONE)
            elif folder is not None and folder.deleted and folder.kind is Kind.DIR and not folder.mount:
                self.final[folder.node_id] = Goal(
                    node_id=folder.node_id,
                    kind=Kind.DIR,
                    alive=True,
                    parent_id=folder.parent_id,
                    name=folder.name,
                    needed=True,
                )
            else:
                self.final[goal.node_id] = replace(goal, parent_id=self.ground.root)
        return changed

    def _may_hold(self, folder: NodeId) -> bool:
        """A folder that shall die counts: it will be kept for what is in it."""
        if folder == self.ground.root or folder in self.final:
            return True
        stored = self.ground.nodes.get(folder)
        return stored is not None and not stored.deleted and stored.kind is Kind.DIR and not stored.mount

    def _keep_folders(self) -> bool:
        """A folder stays while something lives in it."""
        inside: dict[NodeId, bool] = defaultdict(bool)
        for goal in self.final.values():
            if goal.alive:
                inside[goal.parent_id] = True
        kept = [
            goal
            for goal in self.final.values()
            if not goal.alive and goal.kind is Kind.DIR and (inside[goal.node_id] or self._holds_others(goal.node_id))
        ]
        for goal in kept:
            del self.final[goal.node_id]
            self._spare(goal, Reason.IN_USE)
        return bool(kept)

    def _holds_others(self, folder: NodeId) -> bool:
        return any(child.node_id not in self.final for child in self.ground.children.get(folder, ()))

    def _break_cycles(self) -> bool:
        changed = False
        safe = {self.ground.root}
        for start in list(self.final):
            trail: dict[NodeId, None] = {}
            at = start
            while at not in safe and at not in trail:
                trail[at] = None
                above = self._parent(at)
                if above is None:
                    break
                at = above
            if at in trail and self._parent(at) is not None:
                steps = list(trail)
                changed = self._untie(steps[steps.index(at) :]) or changed
            safe.update(trail)
        return changed

    def _untie(self, ring: Sequence[NodeId]) -> bool:
        """Whether a node of the ring gave way."""
        changed = False
        for node in ring:
            goal, present = self.final.get(node), self.ground.nodes.get(node)
            if goal is None or not goal.alive:
                continue
            if present is None or present.deleted:
                self.final[node] = replace(goal, parent_id=self.ground.root)
                changed = True
            elif goal.parent_id != present.parent_id:
                self._stay(goal, present, Reason.CYCLE)
                changed = True
        return changed

    def _parent(self, node: NodeId) -> NodeId | None:
        goal = self.final.get(node)
        if goal is not None and goal.alive:
            return goal.parent_id
        stored = self.ground.nodes.get(node)
        return None if stored is None else stored.parent_id

    def _name(self) -> None:
        """Who stays where it is keeps its name; who comes gets the next one that is free."""
        taken = set[Place]()
        coming: list[Goal] = []
        for goal in self.final.values():
            if goal.alive:
                if self._stays(goal):
                    taken.add((goal.parent_id, self.ground.key(goal.name)))
                else:
                    coming.append(goal)
        coming.sort(key=lambda goal: (goal.needed, goal.node_id))
        for goal in coming:
            name, number = goal.name, 0
            while not self._free((goal.parent_id, self.ground.key(name)), taken) and number < NAMES_TRIED_MAX:
                number += 1
                name = restored_name(goal.name, number)
            taken.add((goal.parent_id, self.ground.key(name)))
            if name != goal.name:
                self.final[goal.node_id] = replace(goal, name=name)

    def _free(self, place: Place, taken: set[Place]) -> bool:
        if place in taken:
            return False
        if place not in self.ground.asked:
            self.wants.add(place)
        holder = self.ground.holders.get(place)
        return holder is None or holder in self.final

    def _stays(self, goal: Goal) -> bool:
        present = self.ground.nodes.get(goal.node_id)
        if present is None or present.deleted:
            return False
        return (present.parent_id, present.name) == (goal.parent_id, goal.name)

    def _stay(self, goal: Goal, present: JournalEntry, reason: Reason) -> None:
        self.final[goal.node_id] = replace(goal, parent_id=present.parent_id, name=present.name)
        self._spare(goal, reason)

    def _spare(self, goal: Goal, reason: Reason) -> None:
        self.spared.append(Spared(goal.node_id, reason, place=(goal.parent_id, goal.name)))


# -- From goals to changes -----------------------------------------------------------------------------------------------------


def _outcome(goal: Goal, ground: Ground) -> Outcome:
    present = ground.nodes.get(goal.node_id)
    deeds: list[Deed] = []
    if not goal.alive:
        deeds.append(Deed.DELETED)
    else:
        if present is None or present.deleted:
            deeds.append(Deed.RESTORED)
        elif (present.parent_id, present.name) != (goal.parent_id, goal.name):
            deeds.append(Deed.MOVED)
        if goal.revision:
            deeds.append(Deed.REVERTED)
    return Outcome(goal, present, tuple(deeds))


def _changes(outcome: Outcome) -> Iterable[Change]:
    goal, present = outcome.goal, outcome.present
    node, parent, name = goal.node_id, goal.parent_id, goal.name
    base = present.revision if present is not None and goal.kind is Kind.FILE else None
    content = goal.revision or None
    if Deed.DELETED in outcome.deeds:
        yield Change(op=Op.DELETE, node_id=node, base_revision=base)
    elif Deed.RESTORED in outcome.deeds:
        yield Change(
            op=Op.UNDELETE,
            node_id=node,
            kind=goal.kind,
            base_revision=base,
            parent_id=parent,
            name=name,
            from_revision=content,
        )
    else:
        if Deed.MOVED in outcome.deeds:
            yield Change(op=Op.MOVE, node_id=node, base_revision=base, parent_id=parent, name=name)
        if content is not None:
            yield Change(op=Op.EDIT, node_id=node, base_revision=base, from_revision=content)
