"""From single decisions to a target tree: what exists brings back the folders above it, and moves that close a ring are undone.

Run after every open node was decided, before names are compared.
"""

from __future__ import annotations

from syncline.client.plan.decision import EXCLUDED, FROZEN, LOCAL, REMOTE, Decision
from syncline.client.plan.view import View
from syncline.model.entries import DIR
from syncline.model.ids import NodeId


def complete(view: View) -> None:
    """Corrects the decisions in place until every existing node has an existing chain of folders, without rings."""
    _bring_back_folders(view)
    _report_leftovers(view)
    movers = [
        decision
        for decision in view.decisions.values()
        if decision.kind is DIR and decision.here is not None and decision.exists and _changes_folder(decision)
    ]
    while movers:
        broken = False
        for decision in movers:
            ring = [] if decision.held else _ring(view, decision)
            if ring:
                _break(view, ring)
                broken = True
        if not broken:
            return
        _bring_back_folders(view)


def _report_leftovers(view: View) -> None:
    if not view.context.leftovers:
        return
    for node_id in sorted(view.context.leftovers & view.decisions.keys()):
        decision = view.decisions[node_id]
        if decision.held and not decision.exists:
            view.report(node_id, "folder.leftover", "Deleted on the server; files that are not synced keep it here.", decision.why)


def _changes_folder(decision: Decision) -> bool:
    return (
        decision.there is None
        or (decision.here is not None and decision.here.parent != decision.there.parent)
        or (decision.base is not None and decision.base.parent != decision.parent)
    )


def _bring_back_folders(view: View) -> None:
    """A change beats a delete: a folder decided to go stays where something below it stays."""
    decisions = view.decisions
    for decision in decisions.values():
        if not decision.exists:
            continue
        above = decisions.get(decision.parent)
        while above is not None and not above.exists and not _is_settled_without(above):
            if above.why == EXCLUDED:  # It leaves this disk once what is below has left.
                above.held = True
                above = decisions.get(above.parent)
                continue
            above.exists = above.forced = True
            above.held = False
            _place_forced(above)
            above = decisions.get(above.parent)


def _is_settled_without(above: Decision) -> bool:
    """Kept local only, or kept off this disk: what is below cannot change that."""
    return above.held and (above.here is None or (above.there is None and above.base is None) or above.place is FROZEN)


def _place_forced(above: Decision) -> None:
    if above.here is not None:
        above.place = LOCAL
        above.parent, above.name = above.here.parent, above.here.name
        above.why = "folder below/delete"
    elif above.there is not None:
        above.place = REMOTE
        above.parent, above.name = above.there.parent, above.there.name
        above.why = "folder delete/below"


def _ring(view: View, start: Decision) -> list[Decision]:
    """The decisions on the ring that `start` is part of, if there is one."""
    seen: list[Decision] = [start]
    visited: set[NodeId] = {start.id}
    at: NodeId | None = start.parent
    while at is not None and at != view.root:
        if at == start.id:
            return seen
        if at in visited:
            return []
        visited.add(at)
        decision = view.decisions.get(at)
        if decision is not None:
            seen.append(decision)
        at = view.target_parent(at)
    return []


def _break(view: View, ring: list[Decision]) -> None:
    """Each move was legal alone: the local one gives way, and the folder goes where the server has it. A ring that only a busy node
    closes waits for that."""
    losers = [
        decision
        for decision in ring
        if decision.there is not None and decision.there.parent != decision.parent and not decision.held
    ]
    if losers:
        loser = min(losers, key=lambda decision: decision.id)
        assert loser.there is not None
        loser.parent, loser.name = loser.there.parent, loser.there.name
        loser.place, loser.why = REMOTE, "cycle"
        return
    for decision in ring:
        if decision.here is not None and not decision.held:
            decision.held = True
            decision.parent, decision.name = decision.here.parent, decision.here.name
            view.waiting += 1
