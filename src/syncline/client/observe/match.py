"""Which newcomer on disk is which vanished node: the order of `sync-engine.md` §1.7, after "same path and kind" has had its say.

An inode alone proves nothing, since file systems give a freed one to the next file at once; nor does a name in another place. What
is not proven is a delete and a create, which costs history but never bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import SCAN_HASH_BYTES
from syncline.model.paths import exact_key, join
from syncline.ports.local_files import Stat

HashFile: TypeAlias = Callable[[str, Signature], Digest]
InodeKey: TypeAlias = tuple[int, int, Kind]

PROOF_LISTINGS_MAX: Final = 64
"""Folders below one that arrived that are listed to prove where it came from."""


class Arrival(Struct, frozen=True):
    """An entry on disk that no node stands for yet."""

    parent: NodeId
    path: str
    stat: Stat


class Known(Struct, frozen=True):
    """An arrival recognised; `content_hash` where it was read on the way."""

    node: LocalNode
    content_hash: Digest | None = None


def inode_key(signature: Signature, kind: Kind) -> InodeKey:
    return signature.device, signature.inode, kind


class Missing:
    """Nodes not found where they were, each standing for all below it. What was below may turn up by itself."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self.roots: dict[NodeId, LocalNode] = {}
        self._index: dict[InodeKey, list[NodeId]] | None = None

    def add(self, node: LocalNode) -> None:
        if node.id not in self.roots:
            self.roots[node.id] = node
            if self._index is not None:
                self._enter(self._index, node)

    def found(self, node_id: NodeId) -> None:
        """The node is somewhere after all, with what is below it."""
        self.roots.pop(node_id, None)

    def holds(self, node_id: NodeId) -> bool:
        """Whether the node, or a folder it lies in, is missing."""
        return bool(self.roots) and (
            node_id in self.roots or any(above in self.roots for above in self._trees.local.ancestors(node_id))
        )

    def by_inode(self, key: InodeKey) -> list[LocalNode]:
        """Missing nodes that had this inode."""
        if not self.roots:
            return []
        if self._index is None:
            self._index = {}
            for root in self.roots.values():
                self._enter(self._index, root)
        local = self._trees.local
        return [local[node_id] for node_id in self._index.get(key, ()) if node_id in local and self.holds(node_id)]

    def files(self) -> Iterator[LocalNode]:
        """Every missing file."""
        for root in list(self.roots.values()):
            if root.kind is Kind.FILE:
                yield root
            else:
                yield from (node for node in self._trees.local.descendants(root.id) if node.kind is Kind.FILE)

    def _enter(self, index: dict[InodeKey, list[NodeId]], root: LocalNode) -> None:
        below = self._trees.local.descendants(root.id) if root.kind is Kind.DIR else ()
        for node in (root, *below):
            index.setdefault(inode_key(node.signature, node.kind), []).append(node.id)


class FolderMatcher:
    """Recognises moved folders. A freed inode is given to the next folder at once, and to a file of the same name in it too, so
    only what lies in the folder unchanged proves it: a file with its size and time, however deep. An empty one is known by its
    own time."""

    def __init__(self, trees: Trees, list_folder: Callable[[str], Sequence[Stat]]) -> None:
        self._trees = trees
        self._list_folder = list_folder

    def moved(self, candidates: Iterable[LocalNode], arrival: Arrival, listing: Sequence[Stat]) -> LocalNode | None:
        """The missing folder of the same inode that this one is."""
        budget = PROOF_LISTINGS_MAX
        for node in candidates:
            doubtful = [(node, arrival.path, arrival.stat, listing)]
            while doubtful:
                known, path, stat, entries = doubtful.pop()
                children = self._trees.local.children(known.id)
                if not children and _unchanged(known, stat):
                    return node
                here = {exact_key(entry.name): entry for entry in entries} | {entry.name: entry for entry in entries}
                both = [(child, entry) for child in children if (entry := _under(here, child.name)) is not None]
                if any(child.kind is Kind.FILE and _unchanged(child, entry) for child, entry in both):
                    return node
                for child, entry in both:
                    if budget > 0 and child.kind is Kind.DIR and _is_same_inode(child, entry):
                        budget -= 1
                        below = join(path, entry.name)
                        doubtful.append((child, below, entry, self._listed(below)))
        return None

    def _listed(self, path: str) -> Sequence[Stat]:
        try:
            return self._list_folder(path)
        except OSError:
            return ()


def _under(here: Mapping[str, Stat], name: str) -> Stat | None:
    """The entry of this name, in whatever spelling the disk gives it."""
    return here.get(name) or here.get(exact_key(name))


def _unchanged(node: LocalNode, stat: Stat) -> bool:
    same_size = node.kind is Kind.DIR or node.signature.size == stat.signature.size
    return same_size and _is_same_inode(node, stat) and node.signature.mtime_ns == stat.signature.mtime_ns


def _is_same_inode(node: LocalNode, stat: Stat) -> bool:
    return node.kind is stat.kind and node.signature.inode == stat.signature.inode


class FileMatcher:
    """Recognises moved files; reads content only where that can decide, and within a budget."""

    def __init__(self, trees: Trees, missing: Missing, hash_file: HashFile | None) -> None:
        self._trees = trees
        self._missing = missing
        self._hash_file = hash_file
        self._budget = SCAN_HASH_BYTES
        self.hashes: dict[str, Digest | None] = {}
        """What was read, by path."""

    def by_inode(self, arrival: Arrival) -> Known | None:
        """The missing file of the same inode with one link each, if size and time of change agree, or else the content."""
        stat = arrival.stat
        if stat.links != 1:
            return None
        for node in self._missing.by_inode(inode_key(stat.signature, Kind.FILE)):
            if node.links != 1 or node.signature.size != stat.signature.size:
                continue
            if node.signature.mtime_ns == stat.signature.mtime_ns:
                return Known(node)
            contents = self._contents(node)
            content_hash = self._hash(arrival) if contents else None
            if content_hash is not None and content_hash in contents:
                return Known(node, content_hash)
        return None

    def by_content(self, arrivals: Sequence[Arrival]) -> dict[str, Known]:
        """By path: those whose content is that of one missing file, and of no other newcomer. Empty files are all alike."""
        sizes: dict[int, list[LocalNode]] = {}
        wanted = {arrival.stat.signature.size for arrival in arrivals} - {0}
        if not wanted or self._hash_file is None:
            return {}
        for node in self._missing.files():
            if node.signature.size in wanted and self._contents(node):
                sizes.setdefault(node.signature.size, []).append(node)
        holders: dict[Digest, list[LocalNode]] = {}
        for node in (node for nodes in sizes.values() for node in nodes):
            for content in self._contents(node):
                holders.setdefault(content, []).append(node)
        newcomers: dict[Digest, list[Arrival]] = {}
        for arrival in arrivals:
            if arrival.stat.signature.size in sizes and (content_hash := self._hash(arrival)) is not None:
                newcomers.setdefault(content_hash, []).append(arrival)
        return {
            same[0].path: Known(holders[content][0], content)
            for content, same in newcomers.items()
            if len(same) == 1 and len(holders.get(content, ())) == 1
        }

    def _contents(self, node: LocalNode) -> set[Digest]:
        """What the node is known to have held."""
        base = self._trees.synced.get(node.id)
        known = {node.content_hash, None if base is None else base.content_hash}
        return {content_hash for content_hash in known if content_hash is not None}

    def _hash(self, arrival: Arrival) -> Digest | None:
        """None where reading does not help: no budget, or it changes, or cannot be read."""
        size = arrival.stat.signature.size
        if arrival.path in self.hashes or self._hash_file is None or size > self._budget:
            return self.hashes.get(arrival.path)
        self._budget -= size
        try:
            self.hashes[arrival.path] = self._hash_file(arrival.path, arrival.stat.signature)
        except (SynclineError, OSError):
            self.hashes[arrival.path] = None
        return self.hashes[arrival.path]
