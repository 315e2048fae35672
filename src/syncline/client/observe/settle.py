"""The second half of a scan: what arrived is a move or new, what is missing is waited for a moment and then gone."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from msgspec.structs import replace

from syncline.client.observe.ignore import Level
from syncline.client.observe.match import Arrival, FileMatcher, FolderMatcher, InodeKey, Known, inode_key
from syncline.client.observe.scene import Scene, Visit, file_node, folder_node
from syncline.client.observe.spelling import is_found_under
from syncline.model.entries import Kind, LocalNode
from syncline.model.ids import NodeId
from syncline.model.limits import LIMBO_S
from syncline.model.paths import STATE_FOLDER, join, name_of, parent_of
from syncline.ports.local_files import Stat

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class Settler:
    """Gives arrivals their nodes, and takes the missing away. Parents come before children, so a parent always has its node."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._senses = scene.senses
        self._trees = scene.trees
        self._folders = FolderMatcher(scene.trees, scene.senses.files.list_folder)

    def folder(self, arrival: Arrival, above: Level) -> tuple[Visit, list[Stat] | None] | None:
        """The visit that a new or moved folder is due, with its listing where that was taken after it was watched; None when it
        went away again, cannot be read, or is not ours."""
        node = self._recognised(arrival)
        if node is not None:
            arrival = self._spelled(node, arrival)
            self._move_folder(node, arrival)
            return Visit(node.id, arrival.path, above, True, stat=arrival.stat), None
        self._scene.watch(arrival.path, arrival.stat.signature)
        listing = self._list(arrival)
        if listing is None or self._is_root_of_its_own(arrival, listing):
            self._forget(arrival.path)
            return None
        new = folder_node(self._identity(arrival, Kind.DIR), arrival.parent, arrival.stat)
        self._scene.put(new)
        return Visit(new.id, arrival.path, above, True), listing

    def files(self, arrivals: Sequence[Arrival]) -> None:
        """Moves first by inode, then by content; the rest is new."""
        matcher = FileMatcher(self._trees, self._scene.missing, self._senses.hash_file)
        left: list[Arrival] = []
        for arrival in arrivals:
            known = matcher.by_inode(arrival)
            if known is None:
                left.append(arrival)
            else:
                self._move_file(known, arrival)
        moved = matcher.by_content(left)
        now_ns = self._senses.clock.now_us() * 1000
        for arrival in left:
            known = moved.get(arrival.path)
            if known is not None:
                self._move_file(known, arrival)
            else:
                new = self._identity(arrival, Kind.FILE)
                self._scene.put(file_node(new, arrival.parent, arrival.stat, now_ns, matcher.hashes.get(arrival.path)))

    def _identity(self, arrival: Arrival, kind: Kind) -> NodeId:
        """Whose place it is, if that node was last agreed on here and is missing since: what comes back to its place after a
        deletion that was not carried out yet (offline, or held back by the guard) is itself again. Else a new node's.
        In shared folders, which may be taken away and given back meanwhile, the planner decides alone."""
        name = name_of(arrival.path)
        for node_id in self._trees.synced.keyed(arrival.parent, self._trees.key(name)):
            base = self._trees.synced[node_id]
            is_missing = node_id not in self._trees.local and node_id in self._trees.remote
            if base.name == name and base.kind is kind and is_missing and str(base.namespace) == self._trees.root:
                return node_id
        return NodeId(self._senses.ids.fresh())

    def absent(self) -> None:
        """What is still missing waits for its other half to be seen, and then is gone."""
        scene, limbo = self._scene, self._scene.memory.limbo
        awaited = self._awaited(scene.expected())
        for node in list(scene.missing.roots.values()):
            if node.id in scene.shadowed or node.id in self._trees.away or node.parent not in scene.listed:
                continue
            since_s = limbo.setdefault(node.id, scene.now_s)
            over = scene.now_s - since_s >= LIMBO_S or self._is_certain(node)
            if over and node.id not in awaited:
                scene.remove(node)
                continue
            folder = self._trees.local_path(node.parent)
            if folder is not None:
                scene.memory.dirt.revisit(folder, node.name, max(since_s, scene.now_s - LIMBO_S / 2) + LIMBO_S)
        for node_id in [node_id for node_id in limbo if node_id not in self._trees.local]:
            del limbo[node_id]

    def drop(self, node: LocalNode) -> bool:
        """The node was never synced and is ignored now: it leaves the tree, not the disk. False where more below is synced."""
        below = self._trees.local.descendants(node.id) if node.kind is Kind.DIR else ()
        if any(each.id in self._trees.synced or each.id in self._trees.remote for each in below):
            return False
        self._scene.remove(node)
        return True

    # -- folders -----------------------------------------------------------------------------------------------------------------

    def _recognised(self, arrival: Arrival) -> LocalNode | None:
        candidates = self._scene.missing.by_inode(inode_key(arrival.stat.signature, Kind.DIR))
        if not candidates:
            return None
        try:
            listing = self._senses.files.list_folder(arrival.path)
        except OSError:
            return None
        return self._folders.moved(candidates, arrival, listing)

    def _move_folder(self, node: LocalNode, arrival: Arrival) -> None:
        """The watcher learns of it before the folder is listed again, so that no hint is lost between the two names."""
        old = self._trees.local_path(node.id)
        self._found(node)
        if old is not None:
            if self._senses.watcher is not None:
                self._senses.watcher.moved(old, arrival.path)
            self._scene.leave(old)
        self._scene.put(folder_node(node.id, arrival.parent, arrival.stat))

    def _list(self, arrival: Arrival) -> list[Stat] | None:
        try:
            return self._senses.files.list_folder(arrival.path)
        except OSError as error:
            if error.errno not in _GONE and not isinstance(error, FileNotFoundError | NotADirectoryError):
                reason = error.strerror or str(error)
                self._scene.unreadable.append(arrival.path)
                code, message = "folder.unreadable", f"This folder cannot be read ({reason}): it is not synced until it can."
                if error.errno == errno.ENAMETOOLONG:
                    code, message = "limit.exceeded", "Its path is longer than this system allows. Move it up to sync it."
                self._scene.memory.notes.add(arrival.parent, name_of(arrival.path), code, message)
            return None

    def _is_root_of_its_own(self, arrival: Arrival, listing: Sequence[Stat]) -> bool:
        if not any(stat.name == STATE_FOLDER and stat.kind is Kind.DIR for stat in listing):
            return False
        try:
            self._senses.files.stat(join(join(arrival.path, STATE_FOLDER), "root-id"))
        except OSError:
            return False
        message = "This folder is synced by itself (it has a .syncline of its own), so it is not synced as a part of this one."
        self._scene.memory.notes.add(arrival.parent, name_of(arrival.path), "folder.nested_root", message)
        return True

    def _forget(self, path: str) -> None:
        if self._senses.watcher is not None:
            self._senses.watcher.unwatch(path)
        self._scene.memory.watched.pop(path, None)

    def _spelled(self, node: LocalNode, arrival: Arrival) -> Arrival:
        """What moved keeps the spelling of its name, where the disk does not tell one from the other."""
        folder, stat = parent_of(arrival.path), arrival.stat
        try:
            is_same = node.name != stat.name and is_found_under(self._senses.files, folder, node.name, stat)
        except OSError:
            is_same = False
        return Arrival(arrival.parent, join(folder, node.name), replace(stat, name=node.name)) if is_same else arrival

    # -- files -------------------------------------------------------------------------------------------------------------------

    def _move_file(self, known: Known, arrival: Arrival) -> None:
        arrival = self._spelled(known.node, arrival)
        self._found(known.node)
        now_ns = self._senses.clock.now_us() * 1000
        content_hash = known.content_hash
        if known.node.signature == arrival.stat.signature and not known.node.racy:
            content_hash = known.node.content_hash
        self._scene.put(file_node(known.node.id, arrival.parent, arrival.stat, now_ns, content_hash))

    def _found(self, node: LocalNode) -> None:
        self._scene.missing.found(node.id)
        self._scene.memory.limbo.pop(node.id, None)

    # -- what is missing ---------------------------------------------------------------------------------------------------------

    def _awaited(self, expected: Sequence[InodeKey]) -> set[NodeId]:
        """Missing nodes that may be newcomers still being written, or hold such."""
        missing = self._scene.missing
        awaited: set[NodeId] = set()
        for key in expected:
            for node in missing.by_inode(key):
                awaited.update(at for at in (node.id, *self._trees.local.ancestors(node.id)) if at in missing.roots)
        return awaited

    def _is_certain(self, node: LocalNode) -> bool:
        """Whether there is nothing to wait for: its very name is taken, or everything was just listed and its folder rested."""
        for twin in self._trees.local.keyed(node.parent, self._trees.key(node.name)):
            if twin not in self._scene.missing.roots:
                return True
        if not self._scene.full or self._scene.unopened:
            return False
        if self._senses.watcher is None:
            return True
        folder = self._trees.local_path(node.parent)
        try:
            return folder is not None and self._senses.files.stat(folder).signature.mtime_ns < self._scene.started_ns
        except OSError:
            return False
