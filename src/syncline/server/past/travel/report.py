"""What a plan does, in words and paths: the answer of a rewind or an undo."""

from __future__ import annotations

from collections import Counter
from typing import Final

from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.commits import CommitAnswer
from syncline.protocol.past import SparedItem, TravelAnswer, TravelCounts, TravelItem
from syncline.server.past.authors import Authors
from syncline.server.past.paths import path_of
from syncline.server.past.travel.goals import Goal, Reason, Spared
from syncline.server.past.travel.plan import Deed, Ground, Outcome, Plan

SENTENCES: Final = {
    Reason.LATER: "it was changed later; that stands",
    Reason.DELETED_LATER: "it was deleted later; that stands, and its versions are in the trash",
    Reason.IN_USE: "something that stays is in this folder",
    Reason.PURGED: "it was purged from the trash for good",
    Reason.NOT_KEPT: "its version of that time is not kept any more",
    Reason.ELSEWHERE: "it belongs to a shared folder now",
    Reason.MOUNT: "it is a shared folder; sharing is not undone",
    Reason.PLACE_GONE: "the folder it was in is gone, so it stays where it is",
    Reason.CYCLE: "it would lie inside itself there, so it stays where it is",
}


def report(
    namespace: NamespaceId, plan: Plan, ground: Ground, authors: Authors, commit: CommitAnswer | None, *, dry_run: bool
) -> TravelAnswer:
    final = {outcome.goal.node_id: outcome.goal for outcome in plan.outcomes}
    counts = Counter(deed for outcome in plan.outcomes for deed in outcome.deeds)
    spared = list({one.node_id: one for one in reversed(plan.spared)}.values())[::-1]
    items = [_item(outcome, ground, final) for outcome in plan.outcomes[:BATCH_MAX]]
    return TravelAnswer(
        namespace=namespace,
        dry_run=dry_run,
        counts=TravelCounts(
            restored=counts[Deed.RESTORED],
            moved=counts[Deed.MOVED],
            reverted=counts[Deed.REVERTED],
            deleted=counts[Deed.DELETED],
            spared=len(spared),
        ),
        items=sorted(items, key=lambda item: item.path),
        spared=sorted((_spared(one, ground, authors) for one in spared[:BATCH_MAX]), key=lambda item: item.path),
        changeset=None if commit is None else commit.changeset,
        sequence=None if commit is None else commit.sequence,
        more=len(plan.outcomes) > BATCH_MAX or len(spared) > BATCH_MAX,
    )


def _item(outcome: Outcome, ground: Ground, final: dict[NodeId, Goal]) -> TravelItem:
    goal = outcome.goal
    new = _new_path(goal.node_id, ground, final)
    old = new if outcome.present is None else _old_path(goal.node_id, ground)
    return TravelItem(
        node_id=goal.node_id,
        kind=goal.kind,
        path=old,
        deeds=[deed.value for deed in outcome.deeds],
        new_path=new if goal.alive and new != old else None,
        revision=goal.revision or None,
    )


def _spared(spared: Spared, ground: Ground, authors: Authors) -> SparedItem:
    path = _old_path(spared.node_id, ground)
    if spared.node_id not in ground.nodes and spared.place is not None:
        folder = _old_path(spared.place[0], ground)
        path = f"{folder.rstrip('/')}/{spared.place[1]}"
    return SparedItem(
        node_id=spared.node_id,
        path=path,
        reason=spared.reason.value,
        detail=SENTENCES[spared.reason],
        by=None if spared.by is None else authors.author(spared.by),
    )


def _old_path(node: NodeId, ground: Ground) -> str:
    def placed(at: NodeId) -> tuple[NodeId, str] | None:
        row = ground.nodes.get(at)
        return None if row is None else (row.parent_id, row.name)

    return path_of(node, ground.root, placed)


def _new_path(node: NodeId, ground: Ground, final: dict[NodeId, Goal]) -> str:
    def placed(at: NodeId) -> tuple[NodeId, str] | None:
        goal = final.get(at)
        if goal is not None and goal.alive:
            return goal.parent_id, goal.name
        row = ground.nodes.get(at)
        return None if row is None else (row.parent_id, row.name)

    return path_of(node, ground.root, placed)
