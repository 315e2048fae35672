"""What one entry of a listed folder means: as it was, edited, still being written, never synced, or an arrival to be settled."""

from __future__ import annotations

from msgspec.structs import replace

from syncline.client.observe.ignore import Level
from syncline.client.observe.match import Arrival, inode_key
from syncline.client.observe.racy import is_racy, window_s
from syncline.client.observe.scene import Scene, Visit, file_node
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import BLOCK_MAX_BYTES, CLOSED_QUIET_S, DEPTH_MAX
from syncline.model.paths import join, name_problem
from syncline.ports.local_files import Stat

_FRESH_NS = int(CLOSED_QUIET_S * 1e9)


class Entries:
    """Judges entries one by one; newcomers gather in `new_folders` and `new_files` by path."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._senses = scene.senses
        self._memory = scene.memory
        self._trees = scene.trees
        self._quiet: dict[str, float | None] = {}
        self.new_folders: dict[str, tuple[Arrival, Level]] = {}
        self.new_files: dict[str, Arrival] = {}

    def file_is_here(self, visit: Visit, node: LocalNode, stat: Stat, now_ns: int) -> None:
        old, new = node.signature, stat.signature
        if old == new:
            if node.executable != stat.executable:
                # The mode can change within a tick of the disk's clock, and leave no other sign.
                node = replace(node, executable=stat.executable)
                self._scene.put(node)
            if node.racy and is_racy(new, now_ns):
                # Too young still: what led here may be a write that does not show. It is looked at once more when it would.
                self._memory.dirt.revisit(visit.path, stat.name, self._scene.now_s + window_s(new))
            elif node.racy:
                content_hash = self._read_again(join(visit.path, node.name), node)
                self._scene.put(replace(node, racy=False, content_hash=content_hash))
        elif old == Signature(old.device, new.inode, new.size, new.mtime_ns, new.ctime_ns):
            # Device numbers change from boot to boot; an inode with its change time to the nanosecond does not.
            self._scene.put(replace(node, signature=new))
        else:
            due_s = self.quiet_at(visit.path, stat, now_ns, is_new=False)
            if due_s is not None:
                self._scene.waits(visit.path, stat.name, due_s)
            else:
                self._scene.put(file_node(node.id, node.parent, stat, now_ns))

    def _read_again(self, path: str, node: LocalNode) -> Digest | None:
        """What a racy file holds; None leaves it to the planner to ask."""
        if node.content_hash is None or node.signature.size == 0:
            return node.content_hash
        if self._senses.hash_file is None or node.signature.size > BLOCK_MAX_BYTES:
            return None
        try:
            return self._senses.hash_file(path, node.signature)
        except (SynclineError, OSError):
            return None

    def newcomer(self, visit: Visit, level: Level, stat: Stat, now_ns: int) -> None:
        """Something no node stands for: not ours, ignored, still being written, or an arrival to be settled."""
        name, kind = stat.name, stat.kind
        if level.verdict(name, is_folder=kind is Kind.DIR) is not None and not self._is_tracked(visit.id, name):
            self._scene.ignored += 1
            return
        if kind is None:
            self._memory.notes.skip(visit.id)
            return
        problem = name_problem(name)
        path = join(visit.path, name)
        if path.count("/") >= DEPTH_MAX:
            message = f"It lies deeper than {DEPTH_MAX} folders, which cannot be synced. Move it up to sync it."
            self._memory.notes.add(visit.id, name, "limit.exceeded", message)
            return
        if problem is not None:
            self._memory.notes.add(visit.id, name, "name.invalid", f"This name cannot be synced: {problem}. Rename it to sync it.")
            return
        due_s = self.quiet_at(visit.path, stat, now_ns, is_new=True)
        arrival = Arrival(visit.id, path, stat)
        if due_s is not None:
            self._scene.expect(inode_key(stat.signature, kind), due_s)
            self._scene.unopened |= kind is Kind.DIR
            self._scene.waits(visit.path, name, due_s)
        elif kind is Kind.DIR:
            self.new_folders[path] = (arrival, level.into(name))
        else:
            self.new_files[path] = arrival

    def quiet_at(self, folder: str, stat: Stat, now_ns: int, *, is_new: bool) -> float | None:
        """As `Dirt.quiet_at`, asked once in a scan."""
        path = join(folder, stat.name)
        if path not in self._quiet:
            changed_ns = stat.signature.ctime_ns
            fresh = min(now_ns, self._scene.started_ns) - _FRESH_NS < changed_ns <= self._senses.clock.now_us() * 1000
            self._quiet[path] = self._memory.dirt.quiet_at(
                folder,
                stat.name,
                stat.kind or Kind.FILE,
                stat.signature,
                self._scene.now_s,
                now_ns,
                just_moved=is_new and fresh and self._senses.watcher is not None,
            )
        return self._quiet[path]

    def shadow(self, visit: Visit, node: LocalNode) -> None:
        self._scene.shadowed.add(node.id)
        self._scene.missing.add(node)
        self._memory.notes.skip(visit.id)
        message = (
            "A symbolic link or special file stands in the place of what is synced: it is left alone, and so is the synced copy."
        )
        self._memory.notes.add(visit.id, node.name, "entry.shadowed", message)

    def is_unwanted(self, level: Level, node: LocalNode) -> bool:
        """Whether the node, known to nobody but this disk, is ignored by now."""
        trees = self._trees
        if node.id in trees.synced or node.id in trees.remote:
            return False
        return level.verdict(node.name, is_folder=node.kind is Kind.DIR) is not None and not self._is_tracked(
            node.parent, node.name
        )

    def _is_tracked(self, folder: NodeId, name: str) -> bool:
        """Whether the synced or the remote tree has something at this place, even if its folder is not yet known to be theirs."""
        trees, key = self._trees, self._trees.key(name)
        if trees.synced.keyed(folder, key) or trees.remote.keyed(folder, key):
            return True
        if folder == trees.root or folder in trees.remote:
            return False
        names: list[str] = []
        at = folder
        while at != trees.root and at not in trees.remote:
            node = trees.local.get(at)
            if node is None:
                return False
            names.append(trees.key(node.name))
            at = node.parent
        for each in (*reversed(names), key):
            found = trees.remote.keyed(at, each)
            if not found:
                return False
            at = found[0]
        return True
