"""The decision table for one node: what its own changes, local and remote, make of it.

Rules of thumb behind every cell: a change beats a delete; fields merge (place, content, executable bit), and where both sides
changed one field the server's stays in place and local bytes move aside; what cannot be decided is read first.
"""

from __future__ import annotations

from syncline.client.plan.decision import (
    ABSENT,
    ASIDE,
    CELLS,
    DELETE,
    EXCLUDED,
    FETCH,
    FOLDER_CELLS,
    FROZEN,
    HASH,
    KEEP,
    LOCAL,
    MERGE,
    MOVE,
    NEW,
    PUSH,
    REMOTE,
    SAME,
    WAIT,
    Decision,
    local_change,
    remote_change,
    remote_content_changed,
)
from syncline.client.plan.steps import Adopt, Forget, Hash, Rebase
from syncline.client.plan.view import View
from syncline.model.entries import DIR, FILE, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NodeId
from syncline.model.limits import DEPTH_MAX, MERGE_MAX_BYTES
from syncline.model.paths import name_problem


def decide(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    """Puts the node's decision into the view, with the bookkeeping and readings that need no ordering."""
    if here is None:
        if there is None:
            view.books.append(Forget(node=node_id, why="delete/delete"))
        else:
            _not_here(view, Decision(node_id, there, None, base, ""))
        return
    changed_here = local_change(here, base)
    changed_there = remote_change(there, base)
    cells = CELLS if here.kind is FILE else FOLDER_CELLS
    decision = Decision(node_id, there, here, base, cells[changed_here][changed_there])
    view.decisions[node_id] = decision
    if there is None:
        if base is None:
            _new_here(view, decision)
        else:
            _gone_there(view, decision, changed_here)
        return
    _on_both_sides(view, decision, changed_here, changed_there)


# -- not on this disk ----------------------------------------------------------------------------------------------------


def _not_here(view: View, decision: Decision) -> None:
    """Remote only, or deleted here."""
    there, base = decision.there, decision.base
    assert there is not None
    changed_there = remote_change(there, base)
    cells = CELLS if there.kind is FILE else FOLDER_CELLS
    decision.why = cells[DELETE if base is not None else ABSENT][changed_there]
    decision.place = REMOTE
    view.decisions[decision.id] = decision
    if view.context.excluded and view.is_excluded(decision.id):
        del view.decisions[decision.id]
        if base is not None:
            view.books.append(Forget(node=decision.id, why=EXCLUDED))
        return
    problem = name_problem(there.name)
    if problem is not None:
        decision.held, decision.exists = True, False
        view.report(decision.id, "name.unsafe", f"It cannot be on this disk: {problem}.", decision.why)
        return
    if base is not None:
        if changed_there == 0:
            if view.restored(there.parent):
                decision.why = f"whole {decision.why}"
                view.books.append(Forget(node=decision.id, why=decision.why))
            else:
                decision.exists = False
                return
        elif there.kind is DIR and not changed_there & MOVE:
            decision.exists = False
            return
    if there.kind is FILE:
        decision.content = FETCH


# -- only on this disk ---------------------------------------------------------------------------------------------------


def _new_here(view: View, decision: Decision) -> None:
    """Made here: the server gets it, unless it refuses such a name."""
    here = decision.here
    assert here is not None
    decision.place = LOCAL
    if not _can_be_told(view, decision, here):
        decision.held, decision.exists = True, False
        return
    if here.kind is FILE:
        decision.content = PUSH
        decision.executable = bool(here.executable)


def _can_be_told(view: View, decision: Decision, here: LocalNode) -> bool:
    """Whether the server could hold the node where it is here. What cannot is reported, kept, and never deleted."""
    problem = name_problem(here.name)
    if problem is not None:
        view.report(decision.id, "name.invalid", f"It stays on this device only: {problem}.", decision.why)
        return False
    if here.parent != view.root and here.parent not in view.remote and view.local_only(here.parent):
        return False
    if view.depth(here.parent) >= DEPTH_MAX:
        view.report(
            decision.id, "limit.exceeded", f"It stays on this device only: more than {DEPTH_MAX} folders deep.", decision.why
        )
        return False
    return True


def _gone_there(view: View, decision: Decision, changed_here: int) -> None:
    """Deleted remotely: a change here brings it back under its own id; unchanged, it goes."""
    here, base = decision.here, decision.base
    assert here is not None
    assert base is not None
    decision.place = LOCAL
    if changed_here & MOVE and not _can_be_told(view, decision, here):
        decision.held, decision.exists = True, False
        return
    if here.kind is DIR:
        if not changed_here & MOVE:
            _brought_back_or_gone(view, decision)
        return
    if here.content_hash is None and not changed_here & MOVE and not view.revived(here.parent):
        view.reads.append(Hash(node=decision.id, why=decision.why))
        decision.held, decision.exists = True, False
        return
    if changed_here == 0:
        _brought_back_or_gone(view, decision)
        return
    if not changed_here & MOVE and view.revived(here.parent):
        decision.why = f"whole {decision.why}"
    decision.executable = base.executable if here.executable is None else here.executable
    if here.content_hash != base.content_hash:
        decision.content = PUSH


def _brought_back_or_gone(view: View, decision: Decision) -> None:
    assert decision.here is not None
    if view.revived(decision.here.parent):
        decision.why = f"whole {decision.why}"
    elif view.context.leftovers and view.holds_leftovers(decision.id):
        decision.exists, decision.held = False, True
    else:
        decision.exists = False


# -- on both sides -------------------------------------------------------------------------------------------------------


def _on_both_sides(view: View, decision: Decision, changed_here: int, changed_there: int) -> None:
    there, here, base = decision.there, decision.here, decision.base
    assert there is not None
    assert here is not None
    _merge_place(view, decision)
    agreed = decision.place is SAME
    if here.kind is FILE:
        if base is None:
            _compare_content(view, decision)
        else:
            _merge_content(view, decision)
            _merge_executable(decision)
        agreed = agreed and decision.content is KEEP and not decision.set_executable and not decision.push_executable
    if view.context.excluded and _is_to_leave(decision) and view.is_excluded(decision.id):
        decision.exists, decision.why = False, EXCLUDED
        decision.content, decision.set_executable = KEEP, False
    elif agreed:
        view.books.append(Adopt(node=decision.id, why=decision.why))
    elif base is not None and changed_here != NEW and _local_has_all(there, here, base):
        view.books.append(Rebase(node=decision.id, why=decision.why))


def _is_to_leave(decision: Decision) -> bool:
    """Whether the server has all that is here, so that it can go from this disk if it is not wanted there."""
    told = decision.content in (KEEP, FETCH) and not decision.push_executable
    return told and decision.place in (SAME, REMOTE)


def _merge_place(view: View, decision: Decision) -> None:
    """The side that moved wins; where both did, or nothing is known of before, the server."""
    there, here, base = decision.there, decision.here, decision.base
    assert there is not None
    assert here is not None
    if here.parent == there.parent and here.name == there.name:
        return
    if base is not None and there.parent == base.parent and there.name == base.name and decision.id not in view.reverted:
        decision.place = LOCAL if _can_be_told(view, decision, here) else FROZEN
        return
    decision.place = REMOTE
    decision.parent, decision.name = there.parent, there.name


def _compare_content(view: View, decision: Decision) -> None:
    """No base: equal bytes are one file; of unequal ones the server's keep the place."""
    there, here = decision.there, decision.here
    assert there is not None
    assert here is not None
    if there.content_hash is None:
        decision.content = WAIT
        view.waiting += 1
    elif here.content_hash is None:
        decision.content = HASH
        view.reads.append(Hash(node=decision.id, why=decision.why))
    elif here.content_hash != there.content_hash:
        held = view.holds_already(decision.parent, here.content_hash, copies_only=False)
        decision.content = FETCH if held else ASIDE
    elif here.executable is not None and here.executable != there.executable:
        decision.set_executable = True
        decision.executable = there.executable


def _merge_content(view: View, decision: Decision) -> None:
    there, here, base = decision.there, decision.here, decision.base
    assert there is not None
    assert here is not None
    assert base is not None
    changed_there = remote_content_changed(there, base)
    if here.content_hash is None:
        if changed_there:
            decision.content = HASH
            view.reads.append(Hash(node=decision.id, why=decision.why))
        else:
            decision.content = PUSH
    elif here.content_hash == base.content_hash:
        if changed_there:
            decision.content = FETCH
    elif not changed_there:
        decision.content = PUSH
    elif there.content_hash is None:
        decision.content = WAIT
        view.waiting += 1
    elif here.content_hash != there.content_hash:
        decision.content = MERGE if _may_merge(view, there, here, base) else ASIDE


def _may_merge(view: View, there: RemoteNode, here: LocalNode, base: SyncedNode) -> bool:
    """Whether a merge may be tried: it was asked for, there is something in common to start from, and these very contents have not
    been found unfit."""
    return (
        view.context.merge
        and base.content_hash is not None
        and max(there.size, here.signature.size) <= MERGE_MAX_BYTES
        and view.context.unmerged.get(here.id) != (here.content_hash, there.content_hash)
    )


def _merge_executable(decision: Decision) -> None:
    """The side that changed the bit wins; both can only have changed it alike. A disk without the bit has no say."""
    there, here, base = decision.there, decision.here, decision.base
    assert there is not None
    assert here is not None
    assert base is not None
    decision.executable = there.executable
    if here.executable is None or here.executable == there.executable or decision.content in (ASIDE, MERGE):
        return
    if here.executable != base.executable:
        decision.executable = here.executable
        decision.push_executable = True
    elif decision.content is not FETCH:
        decision.set_executable = True


def _local_has_all(there: RemoteNode, here: LocalNode, base: SyncedNode) -> bool:
    """Whether the remote changed, and the local node has every such change already, so that only its own are left on top."""
    place_changed = there.parent != base.parent or there.name != base.name
    if place_changed and (there.parent != here.parent or there.name != here.name):
        return False
    bit_changed = there.executable != base.executable
    if there.kind is DIR:
        return place_changed
    content_changed = remote_content_changed(there, base)
    if content_changed and (there.content_hash is None or here.content_hash != there.content_hash):
        return False
    if bit_changed and here.executable != there.executable:
        return False
    return place_changed or content_changed or bit_changed
