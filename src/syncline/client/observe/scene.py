"""What one scan has found so far, and the few ways in which it changes the local tree."""

from __future__ import annotations

from msgspec import Struct

from syncline.client.observe.ignore import Level
from syncline.client.observe.match import InodeKey, Missing
from syncline.client.observe.memory import Memory, Senses
from syncline.client.observe.racy import is_racy
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.ids import EMPTY_DIGEST, Digest, NodeId
from syncline.model.paths import join
from syncline.ports.local_files import Stat


class Visit(Struct):
    """A known folder to look at. `deep`: with all below it. `above`: what the rules of the folders above say of its entries.
    `names`: only these entries. `stat`: the folder itself as its parent's listing has it, where that is at hand."""

    id: NodeId
    path: str
    above: Level
    deep: bool
    names: set[str] | None = None
    stat: Stat | None = None


class Scene:
    """A scan's findings."""

    def __init__(self, senses: Senses, memory: Memory, now_s: float, *, full: bool) -> None:
        self.senses = senses
        self.memory = memory
        self.now_s = now_s
        self.full = full
        self.started_ns = senses.clock.now_us() * 1000
        self.trees = senses.trees
        self.missing = Missing(senses.trees)
        self.listed: set[NodeId] = set()
        """Folders whose listing was complete, and believed."""
        self.shadowed: set[NodeId] = set()
        """Nodes in whose place something stands that is never synced: not there, but not deleted either."""
        self.unopened = False
        """Whether a new folder was left for later: what is missing may lie in it."""
        self.unquiet: list[str] = []
        self.unreadable: list[str] = []
        self.ignored = 0
        self.changed = 0
        self.complete = True
        """False when the root itself could not be listed, or is not to be believed: nothing is deleted then."""
        self._gone: set[str] = set()
        self._watched_now: set[str] = set()

    def put(self, node: LocalNode) -> None:
        self.trees.put_local(node)
        self.changed += 1

    def remove(self, root: LocalNode) -> None:
        """The node is gone, and all below it."""
        memory = self.memory
        path = self.trees.local_path(root.id)
        for node in (*reversed(self.trees.local.descendants(root.id)), root):
            self.trees.remove_local(node.id)
            memory.limbo.pop(node.id, None)
            memory.unread.discard(node.id)
            if node.kind is Kind.DIR:
                memory.notes.forget(node.id)
            self.changed += 1
        if root.kind is Kind.DIR and path is not None:
            if self.senses.watcher is not None:
                self.senses.watcher.unwatch(path)
            self.leave(path)

    def waits(self, folder: str, name: str, due_s: float) -> None:
        """The entry is still being written."""
        self.unquiet.append(join(folder, name))
        self.memory.dirt.revisit(folder, name, due_s)

    def expect(self, key: InodeKey, due_s: float) -> None:
        """A newcomer is still being written. Until it is looked at again, in this scan or another, nothing of its inode is gone."""
        self.memory.expected[key] = due_s

    def expected(self) -> list[InodeKey]:
        """Inodes of newcomers that wait. One whose time has come was looked at by this scan: expected anew, or none any more."""
        expected = self.memory.expected
        for key in [key for key, due_s in expected.items() if due_s <= self.now_s]:
            del expected[key]
        return list(expected)

    def watch(self, path: str, signature: Signature | None) -> None:
        """Watches a folder; to be called before it is listed."""
        if signature is not None:
            self.memory.watched[path] = (signature.device, signature.inode)
            self._watched_now.add(path)
        if self.senses.watcher is not None:
            self.senses.watcher.watch(path)

    def leave(self, path: str) -> None:
        """No folder of ours is at this path any more."""
        self.memory.dirt.forget(path)
        self.memory.ignore.forget(path)
        self._gone.add(path)

    def finish(self) -> None:
        """Forgets the watches of folders that went away, in one pass over them all."""
        if self._gone:
            watched = self.memory.watched
            for path in [path for path in watched if path not in self._watched_now and self._is_gone(path)]:
                del watched[path]

    def _is_gone(self, path: str) -> bool:
        while path:
            if path in self._gone:
                return True
            path = path.rpartition("/")[0]
        return False


def file_node(node_id: NodeId, parent: NodeId, stat: Stat, now_ns: int, content_hash: Digest | None = None) -> LocalNode:
    """A file as seen now. Its content is not known, unless it was read, or is empty."""
    return LocalNode(
        id=node_id,
        parent=parent,
        name=stat.name,
        kind=Kind.FILE,
        signature=stat.signature,
        links=stat.links,
        content_hash=EMPTY_DIGEST if stat.signature.size == 0 else content_hash,
        executable=stat.executable,
        racy=is_racy(stat.signature, now_ns),
    )


def folder_node(node_id: NodeId, parent: NodeId, stat: Stat) -> LocalNode:
    """A folder as seen now; of its signature only device and inode mean anything."""
    return LocalNode(id=node_id, parent=parent, name=stat.name, kind=Kind.DIR, signature=stat.signature, links=stat.links)
