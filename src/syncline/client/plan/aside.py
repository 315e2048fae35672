"""Where nothing may be planned upwards: READ mounts, and namespaces that were lost.

In a READ mount the server's state is restored, and what was made or changed here moves to `Kept from NAME` in the root namespace.
Of a lost namespace what is unchanged goes to the local trash, the rest to `Kept from NAME`; nothing is deleted upwards.
"""

from __future__ import annotations

from itertools import takewhile

from syncline.client.plan.decision import (
    CELLS,
    EXCLUDED,
    FETCH,
    FOLDER_CELLS,
    FROZEN,
    HASH,
    KEEP,
    REMOTE,
    Decision,
    local_change,
    remote_change,
)
from syncline.client.plan.steps import Adopt, Forget, Hash, MakeFolder, Relocate
from syncline.client.plan.view import View
from syncline.model.conflicts import Reason
from syncline.model.entries import DIR, FILE, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.paths import name_problem


def new_in_closed(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    assert here is not None
    is_lost = view.namespace_at(here.parent) not in view.access
    _keep(view, Decision(node_id, None, here, None, "lost: new kept" if is_lost else "read-only: new kept"))


def _keep(view: View, decision: Decision) -> None:
    """Marks a local node to be moved to `Kept from NAME`."""
    decision.held, decision.exists, decision.place = True, False, FROZEN
    view.detached.add(decision.id)
    view.decisions[decision.id] = decision
    view.kept.append(decision.id)


# -- lost namespaces -----------------------------------------------------------------------------------------------------


def lost(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    if here is None:
        if base is not None:
            view.books.append(Forget(node=node_id, why="lost: gone"))
        return
    decision = Decision(node_id, None, here, base, "lost: unchanged")
    view.decisions[node_id] = decision
    decision.exists = False
    _trash_or_keep(view, decision, "lost: changed kept")


def _trash_or_keep(view: View, decision: Decision, kept: str) -> None:
    """What is gone from the server for good: unchanged bytes need no keeping."""
    here, base = decision.here, decision.base
    assert here is not None
    if here.kind is DIR:
        if base is None:
            decision.why = kept
            _keep(view, decision)
    elif base is not None and here.content_hash is None:
        decision.held = True
        view.reads.append(Hash(node=decision.id, why=decision.why))
    elif base is None or here.content_hash != base.content_hash:
        decision.why = kept
        _keep(view, decision)


# -- READ mounts ---------------------------------------------------------------------------------------------------------


def read_only(view: View, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> None:
    kind = (here or there or base).kind  # type: ignore[union-attr]
    cell = (CELLS if kind is FILE else FOLDER_CELLS)[local_change(here, base)][remote_change(there, base)]
    if there is None:
        if here is None:
            view.books.append(Forget(node=node_id, why=f"read-only: {cell}"))
            return
        decision = Decision(node_id, None, here, base, f"read-only: {cell}")
        decision.exists = False
        view.decisions[node_id] = decision
        _trash_or_keep(view, decision, f"read-only: {cell} kept")
        return
    if here is None and view.is_excluded(node_id):
        if base is not None:
            view.books.append(Forget(node=node_id, why=EXCLUDED))
        return
    decision = Decision(node_id, there, here, base, f"read-only: {cell}")
    decision.parent, decision.name, decision.place = there.parent, there.name, REMOTE
    view.decisions[node_id] = decision
    problem = name_problem(there.name) if here is None else None
    if problem is not None:
        decision.held, decision.exists = True, False
        view.report(node_id, "name.unsafe", f"It cannot be on this disk: {problem}.", decision.why)
    elif here is None:
        decision.content = FETCH if there.kind is FILE else KEEP
    else:
        _restore(view, decision, there, here, base)


def _restore(view: View, decision: Decision, there: RemoteNode, here: LocalNode, base: SyncedNode | None) -> None:
    """On both sides: the server's place and bytes; local bytes that differ are kept aside first."""
    if here.kind is FILE:
        same = there.content_hash is not None and here.content_hash == there.content_hash
        based = base is not None and here.content_hash == base.content_hash and here.content_hash is not None
        if here.content_hash is None:
            decision.content = HASH
            view.reads.append(Hash(node=decision.id, why=decision.why))
        elif based and base is not None and there.content_hash is None and there.revision == base.revision:
            same = True
        elif based and not same:
            decision.content = FETCH
        elif not same:
            decision.why += " kept"
            _keep(view, decision)
            return
        if same and here.executable is not None and here.executable != there.executable:
            decision.set_executable, decision.executable = True, there.executable
        if not same or decision.set_executable:
            return
    if here.parent == there.parent and here.name == there.name:
        view.books.append(Adopt(node=decision.id, why=decision.why))


# -- Kept from NAME ------------------------------------------------------------------------------------------------------


def keep_aside(view: View) -> None:
    """Moves what must be kept out of the mounts: folders as a whole, once nothing else is in them."""
    kept = set(view.kept)
    for node_id in view.kept:
        here = view.local[node_id]
        decision = view.decisions[node_id]
        if here.parent in kept:
            continue
        below = view.local.descendants(node_id) if here.kind is DIR else []
        if any(node.id not in kept for node in below):
            _make_way(view, decision, here)
            continue
        folder = _kept_folder(view, view.namespace_at(here.parent), decision)
        if folder is None:
            continue
        known = node_id in view.synced or node_id in view.remote
        view.leaving.update((node_id, *(node.id for node in below)))
        view.aside.append(
            Relocate(
                node=node_id,
                parent=folder,
                name=view.take_name(folder, here.name, "plain"),
                new_id=view.context.fresh_id(),
                conflict=Reason.KEPT_ASIDE,
                beside=node_id if known else None,
                fresh=tuple((node.id, view.context.fresh_id()) for node in below),
                why=decision.why,
            )
        )


def _make_way(view: View, decision: Decision, here: LocalNode) -> None:
    """A new folder holds what belongs elsewhere, perhaps at its own place, or at that of a folder around it that is to be deleted:
    it cannot leave first, but it can change its name, or step out of that folder."""
    below = view.local.descendants(here.id)
    if any(node.id in view.busy for node in below):
        view.waiting += 1
        return
    for around in (here.id, *takewhile(view.is_absent, view.local.ancestors(here.id))):
        place = view.local[around]
        if view.remote.keyed(place.parent, view.trees.key(place.name)):
            name = view.take_name(place.parent, here.name, "conflict")
            view.aside.append(Relocate(node=here.id, parent=place.parent, name=name, why=f"makes way, {decision.why}"))
            return


def _kept_folder(view: View, namespace: NamespaceId, decision: Decision) -> NodeId | None:
    """The folder `Kept from NAME`, made if need be; None when it is about to come from the server."""
    made = view.kept_folders.get(namespace)
    if made is not None:
        return made
    mount = view.remote.get(NodeId(namespace)) or view.synced.get(NodeId(namespace)) or view.local.get(NodeId(namespace))
    name = view.context.kept_names.get(namespace) or (mount.name if mount is not None else "a shared folder")
    wanted = f"Kept from {name}"
    key = view.trees.key(wanted)
    for node_id in view.local.keyed(view.root, key):
        if view.local[node_id].kind is DIR and not view.is_absent(node_id):
            view.kept_folders[namespace] = node_id
            return node_id
    for node_id in view.remote.keyed(view.root, key):
        if view.remote[node_id].kind is DIR and node_id not in view.local and node_id not in view.synced:
            return None
    folder = view.context.fresh_id()
    view.kept_folders[namespace] = folder
    view.aside.append(MakeFolder(node=folder, parent=view.root, name=view.take_name(view.root, wanted, "plain"), why=decision.why))
    return folder
