"""One tree in memory: nodes by id, children by name key, content by hash.

The remote and synced trees hold one child for a key; the local tree may hold twins for a moment on a disk that tells case or
normalisation apart. Puts replace by id and keep the indexes right; nothing here is checked against a parent's existence, since a
page may bring a child and its parent in one breath (`problems` checks a tree whole).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, ValuesView
from typing import Final, Generic, TypeVar

from syncline.model.entries import DIR, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import DEPTH_MAX
from syncline.model.paths import name_key

N = TypeVar("N", RemoteNode, LocalNode, SyncedNode)


class Tree(Generic[N]):
    """A mutable tree of frozen nodes. Iteration is in order of insertion unless said otherwise."""

    def __init__(self, key: Callable[[str], str] = name_key, *, by_content: bool = True) -> None:
        """`by_content`: whether `with_content` will be asked."""
        self._key = key
        self._nodes: dict[NodeId, N] = {}
        self.get: Final[Callable[[NodeId], N | None]] = self._nodes.get
        """The node of an id, or None: asked more often than anything else."""
        self._children: dict[NodeId, dict[str, NodeId | tuple[NodeId, ...]]] = {}
        self._by_content: dict[Digest, NodeId | tuple[NodeId, ...]] | None = {} if by_content else None

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node_id: NodeId) -> bool:
        return node_id in self._nodes

    def __iter__(self) -> Iterator[N]:
        return iter(self._nodes.values())

    def ids(self) -> Iterator[NodeId]:
        return iter(self._nodes)

    def nodes(self) -> ValuesView[N]:
        return self._nodes.values()

    def __getitem__(self, node_id: NodeId) -> N:
        return self._nodes[node_id]

    def put(self, node: N) -> None:
        node_id = node.id
        old = self._nodes.get(node_id)
        self._nodes[node_id] = node
        if old is None:
            self._place(node)
            if self._by_content is not None and node.content_hash is not None:
                _add(self._by_content, node.content_hash, node_id)
            return
        if old.parent != node.parent or old.name != node.name:
            self._displace(old)
            self._place(node)
        if self._by_content is not None and old.content_hash != node.content_hash:
            if old.content_hash is not None:
                _drop(self._by_content, old.content_hash, node_id)
            if node.content_hash is not None:
                _add(self._by_content, node.content_hash, node_id)

    def fill(self, nodes: Iterable[N]) -> None:
        """Puts nodes of which none is in the tree yet, and none twice: what a device does three times at each start."""
        placed, children, by_content, key_of = self._nodes, self._children, self._by_content, self._key
        for node in nodes:
            node_id = node.id
            placed[node_id] = node
            key = key_of(node.name)
            siblings = children.get(node.parent)
            if siblings is None:
                children[node.parent] = {key: node_id}
            elif key in siblings:
                _add(siblings, key, node_id)
            else:
                siblings[key] = node_id
            if by_content is not None and node.content_hash is not None:
                _add(by_content, node.content_hash, node_id)

    def remove(self, node_id: NodeId) -> N | None:
        """Removes one node (not its children); what it was."""
        old = self._nodes.pop(node_id, None)
        if old is not None:
            self._displace(old)
            if self._by_content is not None and old.content_hash is not None:
                _drop(self._by_content, old.content_hash, node_id)
        return old

    def use_key(self, key: Callable[[str], str]) -> None:
        """Finds children by another rule from now on."""
        self._key = key
        self._children.clear()
        for node in self._nodes.values():
            _add(self._children.setdefault(node.parent, {}), key(node.name), node.id)

    def clear(self) -> None:
        self._nodes.clear()
        self._children.clear()
        if self._by_content is not None:
            self._by_content.clear()

    def keyed(self, parent: NodeId, key: str) -> tuple[NodeId, ...]:
        """Children of `parent` whose name key is `key`: none, one, or local twins."""
        siblings = self._children.get(parent)
        entry = None if siblings is None else siblings.get(key)
        if entry is None:
            return ()
        return entry if isinstance(entry, tuple) else (entry,)

    def child(self, parent: NodeId, name: str) -> N | None:
        """The child with exactly this name."""
        for node_id in self.keyed(parent, self._key(name)):
            node = self._nodes[node_id]
            if node.name == name:
                return node
        return None

    def children(self, parent: NodeId) -> list[N]:
        siblings = self._children.get(parent)
        if siblings is None:
            return []
        nodes = self._nodes
        found: list[N] = []
        for entry in siblings.values():
            if isinstance(entry, tuple):
                found += [nodes[node_id] for node_id in entry]
            else:
                found.append(nodes[entry])
        return found

    def has_children(self, parent: NodeId) -> bool:
        return bool(self._children.get(parent))

    def with_content(self, content_hash: Digest) -> tuple[NodeId, ...]:
        """Files known to hold this content."""
        assert self._by_content is not None, "this tree is not asked for contents"
        return _some(self._by_content.get(content_hash))

    def ancestors(self, node_id: NodeId) -> Iterator[NodeId]:
        """Ids of the parent, its parent, and so on: the last is an id that is no node (a namespace's root), or the walk's bound."""
        node = self._nodes.get(node_id)
        for _ in range(DEPTH_MAX + 2):
            if node is None:
                return
            yield node.parent
            node = self._nodes.get(node.parent)

    def is_below(self, node_id: NodeId, ancestor: NodeId) -> bool:
        return any(above == ancestor for above in self.ancestors(node_id))

    def descendants(self, node_id: NodeId) -> list[N]:
        """Everything below a node, parents before children. Ends, and names each node once, even where parents run in a circle."""
        found: list[N] = []
        frontier = [node_id]
        for _ in range(DEPTH_MAX + 1):
            below = [child for above in frontier for child in self.children(above)]
            found += below
            frontier = [child.id for child in below if child.kind is DIR]
            if not frontier:
                return found
        return list({node.id: node for node in found if node.id != node_id}.values())

    def path(self, node_id: NodeId, root: NodeId) -> str | None:
        """The path from `root`, names joined with "/"; None when the chain of parents does not reach it."""
        names: list[str] = []
        at = node_id
        while at != root:
            node = self._nodes.get(at)
            if node is None or len(names) > DEPTH_MAX:
                return None
            names.append(node.name)
            at = node.parent
        return "/".join(reversed(names))

    def find(self, path: str, root: NodeId) -> NodeId | None:
        """The id at an exact path from `root`."""
        at = root
        for name in path.split("/") if path else ():
            node = self.child(at, name)
            if node is None:
                return None
            at = node.id
        return at

    def find_folder(self, path: str, root: NodeId) -> NodeId | None:
        """As `find`, where a folder may have a twin of its very name: one that came, while a file was not seen yet to have gone."""
        at = root
        for name in path.split("/") if path else ():
            twins = (self._nodes[node_id] for node_id in self.keyed(at, self._key(name)))
            folder = next((node for node in twins if node.kind is DIR and node.name == name), None)
            if folder is None:
                return None
            at = folder.id
        return at

    def _place(self, node: N) -> None:
        key = self._key(node.name)
        siblings = self._children.get(node.parent)
        if siblings is None:
            self._children[node.parent] = {key: node.id}
        elif key in siblings:
            _add(siblings, key, node.id)
        else:
            siblings[key] = node.id

    def _displace(self, old: N) -> None:
        siblings = self._children[old.parent]
        _drop(siblings, self._key(old.name), old.id)
        if not siblings:
            del self._children[old.parent]


_Key = TypeVar("_Key")


def _some(entry: NodeId | tuple[NodeId, ...] | None) -> tuple[NodeId, ...]:
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def _add(index: dict[_Key, NodeId | tuple[NodeId, ...]], key: _Key, node_id: NodeId) -> None:
    entry = index.get(key)
    index[key] = node_id if entry is None else (*_some(entry), node_id)


def _drop(index: dict[_Key, NodeId | tuple[NodeId, ...]], key: _Key, node_id: NodeId) -> None:
    entry = index.get(key)
    if entry is None or entry == node_id:
        index.pop(key, None)
        return
    rest = tuple(other for other in _some(entry) if other != node_id)
    if not rest:
        del index[key]
    else:
        index[key] = rest[0] if len(rest) == 1 else rest
