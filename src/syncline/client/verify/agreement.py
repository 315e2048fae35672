"""The hop local ↔ synced ↔ remote: each tree is one, the base is nowhere ahead of the server, and what is claimed to agree does.

Pure rules over the three trees. Nodes that differ are work that is listed, and no damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syncline.client.observe.notes import shown
from syncline.client.plan.planner import in_agreement
from syncline.client.trees.tree import N, Tree
from syncline.client.verify.held import Held, within
from syncline.client.verify.report import Notebook
from syncline.model.entries import Kind, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NodeId

REPLAN: Final = "a running engine compares it anew at once; else the next start does"
AGAIN: Final = "stop Syncline, `syncline logout`, `login` and `link` again: the trees are made anew, and no file is lost"


class AgreementCheck:
    def __init__(self, held: Held, notes: Notebook, only: Sequence[str]) -> None:
        self._held = held
        self._trees = held.trees
        self._notes = notes
        self._only = only

    def check(self) -> None:
        trees = self._trees
        self._whole("remote", trees.remote)
        self._whole("synced", trees.synced)
        self._whole("local", trees.local)
        self._unique("remote", trees.remote)
        self._unique("synced", trees.synced)
        for node_id in sorted({*trees.remote.ids(), *trees.local.ids(), *trees.synced.ids()}):
            self._node(node_id)

    # -- each tree ---------------------------------------------------------------------------------------------------------------

    def _whole(self, name: str, tree: Tree[N]) -> None:
        """Every parent is there and a folder, and no folder lies inside itself."""
        judged: set[NodeId] = {self._trees.root}
        for node in tree:
            if not self._may_hold(tree, node.parent):
                message = f"in the {name} tree, what it lies in ({node.parent}) is no folder, or not there"
                self._notes.found("verify.parent_missing", self._path(node.id), message, AGAIN, node=node.id)
            trail: dict[NodeId, None] = {}
            at = node.id
            while at not in judged and at not in trail and at in tree:
                trail[at] = None
                at = tree[at].parent
            if at in trail:
                ring = list(trail)
                for each in ring[ring.index(at) :]:
                    message = f"in the {name} tree, this folder lies inside itself"
                    self._notes.found("verify.tree_cycle", self._path(each), message, AGAIN, node=each)
            judged.update(trail)

    def _may_hold(self, tree: Tree[N], parent: NodeId) -> bool:
        if parent == self._trees.root:
            return True
        node = tree.get(parent)
        if node is not None:
            return node.kind is Kind.DIR
        return any(parent == NodeId(row.namespace) for row in self._held.cursors)

    def _unique(self, name: str, tree: Tree[RemoteNode] | Tree[SyncedNode]) -> None:
        """One child for a key. Swaps pass through states where the base has two, so nodes at work are left out."""
        for node in tree:
            others = tree.keyed(node.parent, self._trees.key(node.name))
            if len(others) < 2 or node.id != min(others):
                continue
            at_work = name == "synced" and (
                any(each in self._trees.open for each in others) if self._held.claims else not self._held.resting
            )
            if not at_work:
                message = f"in the {name} tree, {len(others)} nodes have this place"
                self._notes.found("verify.name_taken", self._path(node.id, tree), message, AGAIN, node=node.id)

    # -- each node ---------------------------------------------------------------------------------------------------------------

    def _node(self, node_id: NodeId) -> None:
        trees = self._trees
        there, here, base = trees.remote.get(node_id), trees.local.get(node_id), trees.synced.get(node_id)
        kinds = {node.kind for node in (there, here, base) if node is not None}
        if len(kinds) > 1:
            message = "it is a file in one tree and a folder in another, and a node's kind never changes"
            self._notes.found("verify.kind_differs", self._path(node_id), message, AGAIN, node=node_id)
            return
        if there is not None and base is not None:
            self._base(there, base)
        if there is not None and here is not None and base is not None and in_agreement(there, here, base):
            return
        if self._held.claims and node_id not in trees.open:
            message = f"it counts as in sync, and the trees differ in {_difference(there, here, base)}"
            self._notes.found("verify.claim_false", self._path(node_id), message, REPLAN, node=node_id)
        elif within(path := self._path(node_id), self._only):
            code, message = _work(there, here, base)
            self._notes.left(code, path, message)

    def _base(self, there: RemoteNode, base: SyncedNode) -> None:
        """A revision's number fixes its content, so the base may be behind the server, never ahead of it, nor beside it."""
        if there.namespace != base.namespace:
            return  # It was moved into another namespace: a move to be done here, which the plan sees.
        if base.revision > there.revision:
            message = f"it is known to be in sync at revision {base.revision}, and the server's is {there.revision}"
            self._notes.found("verify.synced_ahead", self._path(base.id), message, AGAIN, node=base.id)
        elif base.revision == there.revision and _content_differs(there, base):
            message = f"revision {base.revision} is not the same in the synced tree and in the remote one"
            self._notes.found("verify.synced_differs", self._path(base.id), message, AGAIN, node=base.id)

    def _path(self, node_id: NodeId, tree: Tree[RemoteNode] | Tree[SyncedNode] | None = None) -> str:
        trees, root = self._trees, self._trees.root
        paths = (tree.path(node_id, root) if tree is not None else None, trees.local_path(node_id), trees.remote_path(node_id))
        return shown(next((path for path in (*paths, trees.synced.path(node_id, root)) if path is not None), f"…/{node_id}"))


def _content_differs(there: RemoteNode, base: SyncedNode) -> bool:
    if there.kind is Kind.DIR:
        return False
    return there.content_hash not in (None, base.content_hash) or there.executable != base.executable


def _difference(there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> str:
    absent = [name for name, node in (("remote", there), ("local", here), ("synced", base)) if node is None]
    if absent:
        return f"that the {' and the '.join(absent)} tree lacks it"
    fields = ("parent", "name", "content_hash", "executable")
    differing = [name for name in fields if len({getattr(node, name) for node in (there, here, base)} - {None}) > 1]
    return ", ".join(differing) or "revision"


def _work(there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None) -> tuple[str, str]:
    """What is left to do for a node that does not agree."""
    if base is None:
        if here is not None and there is not None:
            return "verify.unagreed", "here and on the server, and not yet known to be the same"
        return ("verify.unfetched", "new on the server") if here is None else ("verify.unsent", "new here")
    local = here is None or _local(here) != _local(base) or here.executable not in (None, base.executable)
    remote = there is None or (there.parent, there.name, there.revision) != (base.parent, base.name, base.revision)
    if local and remote:
        return "verify.both_changed", "changed here and on the server"
    if local:
        return "verify.unsent", "deleted here" if here is None else "changed here"
    return "verify.unfetched", "deleted on the server" if there is None else "changed on the server"


def _local(node: LocalNode | SyncedNode) -> tuple[object, ...]:
    return node.parent, node.name, node.content_hash
