"""The decision table for one node: what its own changes, local and remote, make of it.

Rules of thumb behind every cell: a change beats a delete; fields merge (place, content, executable bit), and where both sides
changed one field the server's stays in place and local bytes move aside; what cannot be decided is read first.
"""

from __future__ import annotations

from syncline.client.plan.decision import (
    CELLS,
    DELETE,
    FOLDER_CELLS,
    MOVE,
    NEW,
    Content,
    Decision,
    Place,
    local_change,
    remote_change,
    remote_content_changed,
)
from syncline.client.plan.steps import Adopt, Forget, Hash, Rebase
from syncline.client.plan.view import View
from syncline.model.entries import Kind, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NodeId
from syncline.model.limits import DEPTH_MAX
from syncline.model.paths import name_problem


def decide(view: View, node_id: NodeId, r: RemoteNode | None, l: LocalNode | None, s: SyncedNode | None) -> None:  # noqa: E741
    """Puts the node's decision into the view, with the bookkeeping and readings that need no ordering."""
    if l is None:
        if r is None:
            view.books.append(Forget(node=node_id, why="delete/delete"))
        else:
            _not_here(view, Decision(node_id, r, None, s, ""))
        return
    here = local_change(l, s)
    there = remote_change(r, s)
    cells = CELLS if l.kind is Kind.FILE else FOLDER_CELLS
    decision = Decision(node_id, r, l, s, cells[here][there])
    view.decisions[node_id] = decision
    if r is None:
        if s is None:
            _new_here(view, decision)
        else:
            _gone_there(view, decision, here)
        return
    _on_both_sides(view, decision, here, there)


# -- not on this disk ----------------------------------------------------------------------------------------------------


def _not_here(view: View, decision: Decision) -> None:
    """Remote only, or deleted here."""
    r, s = decision.r, decision.s
    assert r is not None
    there = remote_change(r, s)
    cells = CELLS if r.kind is Kind.FILE else FOLDER_CELLS
    decision.why = cells[DELETE if s is not None else DELETE + 2][there]
    decision.place = Place.REMOTE
    view.decisions[decision.id] = decision
    if view.is_excluded(decision.id):
        del view.decisions[decision.id]
        if s is not None:
            view.books.append(Forget(node=decision.id, why="excluded"))
        return
    problem = name_problem(r.name)
    if problem is not None:
        decision.held, decision.exists = True, False
        view.report(decision.id, "name.unsafe", f"It cannot be on this disk: {problem}.", decision.why)
        return
    if s is not None:
        if there == 0:
            if view.restored(r.parent):
                decision.why = f"whole {decision.why}"
                view.books.append(Forget(node=decision.id, why=decision.why))
            else:
                decision.exists = False
                return
        elif r.kind is Kind.DIR and not there & MOVE:
            decision.exists = False
            return
    if r.kind is Kind.FILE:
        decision.content = Content.FETCH


# -- only on this disk ---------------------------------------------------------------------------------------------------


def _new_here(view: View, decision: Decision) -> None:
    """Made here: the server gets it, unless it refuses such a name."""
    l = decision.l  # noqa: E741
    assert l is not None
    decision.place = Place.LOCAL
    if not _can_be_told(view, decision, l):
        decision.held, decision.exists = True, False
        return
    if l.kind is Kind.FILE:
        decision.content = Content.PUSH
        decision.executable = bool(l.executable)


def _can_be_told(view: View, decision: Decision, l: LocalNode) -> bool:  # noqa: E741
    """Whether the server could hold the node where it is here. What cannot is reported, kept, and never deleted."""
    problem = name_problem(l.name)
    if problem is not None:
        view.report(decision.id, "name.invalid", f"It stays on this device only: {problem}.", decision.why)
        return False
    if l.parent != view.root and l.parent not in view.remote and view.local_only(l.parent):
        return False
    if view.depth(l.parent) >= DEPTH_MAX:
        view.report(
            decision.id, "limit.exceeded", f"It stays on this device only: more than {DEPTH_MAX} folders deep.", decision.why
        )
        return False
    return True


def _gone_there(view: View, decision: Decision, here: int) -> None:
    """Deleted remotely: a change here brings it back under its own id; unchanged, it goes."""
    l, s = decision.l, decision.s  # noqa: E741
    assert l is not None
    assert s is not None
    decision.place = Place.LOCAL
    if here & MOVE and not _can_be_told(view, decision, l):
        decision.held, decision.exists = True, False
        return
    if l.kind is Kind.DIR:
        if not here & MOVE:
            _brought_back_or_gone(view, decision)
        return
    if l.content_hash is None and not here & MOVE:
        view.reads.append(Hash(node=decision.id, why=decision.why))
        decision.held, decision.exists = True, False
        return
    if here == 0:
        _brought_back_or_gone(view, decision)
        return
    decision.executable = s.executable if l.executable is None else l.executable
    if l.content_hash != s.content_hash:
        decision.content = Content.PUSH


def _brought_back_or_gone(view: View, decision: Decision) -> None:
    assert decision.l is not None
    if view.revived(decision.l.parent):
        decision.why = f"whole {decision.why}"
    elif decision.id in view.context.leftovers:
        decision.exists, decision.held = False, True
    else:
        decision.exists = False


# -- on both sides -------------------------------------------------------------------------------------------------------


def _on_both_sides(view: View, decision: Decision, here: int, there: int) -> None:
    r, l, s = decision.r, decision.l, decision.s  # noqa: E741
    assert r is not None
    assert l is not None
    _merge_place(view, decision)
    agreed = decision.place is Place.SAME
    if l.kind is Kind.FILE:
        if s is None:
            _compare_content(view, decision)
        else:
            _merge_content(view, decision)
            _merge_executable(decision)
        agreed = agreed and decision.content is Content.KEEP and not decision.set_executable and not decision.push_executable
    if agreed:
        view.books.append(Adopt(node=decision.id, why=decision.why))
    elif s is not None and here != NEW and _local_has_all(r, l, s):
        view.books.append(Rebase(node=decision.id, why=decision.why))


def _merge_place(view: View, decision: Decision) -> None:
    """The side that moved wins; where both did, or nothing is known of before, the server."""
    r, l, s = decision.r, decision.l, decision.s  # noqa: E741
    assert r is not None
    assert l is not None
    if l.parent == r.parent and l.name == r.name:
        return
    if s is not None and r.parent == s.parent and r.name == s.name and decision.id not in view.reverted:
        decision.place = Place.LOCAL if _can_be_told(view, decision, l) else Place.FROZEN
        return
    decision.place = Place.REMOTE
    decision.parent, decision.name = r.parent, r.name


def _compare_content(view: View, decision: Decision) -> None:
    """No base: equal bytes are one file; of unequal ones the server's keep the place."""
    r, l = decision.r, decision.l  # noqa: E741
    assert r is not None
    assert l is not None
    if r.content_hash is None:
        decision.content = Content.WAIT
        view.waiting += 1
    elif l.content_hash is None:
        decision.content = Content.HASH
        view.reads.append(Hash(node=decision.id, why=decision.why))
    elif l.content_hash != r.content_hash:
        held = view.holds_already(l.parent, l.content_hash, copies_only=False)
        decision.content = Content.FETCH if held else Content.ASIDE
    elif l.executable is not None and l.executable != r.executable:
        decision.set_executable = True
        decision.executable = r.executable


def _merge_content(view: View, decision: Decision) -> None:
    r, l, s = decision.r, decision.l, decision.s  # noqa: E741
    assert r is not None
    assert l is not None
    assert s is not None
    there = remote_content_changed(r, s)
    if l.content_hash is None:
        if there:
            decision.content = Content.HASH
            view.reads.append(Hash(node=decision.id, why=decision.why))
        else:
            decision.content = Content.PUSH
    elif l.content_hash == s.content_hash:
        if there:
            decision.content = Content.FETCH
    elif not there:
        decision.content = Content.PUSH
    elif r.content_hash is None:
        decision.content = Content.WAIT
        view.waiting += 1
    elif l.content_hash != r.content_hash:
        decision.content = Content.ASIDE


def _merge_executable(decision: Decision) -> None:
    """The side that changed the bit wins; both can only have changed it alike. A disk without the bit has no say."""
    r, l, s = decision.r, decision.l, decision.s  # noqa: E741
    assert r is not None
    assert l is not None
    assert s is not None
    decision.executable = r.executable
    if l.executable is None or l.executable == r.executable or decision.content is Content.ASIDE:
        return
    if l.executable != s.executable:
        decision.executable = l.executable
        decision.push_executable = True
    elif decision.content is not Content.FETCH:
        decision.set_executable = True


def _local_has_all(r: RemoteNode, l: LocalNode, s: SyncedNode) -> bool:  # noqa: E741
    """Whether the remote changed, and the local node has every such change already, so that only its own are left on top."""
    place_changed = r.parent != s.parent or r.name != s.name
    if place_changed and (r.parent != l.parent or r.name != l.name):
        return False
    bit_changed = r.executable != s.executable
    if r.kind is Kind.DIR:
        return place_changed
    content_changed = remote_content_changed(r, s)
    if content_changed and (r.content_hash is None or l.content_hash != r.content_hash):
        return False
    if bit_changed and l.executable != r.executable:
        return False
    return place_changed or content_changed or bit_changed
