"""The server of the planner's world: `protocol.md` §3 over a dictionary, with a journal of whole placed states."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec.structs import replace

from syncline.client.plan.steps import Push
from syncline.model.entries import DIR, FILE, RemoteNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.paths import name_key
from syncline.protocol.commits import Op

ROOT = NodeId("root")
MOUNT = NodeId("m0")
key_of = cache(name_key)
"""The rule for names: the few of a test world are asked for again and again."""
Entry = tuple[NodeId, RemoteNode | None]


class Refused(Exception):
    """A changeset that is not valid; the message is the protocol's code."""


class Server:
    def __init__(self, nodes: Mapping[NodeId, RemoteNode], read_only: frozenset[str] = frozenset()) -> None:
        self.nodes: dict[NodeId, RemoteNode] = dict(nodes)
        self.tombs: dict[NodeId, tuple[RemoteNode, int]] = {}
        self.changed: dict[NodeId, int] = {}
        self.journal: list[list[Entry]] = []
        self.head = 0
        """How long the journal is."""
        self.history: set[str] = {node.content_hash for node in nodes.values() if node.content_hash is not None}
        self.read_only = read_only
        self.revision = 1
        self.overwritten: set[NodeId] = set()
        """Nodes whose bytes another device's user replaced."""

    def commit(self, unit: list[Push], contents: dict[NodeId, str], as_of: int) -> None:
        """Applies one changeset or raises `Refused`."""
        work = _Overlay(self, as_of)
        for push in unit:
            if push.namespace in self.read_only:
                raise AssertionError(f"planned upwards into a READ mount: {push}")
            work.apply(push, contents.get(push.node))
        work.validate()
        self._take(work)

    def user(self, op: tuple) -> bool:
        """Another device's change, made against the present state; whether it was possible."""
        work = _Overlay(self, self.head)
        try:
            work.user(op)
            work.validate()
        except (Refused, KeyError):
            return False
        self._take(work)
        return True

    def _take(self, work: _Overlay) -> None:
        entries: list[Entry] = []
        self.head = sequence = self.head + 1
        for node_id in work.touched:
            node = work.nodes.get(node_id)
            if node is None and node_id in self.nodes:
                self.tombs[node_id] = (self.nodes[node_id], sequence)
            elif node is not None:
                self.tombs.pop(node_id, None)
                if node.content_hash is not None:
                    self.history.add(node.content_hash)
            self.changed[node_id] = sequence
            entries.append((node_id, node))
        self.nodes = work.nodes
        self.journal.append(entries)


class _Overlay:
    def __init__(self, server: Server, as_of: int) -> None:
        self.server = server
        self.nodes = dict(server.nodes)
        self.touched: dict[NodeId, None] = {}
        self.shaped = False
        """Whether a place changed, so that the tree may not be one any more."""
        self.dropped = False
        self.as_of = as_of

    def put(self, node: RemoteNode) -> None:
        old = self.nodes.get(node.id)
        if old is None or old.parent != node.parent or old.name != node.name:
            self.shaped = True
        self.nodes[node.id] = node
        self.touched[node.id] = None

    def drop(self, node_id: NodeId) -> None:
        del self.nodes[node_id]
        self.shaped = self.dropped = True
        self.touched[node_id] = None

    def below(self, node_id: NodeId) -> list[NodeId]:
        found = []
        frontier = [node_id]
        while frontier:
            at = frontier.pop()
            for node in self.nodes.values():
                if node.parent == at:
                    found.append(node.id)
                    frontier.append(node.id)
        return found

    def next_revision(self) -> int:
        self.server.revision += 1
        return self.server.revision

    def apply(self, push: Push, content: str | None) -> None:
        node = self.nodes.get(push.node)
        if push.op is Op.CREATE:
            self._create(push, node, content)
        elif push.op is Op.UNDELETE:
            self._undelete(push, node, content)
        elif node is None:
            raise Refused("node.deleted")
        elif push.base_revision is not None and push.base_revision != node.revision:
            raise Refused("revision.stale")
        elif push.op is Op.EDIT:
            executable = node.executable if push.executable is None else push.executable
            hash_ = content if push.content else node.content_hash
            self.put(replace(node, content_hash=hash_, executable=executable, revision=self.next_revision()))
        elif push.op is Op.MOVE:
            if self._namespace_in(push.parent) not in (node.namespace, None):
                raise Refused("request.invalid")
            self.put(replace(node, parent=push.parent, name=push.name))
        else:
            self._delete(push)

    def _create(self, push: Push, node: RemoteNode | None, content: str | None) -> None:
        if node is not None:
            raise Refused("node.exists")
        if push.node in self.server.tombs:
            raise Refused("node.deleted")
        self.put(
            RemoteNode(
                id=push.node,
                namespace=push.namespace,
                parent=push.parent,
                name=push.name,
                kind=push.kind,
                revision=self.next_revision(),
                content_hash=content if push.kind is FILE else None,
                executable=bool(push.executable),
            )
        )

    def _undelete(self, push: Push, node: RemoteNode | None, content: str | None) -> None:
        if node is not None:
            raise Refused("node.exists")
        if push.node not in self.server.tombs:
            self._create(push, None, content)
            return
        tomb, at = self.server.tombs[push.node]
        executable = tomb.executable if push.executable is None else push.executable
        hash_ = content if push.content else tomb.content_hash
        self.put(
            replace(
                tomb,
                parent=push.parent,
                name=push.name,
                content_hash=hash_,
                executable=executable,
                revision=self.next_revision(),
            )
        )
        if push.recursive:
            found = True
            while found:
                found = False
                for other, (dead, when) in self.server.tombs.items():
                    if when == at and other not in self.nodes and dead.parent in self.touched:
                        self.put(replace(dead, revision=self.next_revision()))
                        found = True

    def _delete(self, push: Push) -> None:
        if push.recursive:
            for node_id in self.below(push.node):
                if self.server.changed.get(node_id, 0) > self.as_of:
                    raise Refused("subtree.changed")
                self.drop(node_id)
        self.drop(push.node)

    def user(self, op: tuple) -> None:
        kind, node_id, *rest = op
        if kind == "create":
            parent, name, what, content = rest
            if node_id in self.nodes or node_id in self.server.tombs:
                raise Refused("node.exists")
            namespace = self._namespace_in(parent)
            if namespace is None:
                raise Refused("parent.gone")
            self.put(
                RemoteNode(
                    id=node_id,
                    namespace=namespace,
                    parent=parent,
                    name=name,
                    kind=what,
                    revision=self.next_revision(),
                    content_hash=content,
                )
            )
        elif kind == "edit":
            self.server.overwritten.add(node_id)
            self.put(replace(self.nodes[node_id], content_hash=rest[0], revision=self.next_revision()))
        elif kind == "chmod":
            node = self.nodes[node_id]
            self.put(replace(node, executable=not node.executable, revision=self.next_revision()))
        elif kind == "move":
            node = self.nodes[node_id]
            if self._namespace_in(rest[0]) != node.namespace:
                raise Refused("request.invalid")
            self.put(replace(node, parent=rest[0], name=rest[1]))
        else:
            if self.nodes[node_id].mount:
                raise Refused("request.invalid")
            for below in self.below(node_id):
                self.drop(below)
            self.drop(node_id)

    def _namespace_in(self, folder: NodeId | None) -> NamespaceId | None:
        """The namespace of what lies in a folder; None for one that is not there."""
        if folder == ROOT:
            return NamespaceId("root")
        node = self.nodes.get(folder)
        if node is None:
            return None
        return NamespaceId(node.id) if node.mount else node.namespace

    def validate(self) -> None:
        """Raises `Refused` where the tree is none any more. It was one before: only what was touched can be amiss, and what lay in
        a folder that was dropped."""
        if not self.shaped:
            return
        nodes = self.nodes
        touched = [nodes[node_id] for node_id in self.touched if node_id in nodes]
        for node in nodes.values() if self.dropped else touched:
            if node.parent != ROOT:
                above = nodes.get(node.parent)
                if above is None or above.kind is not DIR:
                    raise Refused("parent.gone")
        for node in touched:
            parent, key = node.parent, key_of(node.name)
            for other in nodes.values():
                if other.parent == parent and other is not node and key_of(other.name) == key:
                    raise Refused("name.taken")
        for node in touched:
            if node.kind is FILE:
                continue
            node_id = node.id
            at = node_id
            for _ in range(len(nodes) + 1):
                if at == ROOT or at not in nodes:
                    break
                at = nodes[at].parent
            else:
                raise Refused("tree.cycle")
