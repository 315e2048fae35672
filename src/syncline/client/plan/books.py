"""What bookkeeping steps do to the trees: the one place that says so, for the engine and for the planner's own proof."""

from __future__ import annotations

from msgspec.structs import replace

from syncline.client.plan.steps import Adopt, Forget, Link, Rebase
from syncline.client.trees.trees import Trees
from syncline.model.entries import SyncedNode
from syncline.model.ids import NodeId


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
    a folder that came back under another id has not moved its children."""
    if to in trees.local or node not in trees.local:
        return
    trees.rekey_local(node, to)
    if node in trees.synced:
        for child in trees.synced.children(node):
            trees.put_synced(replace(child, parent=to))
        trees.remove_synced(node)
