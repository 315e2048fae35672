"""Which rules decide a node where namespaces meet, and moves from one namespace into another.

Such a move is a new node there: the old one is then deleted, or in a READ mount restored. What a namespace does not take goes back.
Not everything that lies in another namespace than it is of was moved there: a folder may have become a shared one around it.
"""

from __future__ import annotations

from collections.abc import Callable

from syncline.client.plan.aside import lost, new_in_closed, read_only
from syncline.client.plan.decide import decide
from syncline.client.plan.decision import FROZEN, REMOTE, Decision
from syncline.client.plan.steps import Relocate
from syncline.client.plan.view import View
from syncline.model.entries import DIR, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId

Rule = Callable[[View, NodeId, RemoteNode | None, LocalNode | None, SyncedNode | None], None]


def rules_for(view: View, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> Rule | None:
    """Which rules decide a node; None for the common table."""
    known = there or base
    if known is None:
        assert here is not None
        return None if view.may_write(view.namespace_at(here.parent)) else new_in_closed
    if here is not None and _is_stranded(view, there, here):
        return lost
    access = view.access.get(known.namespace)
    writable = None if access is None else access.may_write
    if here is not None and (writable is None or not view.plain) and view.namespace_at(here.parent) != known.namespace:
        return _in_another
    if writable is None:
        return lost
    if str(known.namespace) == view.root:
        return None
    mount = NodeId(known.namespace)
    if here is None and mount in view.synced and mount in view.remote and mount not in view.local:
        return _unmounting
    return None if writable else read_only


def _is_stranded(view: View, there: RemoteNode | None, here: LocalNode) -> bool:
    """Whether it is a lost mount in a shared folder, where none can be: it goes, whatever becomes of what is around it."""
    if view.plain or there is not None or here.kind is not DIR or NamespaceId(here.id) in view.access:
        return False
    return str(view.namespace_at(here.parent)) != view.root and view.is_mount(here.id)


def _unmounting(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    """The mount itself was deleted here: that is one change of the root namespace, and nothing inside is anybody's business."""


def _in_another(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    assert here is not None
    known = there or base
    assert known is not None
    namespace_here = view.namespace_at(here.parent)
    welcome = view.may_write(namespace_here)
    if there is not None and base is not None and base.namespace == namespace_here:
        decide(view, node_id, there, here, base)  # Nobody here moved it: the server did, out of or into what became shared then.
    else:
        _moved_across(view, node_id, there, here, base, welcome=welcome)


# -- moves ---------------------------------------------------------------------------------------------------------------


def _moved_across(
    view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode, base: SyncedNode | None, *, welcome: bool
) -> None:
    known = there or base
    assert known is not None
    is_mount = view.is_mount(node_id)
    carrier = _carrier(view, node_id, known.namespace, welcome=welcome)
    if carrier is not None and (carrier in view.remote or not is_mount):
        if not welcome:  # The folder above goes back, and what changed in it is a change where it was.
            decide(view, node_id, there, here, base)
    elif not welcome or is_mount or (there is not None and _is_closed_to(view, here)):
        _move_back(view, node_id, there, here, base)
    else:
        _make_new(view, Decision(node_id, there, here, base, "across namespaces"), known.namespace)


def _make_new(view: View, decision: Decision, namespace: NamespaceId) -> None:
    """It becomes a node of the namespace it lies in, with all below it but for mounts; `namespace` is where it was."""
    here = decision.here
    assert here is not None
    namespace_here = view.namespace_at(here.parent)
    below, mounts = _below(view, here.id)
    decision.held, decision.exists, decision.place = True, False, FROZEN
    view.detached.update((here.id, *(node.id for node in below)))
    view.decisions[here.id] = decision
    # No shared folder lies in another: where its own place is gone, they leave first.
    closed = mounts and str(namespace_here) != view.root
    if closed or any(node.id in view.busy for node in view.local.descendants(here.id)):
        view.waiting += 1
        return
    foreign = [node.id for node in below if _is_foreign(view, node.id, namespace_here)]
    view.aside.append(
        Relocate(
            node=here.id,
            parent=here.parent,
            name=here.name,
            new_id=view.context.fresh_id(),
            fresh=tuple((old, view.context.fresh_id()) for old in foreign),
            left=view.may_write(namespace),
            why=decision.why,
        )
    )


def _below(view: View, folder: NodeId) -> tuple[list[LocalNode], bool]:
    """What lies in a local folder, mounts and what is in them left out; whether there are any."""
    found: list[LocalNode] = []
    frontier, mounts = [folder], False
    while frontier:
        for child in view.local.children(frontier.pop()):
            if view.is_mount(child.id):
                mounts = True
                continue
            found.append(child)
            if child.kind is DIR:
                frontier.append(child.id)
    return found, mounts


def _is_foreign(view: View, node_id: NodeId, namespace: NamespaceId) -> bool:
    """Whether a node may be one of another namespace; one of this namespace that was moved into the folder stays itself. What is
    not known here may be known there again one day: a server that lost its memory may get it back from another device."""
    known = view.remote.get(node_id) or view.synced.get(node_id)
    return known is None or known.namespace != namespace


def _carrier(view: View, node_id: NodeId, namespace: NamespaceId, *, welcome: bool) -> NodeId | None:
    """The folder above that moved across with the node, and takes it along; `welcome` where it may stay."""
    for above in view.local.ancestors(node_id):
        if above == view.root or view.is_mount(above):
            return None
        there = view.remote.get(above)
        known = there or view.synced.get(above)
        if known is not None and known.namespace == namespace:  # Gone there, and not welcome here: it takes nothing anywhere.
            return above if there is not None or view.may_write(view.namespace_at(above)) else None
        if known is not None and not welcome:  # It goes back to where it belongs, and what was put into it does not.
            return None
    return None


def _is_closed_to(view: View, here: LocalNode) -> bool:
    """Whether a folder holds a mount, and lies in a shared folder."""
    return here.kind is DIR and str(view.namespace_at(here.parent)) != view.root and _below(view, here.id)[1]


def _move_back(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode, base: SyncedNode | None) -> None:
    """Moved to where it cannot be: it goes back, or to `Kept from NAME` where its place is gone too."""
    if there is None or there.namespace not in view.access:
        lost(view, node_id, None, here, base)
        return
    if not view.may_write(there.namespace):
        read_only(view, node_id, there, here, base)
        return
    decide(view, node_id, there, here, base)
    decision = view.decisions.get(node_id)
    if decision is not None and (here.parent != there.parent or here.name != there.name):
        decision.parent, decision.name, decision.place = there.parent, there.name, REMOTE
        decision.why = f"moved where it cannot be, {decision.why}"
