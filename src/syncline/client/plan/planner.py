"""The plan: a pure function of the three trees.

Every open node is decided alone (`decide`), the decisions become one valid target tree (`target`, `collide`), and each side's way
there is put in order (`disk`, `changeset`). Nothing is remembered between plans; a plan that was carried out in part, or not at
all, is followed by one that starts from what is then observed.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

from syncline.client.plan.aside import keep_aside
from syncline.client.plan.changeset import Changeset
from syncline.client.plan.collide import settle_names
from syncline.client.plan.context import PlanContext
from syncline.client.plan.decide import decide
from syncline.client.plan.disk import Disk
from syncline.client.plan.namespaces import rules_for
from syncline.client.plan.steps import Plan, Step
from syncline.client.plan.target import complete
from syncline.client.plan.view import View
from syncline.client.trees.trees import Trees
from syncline.model.entries import DIR, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId

MANY: Final = 1000
Unsettled = tuple[NodeId, RemoteNode | None, LocalNode | None, SyncedNode | None]
_NOTHING: Final = Plan(steps=())
_NONE: Final[Set[NodeId]] = frozenset()
__all__ = ["PlanContext", "plan"]


def plan(trees: Trees, *, context: PlanContext, busy: Set[NodeId] = frozenset()) -> Plan:
    """What to do next so that disk and server agree: deterministic, and empty when they do.

    Looks at `trees.open` only, and at what those nodes touch; closes the ids in it that agree on all sides. Changes nothing else.
    """
    unsettled = _unsettled(trees, context) if trees.open else None
    if not unsettled:
        return _NOTHING
    made, blocked = _round(View(trees, context, busy), unsettled)
    reverted: set[NodeId] = set()
    while not made.steps and not busy and not context.seeking and blocked - reverted:
        reverted.add(min(blocked - reverted))
        made, blocked = _round(View(trees, context, busy, reverted), unsettled)
    return made


def _round(view: View, unsettled: list[Unsettled]) -> tuple[Plan, Set[NodeId]]:
    """One plan, and, where it is empty, the nodes moved here whose move nothing but another plan's grace could carry out."""
    _decide_all(view, unsettled)
    if not view.decisions:
        return Plan(steps=(*view.books, *view.reads, *view.reports), waiting=view.waiting), _NONE
    if view.kept:
        keep_aside(view)
    complete(view)
    settle_names(view)
    disk, changeset = Disk(view), Changeset(view)
    disk.order()
    changeset.order()
    steps: list[Step] = [
        *view.aside,
        *view.books,
        *disk.structure,
        *view.reads,
        *disk.fetches,
        *changeset.pushes,
        *disk.deletes,
        *changeset.removals.pushes,
        *view.links,
        *view.reports,
    ]
    waiting = view.waiting
    if waiting or not steps:
        waiting += len(disk.blocked) + len(changeset.blocked)
    made = Plan(steps=tuple(steps), deletes_up=changeset.removals.files, deletes_down=disk.files_deleted, waiting=waiting)
    if steps:
        return made, _NONE
    return made, {op.id for op in (*disk.blocked, *changeset.blocked) if op.here is not None and op.there is not None}


def _unsettled(trees: Trees, context: PlanContext) -> list[Unsettled]:
    """The open nodes that are not in agreement, in order of ids; closes the others."""
    there_of, here_of, base_of = trees.remote.get, trees.local.get, trees.synced.get
    excluded = View(trees, context, frozenset()).is_excluded if context.excluded else None
    unsettled: list[Unsettled] = []
    closed: list[NodeId] = []
    for node_id in sorted(trees.open if excluded is None else _with_excluded(trees, excluded)):
        there, here, base = there_of(node_id), here_of(node_id), base_of(node_id)
        if there is None or here is None or base is None:
            if there is None and here is None and base is None:
                closed.append(node_id)
                continue
        elif in_agreement(there, here, base) and (excluded is None or not excluded(node_id)):
            closed.append(node_id)
            continue
        unsettled.append((node_id, there, here, base))
    if len(closed) > MANY:
        trees.open = trees.open.difference(closed)  # A set emptied in place stays as slow to walk as it was large.
    else:
        trees.open.difference_update(closed)
    return unsettled


def _with_excluded(trees: Trees, excluded: Callable[[NodeId], bool]) -> set[NodeId]:
    """The open nodes, and what lies on this disk in folders that were moved to where nothing is wanted here."""
    found = set(trees.open)
    for node_id in trees.open:
        there = trees.remote.get(node_id)
        if there is not None and there.kind is DIR and node_id in trees.local and excluded(node_id):
            found.update(below.id for below in trees.local.descendants(node_id))
    return found


def _decide_all(view: View, unsettled: list[Unsettled]) -> None:
    """Decides every node that is not busy, each alone."""
    busy, only, home = view.busy, view.context.only_namespaces, NamespaceId(view.root)
    if view.plain:
        for _, there, _, base in unsettled:
            known = there or base
            if known is not None and known.namespace != home:
                view.plain = False  # A namespace that was lost, and of which something is left here.
                break
    plain = view.plain
    for node_id, there, here, base in unsettled:
        if node_id in busy:
            view.waiting += 1
            continue
        if only is not None and _namespace(view, there, here, base) not in only:
            continue
        known = there or base
        rule = None if plain and known is not None else rules_for(view, there, here, base)
        if rule is None:
            decide(view, node_id, there, here, base)
        else:
            rule(view, node_id, there, here, base)


def in_agreement(there: RemoteNode, here: LocalNode, base: SyncedNode) -> bool:
    """Whether a node is the same in all three trees, so that nothing is left to do for it."""
    return (
        there.parent == here.parent == base.parent
        and there.name == here.name == base.name
        and there.revision == base.revision
        and here.content_hash == base.content_hash
        and (there.content_hash is None or there.content_hash == base.content_hash)
        and there.executable == base.executable
        and (here.executable is None or here.executable == base.executable)
        and there.namespace == base.namespace
    )


def _namespace(view: View, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> NamespaceId:
    known = there or base
    if known is not None:
        return known.namespace
    assert here is not None
    return view.namespace_at(here.parent)
