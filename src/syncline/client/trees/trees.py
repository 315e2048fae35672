"""The three trees of a device together, which nodes they do not agree on, and the conflicts that stand open between nodes.

Every change goes through here, so that the set of open nodes is always a superset of those in disagreement, and so that what
changed since the last `drain` can be written to the store in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from syncline.client.trees.here import Here
from syncline.client.trees.tree import N, Tree
from syncline.model.conflicts import OpenConflict
from syncline.model.entries import DIR, FILE, Access, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import CONFLICTS_MAX
from syncline.model.paths import name_key
from syncline.ports.tree_store import Changes, CursorRow


class Trees:
    """Remote, local and synced trees below one root namespace, and the access held in each namespace."""

    def __init__(
        self, root: NamespaceId, access: Mapping[NamespaceId, Access] | None = None, *, key: Callable[[str], str] = name_key
    ) -> None:
        """`key` is the rule by which names collide (`model.paths.key_rule`)."""
        self.root = NodeId(root)
        self.key = key
        self.remote: Tree[RemoteNode] = Tree(key)
        self.local: Tree[LocalNode] = Tree(key)
        self.synced: Tree[SyncedNode] = Tree(key, by_content=False)
        self.access: dict[NamespaceId, Access] = dict(access or {root: Access.OWNER})
        """Namespaces this device may see. One that is missing here was lost: its absence is no delete."""
        self.open: set[NodeId] = set()
        """Nodes that may differ between the trees. The planner closes those it finds in agreement."""
        self.settling: set[NodeId] = set()
        """Remote files whose bytes the server is still taking in: it knows no hash of theirs yet, and plans leave them alone."""
        self.away: frozenset[NodeId] = frozenset()
        """Nodes that the engine moved, and that the disk lets go neither on nor back for now: that they are not at their places on
        disk is no deed of anybody's."""
        self.here = Here(self.remote, self.local, self.synced)
        """The Merkle sums over what is here, by which `status` proves its claim."""
        self.conflicts: dict[NodeId, OpenConflict] = {}
        """By the id of the copy."""
        self._conflicts_touched: set[NodeId] = set()
        self._touched: tuple[set[NodeId], set[NodeId], set[NodeId]] = (set(), set(), set())
        self._cursors: dict[NamespaceId, CursorRow] = {}

    @property
    def version(self) -> int:
        """Grows with every change of any tree: what was judged of an older one is no claim any more."""
        return self.here.version

    def use_key(self, key: Callable[[str], str]) -> None:
        """Another rule for names; what was settled under the old one is looked at again."""
        if key is self.key:
            return
        self.key = key
        self.remote.use_key(key)
        self.local.use_key(key)
        self.synced.use_key(key)
        self.open.update(self.remote.ids(), self.local.ids(), self.synced.ids())

    def put_remote(self, node: RemoteNode) -> None:
        node_id = node.id
        self.here.touch(node_id)
        self.remote.put(node)
        if node.content_hash is None and node.kind is FILE:
            self.settling.add(node_id)
        elif self.settling:
            self.settling.discard(node_id)
        self._touched[0].add(node_id)
        self.open.add(node_id)

    def put_local(self, node: LocalNode) -> None:
        node_id = node.id
        self.here.touch(node_id)
        self.local.put(node)
        self._touched[1].add(node_id)
        self.open.add(node_id)

    def put_synced(self, node: SyncedNode) -> None:
        """A base that goes into another namespace takes along what has its place below it."""
        node_id, old = node.id, self.synced.get(node.id)
        self.here.touch(node_id)
        self.synced.put(node)
        self._touched[2].add(node_id)
        self.open.add(node_id)
        if old is not None and old.namespace != node.namespace and node.kind is DIR:
            for base in self.synced.descendants(node_id):
                if base.namespace == old.namespace:
                    self.put_synced(replace(base, namespace=node.namespace))

    def remove_remote(self, node_id: NodeId) -> None:
        self.here.touch(node_id)
        self.settling.discard(node_id)
        if self.remote.remove(node_id) is not None:
            self._touch(0, node_id)

    def remove_local(self, node_id: NodeId) -> None:
        self.here.touch(node_id)
        if self.local.remove(node_id) is not None:
            self._touch(1, node_id)

    def remove_synced(self, node_id: NodeId) -> None:
        self.here.touch(node_id)
        if self.synced.remove(node_id) is not None:
            self._touch(2, node_id)

    def rekey_local(self, old: NodeId, new: NodeId) -> None:
        """The local node `old` takes the identity `new` (which is not in the local tree); its children follow."""
        node = self.local.get(old)
        if node is None or old == new:
            return
        assert new not in self.local, "the new identity is taken"
        self._rekey_conflict(old, new)
        children = self.local.children(old)
        self.remove_local(old)
        self.put_local(_with(node, id=new))
        for child in children:
            self.put_local(_with(child, parent=new))

    def put_conflict(self, conflict: OpenConflict) -> None:
        """Remembers a conflict; of very many the last are known by the names of their copies alone."""
        if conflict.copy in self.conflicts or len(self.conflicts) < CONFLICTS_MAX:
            self.conflicts[conflict.copy] = conflict
            self._conflicts_touched.add(conflict.copy)

    def remove_conflict(self, copy: NodeId) -> None:
        if self.conflicts.pop(copy, None) is not None:
            self._conflicts_touched.add(copy)

    def _rekey_conflict(self, old: NodeId, new: NodeId) -> None:
        for conflict in [each for each in self.conflicts.values() if old in (each.copy, each.original)]:
            self.remove_conflict(conflict.copy)
            copy = new if conflict.copy == old else conflict.copy
            # Where the original's bytes became the copy itself, the original is what the server has.
            original = new if conflict.original == old and copy != new else conflict.original
            self.put_conflict(replace(conflict, copy=copy, original=original))

    def namespace_of_local(self, node_id: NodeId) -> NamespaceId:
        """The namespace a local node lies in: that of the nearest mount above it."""
        for above in self.local.ancestors(node_id):
            namespace = NamespaceId(above)
            if namespace in self.access:
                return namespace
        return NamespaceId(self.root)

    def local_path(self, node_id: NodeId) -> str | None:
        return self.local.path(node_id, self.root)

    def remote_path(self, node_id: NodeId) -> str | None:
        return self.remote.path(node_id, self.root)

    def load(
        self,
        remote: Iterable[RemoteNode],
        local: Iterable[LocalNode],
        synced: Iterable[SyncedNode],
        conflicts: Iterable[OpenConflict] = (),
    ) -> None:
        """Fills the empty trees from the store; nothing of it needs writing back, and everything in disagreement is open."""
        assert not self.open, "trees are filled once"
        self.remote.fill(remote)
        self.local.fill(local)
        self.synced.fill(synced)
        self.settling = {node.id for node in self.remote.nodes() if node.content_hash is None and node.kind is FILE}
        self.conflicts = {conflict.copy: conflict for conflict in conflicts}
        self.open_all()

    def open_all(self) -> None:
        """Everything is to be compared again."""
        self.open = {*self.remote.ids(), *self.local.ids(), *self.synced.ids()}

    def put_cursor(self, row: CursorRow) -> None:
        """Where a namespace's remote tree stands by now: written with it, whoever writes it, and so never apart from it."""
        self._cursors[row.namespace] = row

    def drain(self) -> Changes:
        """What changed since the last call, as one transaction's worth."""
        remote, local, synced = self._touched
        self._touched = (set(), set(), set())
        changes = Changes(cursor_put=list(self._cursors.values()))
        self._cursors = {}
        _split(self.remote, remote, changes.remote_put, changes.remote_remove)
        _split(self.local, local, changes.local_put, changes.local_remove)
        _split(self.synced, synced, changes.synced_put, changes.synced_remove)
        for copy in sorted(self._conflicts_touched):
            if copy in self.conflicts:
                changes.conflict_put.append(self.conflicts[copy])
            else:
                changes.conflict_remove.append(copy)
        self._conflicts_touched = set()
        return changes

    def undrain(self, changes: Changes) -> None:
        """The transaction failed: what it held is to be written with the next one."""
        remote, local, synced = self._touched
        remote.update((node.id for node in changes.remote_put), changes.remote_remove)
        local.update((node.id for node in changes.local_put), changes.local_remove)
        synced.update((node.id for node in changes.synced_put), changes.synced_remove)
        for row in changes.cursor_put:
            self._cursors.setdefault(row.namespace, row)
        self._conflicts_touched.update((each.copy for each in changes.conflict_put), changes.conflict_remove)

    def _touch(self, tree: int, node_id: NodeId) -> None:
        self._touched[tree].add(node_id)
        self.open.add(node_id)


def _split(tree: Tree[N], ids: set[NodeId], puts: list[N], removes: list[NodeId]) -> None:
    for node_id in sorted(ids):
        node = tree.get(node_id)
        if node is None:
            removes.append(node_id)
        else:
            puts.append(node)


def _with(node: LocalNode, *, id: NodeId | None = None, parent: NodeId | None = None) -> LocalNode:
    return LocalNode(
        id=id or node.id,
        parent=parent or node.parent,
        name=node.name,
        kind=node.kind,
        signature=node.signature,
        links=node.links,
        content_hash=node.content_hash,
        executable=node.executable,
        racy=node.racy,
    )
