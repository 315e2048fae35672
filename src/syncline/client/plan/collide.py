"""Two nodes of the target tree with one name: which keeps it, which is the same thing after all, which takes another name.

What holds the name on the server keeps it. A local newcomer that is a folder, or has equal bytes, becomes it; any other takes a
conflict name. Twins on a disk that tells case apart are told from each other by "(case conflict)".
"""

from __future__ import annotations

from typing import Final

from syncline.client.plan.decision import CONFLICT, EXCLUDED, KEEP, Decision
from syncline.client.plan.steps import Hash, Link
from syncline.client.plan.view import View
from syncline.model.conflicts import Reason
from syncline.model.entries import DIR, FILE
from syncline.model.ids import NodeId

_REASONS: Final = {"case": Reason.CASE_TWIN, "selective": Reason.SELECTIVE_SYNC, "conflict": Reason.NAME_TAKEN}


def settle_names(view: View) -> None:
    """Gives every existing decision a place of its own (`parent`, `key`)."""
    spots: dict[tuple[NodeId, str], Decision | list[Decision]] = {}
    key_of = view.trees.key
    crowded: list[tuple[NodeId, str]] = []
    local, remote, decisions = view.local, view.remote, view.decisions
    for decision in decisions.values():
        if not decision.exists:
            stays = decision.here if _lingers(decision) else decision.there if _lingers_there(view, decision) else None
            if stays is None:
                continue
            decision.parent, decision.name = stays.parent, stays.name
        decision.key = key = key_of(decision.name)
        parent = decision.parent
        spot = (parent, key)
        other = spots.get(spot)
        if other is None:
            spots[spot] = decision
            for node_id in (*local.keyed(parent, key), *remote.keyed(parent, key)):
                if node_id not in decisions:
                    crowded.append(spot)
                    break
        else:
            spots[spot] = [*other, decision] if isinstance(other, list) else [other, decision]
            crowded.append(spot)
    for spot in dict.fromkeys(crowded):
        entry = spots[spot]
        _settle(view, spot, entry if isinstance(entry, list) else [entry])


def _lingers(decision: Decision) -> bool:
    """Gone from the server, but its folder stays on disk: it still has a name there."""
    return decision.held and decision.here is not None and decision.kind is DIR and decision.why.endswith("/delete")


def _lingers_there(view: View, decision: Decision) -> bool:
    """Gone from this disk alone: it still has its name on the server. Either it is kept off this disk, or it was deleted here and
    the server keeps the folder for what was never on this disk."""
    if decision.why == EXCLUDED:
        return decision.there is not None
    return decision.here is None and decision.kind is DIR and not decision.held and view.holds_excluded(decision.id)


def _settle(view: View, spot: tuple[NodeId, str], rivals: list[Decision]) -> None:
    """Finds the keeper of a place and makes every other give way."""
    resting = _resting(view, spot)
    if resting is not None:
        for rival in rivals:
            if resting in view.busy or _is_one_entry(view, rival, resting):
                rival.held = True
                view.waiting += 1
            else:
                _rename(view, rival, resting)
        return
    rivals.sort(key=lambda rival: _claim(view, rival, spot))
    keeper = rivals[0]
    for rival in rivals[1:]:
        if rival.id in view.detached:
            rival.held = True  # It is about to become another node, with the folder it lies in: that one is compared afterwards.
        elif _is_one_entry(view, rival, keeper.id):
            rival.held = True
            view.waiting += 1
        elif not _is_same(view, rival, keeper):
            _rename(view, rival, keeper.id)


def _resting(view: View, spot: tuple[NodeId, str]) -> NodeId | None:
    """A node at the place which is not decided about now: it agrees on all sides, or is busy."""
    for node_id in (*view.local.keyed(*spot), *view.remote.keyed(*spot)):
        if node_id not in view.decisions:
            return node_id
    return None


def _claim(view: View, rival: Decision, spot: tuple[NodeId, str]) -> tuple[int, int, str]:
    """Sorts the keeper first: on the server at this place, then at its last agreed place, then the eldest."""
    there, base = rival.there, rival.base
    on_server = there is not None and (there.parent, view.trees.key(there.name)) == spot
    agreed = base is not None and (base.parent, view.trees.key(base.name)) == spot
    return (not on_server, not agreed, rival.id)


def _is_twin(view: View, rival: Decision, keeper: NodeId) -> bool:
    """Whether both lie side by side on this disk, told apart only by case or normalisation."""
    other = view.local.get(keeper)
    return (
        rival.here is not None
        and other is not None
        and other.parent == rival.here.parent
        and view.trees.key(other.name) == view.trees.key(rival.here.name)
    )


def _is_one_entry(view: View, rival: Decision, keeper: NodeId) -> bool:
    """Whether both are said to be on disk under the very same name, which no disk can hold: one of them has left, and where it went
    is still being found out."""
    other = view.local.get(keeper)
    here = rival.here
    return here is not None and other is not None and rival.id != keeper and (here.parent, here.name) == (other.parent, other.name)


def _is_same(view: View, rival: Decision, keeper: Decision) -> bool:
    """Whether a local newcomer is the server's node: then it takes its identity (or that is found out first)."""
    if (
        rival.here is None
        or rival.there is not None
        or keeper.there is None
        or keeper.here is not None
        or rival.kind is not keeper.kind
    ):
        return False
    if keeper.held or (rival.held and not _lingers(rival)):
        rival.held = True
        return True
    if rival.kind is FILE:
        if rival.here.content_hash is None or keeper.there.content_hash is None:
            if rival.here.content_hash is None:
                view.reads.append(Hash(node=rival.id, why="new/new"))
            else:
                view.waiting += 1
            rival.held = keeper.held = True
            return True
        if rival.here.content_hash != keeper.there.content_hash:
            return False
    view.links.append(Link(node=rival.id, to=keeper.id, why="same place" if rival.kind is FILE else "merge folders"))
    view.detached.add(rival.id)
    rival.held = keeper.held = True
    return True


def _rename(view: View, rival: Decision, keeper: NodeId) -> None:
    here = rival.here
    if rival.held and not _lingers(rival):
        return
    twin = _is_twin(view, rival, keeper)
    new_file = here is not None and rival.base is None and rival.there is None and rival.kind is FILE
    if here is not None and new_file and not twin:
        if here.content_hash is None and view.holds_copies(rival.parent):
            view.reads.append(Hash(node=rival.id, why=rival.why))
            rival.held = True
            return
        if view.holds_already(rival.parent, here.content_hash, copies_only=True):
            if view.context.seeking:  # This may be just what is held there, on its way: then it is the only one.
                view.waiting += 1
                rival.held = True
                return
            rival.exists = False
            rival.content = KEEP
            rival.why = "already held"
            return
    mark = "case" if twin else "selective" if _meets_excluded(view, rival) else "conflict"
    rival.name = view.take_name(rival.parent, rival.name, mark)
    rival.key = view.trees.key(rival.name)
    rival.place = CONFLICT
    rival.conflict, rival.beside = _REASONS[mark], keeper
    rival.why = {"case": "case conflict", "selective": "selective sync conflict", "conflict": f"name taken, {rival.why}"}[mark]


def _meets_excluded(view: View, rival: Decision) -> bool:
    return any(view.is_excluded(node_id) or view.holds_excluded(node_id) for node_id in view.remote.keyed(rival.parent, rival.key))
