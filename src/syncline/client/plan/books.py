"""What bookkeeping steps do to the trees: the one place that says so, for the engine and for the planner's own proof."""

from __future__ import annotations

from msgspec.structs import replace

from syncline.client.plan.steps import Adopt, Forget, Link, Push, Rebase
from syncline.client.trees.trees import Trees
from syncline.model.entries import SyncedNode
from syncline.model.ids import Digest, NodeId
from syncline.protocol.commits import Op


def keep_books(trees: Trees, step: Adopt | Forget | Link | Rebase) -> None:
    """Changes the trees as the step says. A step whose nodes are gone changes nothing but the synced tree."""
    if isinstance(step, Link):
        _link(trees, step.node, step.to)
        return
    remote = trees.remote.get(step.node)
    if isinstance(step, Forget) or remote is None:
        trees.remove_synced(step.node)
        return
    trees.put_synced(
        SyncedNode(
            id=remote.id,
            namespace=remote.namespace,
            parent=remote.parent,
            name=remote.name,
            kind=remote.kind,
            revision=remote.revision,
            content_hash=remote.content_hash,
            executable=remote.executable,
        )
    )


def _link(trees: Trees, node: NodeId, to: NodeId) -> None:
    """The local node takes the other identity. A base it had goes, and what was below it in the synced tree is below `to` now:
    a folder that came back under another id has not moved its children.

    Both are one from here on, so what is here is the base at once: without one, an edit or a move before the next plan would look
    like a conflict. Where name or executable bit differ, the server's win, as changes on top of such a base."""
    if to in trees.local or node not in trees.local:
        return
    inside = (trees.synced.get(child.id) for child in trees.local.children(node))
    moved_in = [base for base in inside if base is not None and base.parent == to]
    trees.rekey_local(node, to)
    if node in trees.synced:
        for child in trees.synced.children(node):
            trees.put_synced(replace(child, parent=to))
        trees.remove_synced(node)
    for base in moved_in:
        # It came here from the other folder, and must not look as if it had lain here all along: a move beats a deletion.
        trees.put_synced(replace(base, parent=node))
    here, there = trees.local[to], trees.remote.get(to)
    if there is None or there.kind is not here.kind or there.content_hash != here.content_hash:
        return
    trees.put_synced(
        SyncedNode(
            id=to,
            namespace=there.namespace,
            parent=here.parent,
            name=here.name,
            kind=here.kind,
            revision=there.revision,
            content_hash=here.content_hash,
            executable=there.executable if here.executable is None else here.executable,
        )
    )


def below_in_base(trees: Trees, folder: NodeId) -> list[NodeId]:
    """What was below a folder when it was last agreed on. Bases of different instants may form rings; each node is named once."""
    found: dict[NodeId, None] = {}
    frontier = [folder]
    while frontier:
        for node in trees.synced.children(frontier.pop()):
            if node.id != folder and node.id not in found:
                found[node.id] = None
                frontier.append(node.id)
    return list(found)


def book_push(trees: Trees, push: Push, *, revision: int, content_hash: Digest | None) -> None:
    """A push was committed: both sides agreed on it at that instant, so it is the base at once.

    Waiting for the journal instead would take a later change of another device, read in the same breath, for a conflict (or a later
    delete for one of a changed file). `content_hash` is what was sent, where content was."""
    base, remote = trees.synced.get(push.node), trees.remote.get(push.node)
    if push.op is Op.DELETE:
        below = below_in_base(trees, push.node) if push.recursive else []
        for node_id in (push.node, *below):
            # What was told as deleted was not here then. Where it is again, and not on the server, its user made it anew.
            if node_id not in trees.local or node_id not in trees.remote or trees.remote.is_below(node_id, push.node):
                trees.remove_synced(node_id)
        return
    known = base or remote
    if push.recursive or (known is None and push.op is not Op.CREATE):
        return
    parent = push.parent or (known.parent if known is not None else None)
    name = push.name or (known.name if known is not None else None)
    assert parent is not None
    assert name is not None
    kept = known.content_hash if known is not None else None
    executable = known.executable if known is not None else False
    trees.put_synced(
        SyncedNode(
            id=push.node,
            namespace=push.namespace,
            parent=parent,
            name=name,
            kind=push.kind,
            revision=revision,
            content_hash=content_hash if push.content else kept,
            executable=executable if push.executable is None else push.executable,
        )
    )


def book_fetch(trees: Trees, node: NodeId, parent: NodeId, name: str) -> None:
    """The remote revision's bytes came to `name` in `parent`: they are the base at once, whatever the remote tree learns next. A
    place that was changed here stays a local change. Where there was no base, the place is the base's too: if the server has the
    node elsewhere by now, or had it when nothing was known of before, that is the server's move."""
    remote, base = trees.remote.get(node), trees.synced.get(node)
    if remote is None:
        return
    trees.put_synced(
        SyncedNode(
            id=node,
            namespace=remote.namespace,
            parent=parent if base is None else base.parent,
            name=name if base is None else base.name,
            kind=remote.kind,
            revision=remote.revision,
            content_hash=remote.content_hash,
            executable=remote.executable,
        )
    )
