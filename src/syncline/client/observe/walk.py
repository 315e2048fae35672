"""One scan: folders are listed and compared with the local tree; what is new is matched with what is missing; the tree follows.

Laws. A folder is watched before it is listed. A deletion is believed from a complete, error-free listing of its folder alone, never
below a folder that could not be read, and never in a root without its marker. All known folders are compared before anything new is
settled, folders before files, so that both ends of a move are in sight. Nothing here touches the disk but to look.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import Final

from msgspec.structs import replace

from syncline.client.observe.ignore import ROOT_LEVEL, Level
from syncline.client.observe.match import Arrival, inode_key
from syncline.client.observe.memory import Memory, Senses
from syncline.client.observe.patterns import IGNORE_FILE
from syncline.client.observe.racy import is_racy
from syncline.client.observe.scene import Scene, Visit, file_node
from syncline.client.observe.settle import Settler
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.errors import SynclineError
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import BLOCK_MAX_BYTES, CLOSED_QUIET_S, DEPTH_MAX
from syncline.model.paths import STATE_FOLDER, join, name_key, name_of, name_problem, parent_of
from syncline.ports.local_files import Stat

NAMED_SHARE: Final = 4
"""Entries are looked at one by one when they are less than this part of their folder; else it is listed whole."""
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
_FRESH_NS: Final = int(CLOSED_QUIET_S * 1e9)


class Walk:
    """A scan under way; `run` once, then ask its scene."""

    def __init__(self, senses: Senses, memory: Memory, now_s: float, *, full: bool) -> None:
        self.scene = Scene(senses, memory, now_s, full=full)
        self._senses = senses
        self._memory = memory
        self._trees = senses.trees
        self._settler = Settler(self.scene)
        self._visits: deque[Visit] = deque()
        self._new_folders: dict[str, tuple[Arrival, Level]] = {}
        self._new_files: dict[str, Arrival] = {}
        self._quiet: dict[str, float | None] = {}
        self._compared: dict[NodeId, bool] = {}
        """Folders listed, or tried, and whether deeply."""

    def run(self) -> None:
        self._begin()
        while self._visits or self._new_folders:
            while self._visits:
                self._visit(self._visits.popleft())
            if self._new_folders:
                self._settle_folder(*self._new_folders.pop(next(iter(self._new_folders))))
        self._settler.files(sorted(self._new_files.values(), key=lambda arrival: arrival.path))
        if self.scene.complete:
            self._settler.absent()
            if self.scene.full:
                self._memory.notes.keep_only(set(self._compared))
        self.scene.finish()

    def _settle_folder(self, arrival: Arrival, above: Level) -> None:
        settled = self._settler.folder(arrival, above)
        if settled is None:
            return
        visit, listing = settled
        if listing is None:
            self._visits.append(visit)
        else:
            self._compared[visit.id] = True
            self._compare(visit, listing, self._now_ns())

    def _now_ns(self) -> int:
        return self._senses.clock.now_us() * 1000

    # -- which folders -----------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        marks = self._memory.dirt.take(self.scene.now_s, full=self.scene.full)
        for node_id in self._memory.limbo:
            node = self._trees.local.get(node_id)
            if node is not None:
                self.scene.missing.add(node)
        if self.scene.full:
            self._memory.watched.clear()
            self._visits.append(Visit(self._trees.root, "", ROOT_LEVEL, True))
            return
        for path in sorted(marks, key=lambda path: (path.count("/") + bool(path), path)):
            self._mark(path, marks[path])

    def _mark(self, path: str, names: set[str] | None) -> None:
        """A visit to the folder, or to the nearest one above it that is known."""
        node_id = self._trees.local.find(path, self._trees.root)
        while node_id is None:
            path, names = parent_of(path), None
            node_id = self._trees.local.find(path, self._trees.root)
        self._visits.append(Visit(node_id, path, self._above(path), False, names))

    def _above(self, path: str) -> Level:
        return self._memory.ignore.level(parent_of(path)).into(name_of(path)) if path else ROOT_LEVEL

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def _visit(self, visit: Visit) -> None:
        if visit.id != self._trees.root:
            node = self._trees.local.get(visit.id)
            if node is None or node.kind is not Kind.DIR or self.scene.missing.holds(visit.id):
                return
        before = self._compared.get(visit.id)
        if before is not None and (before or not visit.deep):
            return
        now_ns = self._now_ns()
        if visit.names is not None:
            stats = self._look(visit)
            if stats is not None:
                self._compare(visit, stats, now_ns)
                return
            visit = Visit(visit.id, visit.path, visit.above, visit.deep)
        self._compared[visit.id] = visit.deep
        listing = self._list(visit)
        if listing is not None:
            self._compare(visit, listing, now_ns)

    def _look(self, visit: Visit) -> list[Stat] | None:
        """The named entries; None where only a whole listing will do."""
        names = visit.names or set()
        if IGNORE_FILE in names or len(names) * NAMED_SHARE > len(self._trees.local.children(visit.id)):
            return None
        stats: list[Stat] = []
        for name in sorted(names):
            try:
                stat = self._senses.files.stat(join(visit.path, name))
            except FileNotFoundError:
                if self._trees.local.child(visit.id, name) is not None:
                    return None
                continue
            except OSError:
                return None
            known = self._trees.local.child(visit.id, name)
            if stat.kind is None or (known is not None and known.kind is not stat.kind):
                return None
            stats.append(stat)
        return stats

    def _list(self, visit: Visit) -> list[Stat] | None:
        """The folder's listing, or None and a note of why."""
        if visit.deep:
            self.scene.watch(visit.path, None if visit.stat is None else visit.stat.signature)
        try:
            return self._senses.files.list_folder(visit.path)
        except OSError as error:
            if error.errno in _GONE or isinstance(error, FileNotFoundError | NotADirectoryError):
                self._vanished(visit)
            else:
                self._memory.notes.begin(visit.id)
                self._unreadable(visit.id, visit.path, error)
            return None

    def _vanished(self, visit: Visit) -> None:
        """The folder is not where it was: its parent's listing will tell, now or soon."""
        node = self._trees.local.get(visit.id)
        if node is None:
            self.scene.complete = False
            self._memory.notes.begin(visit.id)
            self._memory.notes.add(
                visit.id, "", "root.gone", "The synced folder cannot be found; nothing is deleted on its account."
            )
            return
        above = parent_of(visit.path)
        if node.parent in self._compared:
            self._memory.dirt.revisit(above, None, self.scene.now_s + CLOSED_QUIET_S)
        else:
            self._visits.appendleft(Visit(node.parent, above, self._above(above), False))

    def _unreadable(self, folder: NodeId, path: str, error: OSError, name: str = "") -> None:
        reason = error.strerror or str(error)
        self.scene.unreadable.append(path)
        message = f"This folder cannot be read ({reason}): nothing in it is synced or deleted until it can."
        self._memory.notes.add(folder, name, "folder.unreadable", message)
        if not path:
            self.scene.complete = False

    # -- comparing ---------------------------------------------------------------------------------------------------------------

    def _compare(self, visit: Visit, stats: list[Stat], now_ns: int) -> None:
        local, memory = self._trees.local, self._memory
        whole = visit.names is None
        lost: list[LocalNode] = []
        if whole:
            children: dict[str, LocalNode] = {}
            for child in local.children(visit.id):
                if child.name in children:
                    lost.append(child)
                else:
                    children[child.name] = child
            memory.notes.begin(visit.id)
        else:
            children = {node.name: node for stat in stats if (node := local.child(visit.id, stat.name)) is not None}
            for stat in stats:
                memory.notes.clear(visit.id, stat.name)
        level, deep = self._level(visit, stats, now_ns) if whole else (memory.ignore.own(visit.above), False)
        limbo, seen_marker = memory.limbo, False
        newcomers: list[Stat] = []
        known = len(children)
        for stat in stats:
            node = children.pop(stat.name, None)
            if node is None:
                if visit.path or stat.name != STATE_FOLDER:
                    newcomers.append(stat)
                else:
                    seen_marker = True
                continue
            if node.kind is not stat.kind:
                if stat.kind is None:
                    self._shadow(visit, node)
                else:
                    lost.append(node)
                    newcomers.append(stat)
                continue
            if limbo and limbo.pop(node.id, None) is not None:
                self.scene.missing.found(node.id)
            if deep and self._is_unwanted(level, node):
                self._settler.drop(node)
            elif node.kind is Kind.DIR:
                self._folder_is_here(visit, level, node, stat, deep=deep)
            elif node.racy or stat.signature != node.signature:
                self._file_is_here(visit, node, stat, now_ns)
        if whole:
            lost += children.values()
            if not self._believes(visit, lost, known - len(children), seen_marker):
                return
            self.scene.listed.add(visit.id)
            self._accept(visit)
            for node in lost:
                self.scene.missing.add(node)
        for stat in newcomers:
            self._newcomer(visit, level, stat, now_ns)
        memory.dirt.tidy(visit.path, self.scene.now_s)

    def _level(self, visit: Visit, stats: list[Stat], now_ns: int) -> tuple[Level, bool]:
        """What holds for the entries, and whether everything below must be looked at."""
        ignore, changed = self._memory.ignore, False
        own = next((stat for stat in stats if stat.name == IGNORE_FILE and stat.kind is Kind.FILE), None)
        if own is None:
            changed = ignore.learn(visit.path, None)
        elif not ignore.knows(visit.path, own.signature):
            due_s = self._quiet_at(visit.path, own, now_ns, is_new=False)
            if due_s is None:
                changed = ignore.learn(visit.path, own.signature)
            else:
                ignore.wait(visit.path, own.signature)
                self._memory.dirt.revisit(visit.path, IGNORE_FILE, due_s)
        for line in ignore.problems(visit.path):
            self._memory.notes.add(visit.id, IGNORE_FILE, "ignore.problem", line)
        return ignore.own(visit.above), visit.deep or changed

    def _believes(self, visit: Visit, lost: list[LocalNode], found: int, seen_marker: bool) -> bool:
        """Whether what the listing lacks may count as missing."""
        if not lost:
            return True
        if not visit.path:
            if not seen_marker:
                self.scene.complete = False
                message = (
                    "The synced folder has lost its marker (.syncline): is its disk mounted? Nothing is deleted on its account."
                )
                self._memory.notes.add(visit.id, "", "root.marker_missing", message)
            return seen_marker
        if found:
            return True
        stat = visit.stat
        if stat is None:
            try:
                stat = self._senses.files.stat(visit.path)
            except OSError:
                self._vanished(visit)
                return False
        if stat.signature.device == self._trees.local[visit.id].signature.device:
            return True
        message = (
            "This folder lies on another disk than before, and nothing that was synced is in it: is something not mounted? "
            "Nothing is deleted; if that is meant, delete the folder itself."
        )
        self._memory.notes.add(visit.id, "", "folder.unmounted", message)
        return False

    def _accept(self, visit: Visit) -> None:
        """The folder at this path is the node's from now on, whatever its inode."""
        node = self._trees.local.get(visit.id)
        if node is not None and visit.stat is not None and _place(node.signature) != _place(visit.stat.signature):
            self.scene.put(replace(node, signature=visit.stat.signature))

    def _shadow(self, visit: Visit, node: LocalNode) -> None:
        self.scene.shadowed.add(node.id)
        self.scene.missing.add(node)
        self._memory.notes.skip(visit.id)
        message = (
            "A symbolic link or special file stands in the place of what is synced: it is left alone, and so is the synced copy."
        )
        self._memory.notes.add(visit.id, node.name, "entry.shadowed", message)

    def _is_unwanted(self, level: Level, node: LocalNode) -> bool:
        """Whether the node, known to nobody but this disk, is ignored by now."""
        trees = self._trees
        if node.id in trees.synced or node.id in trees.remote:
            return False
        return level.verdict(node.name, is_folder=node.kind is Kind.DIR) is not None and not self._is_tracked(
            node.parent, node.name
        )

    def _is_tracked(self, folder: NodeId, name: str) -> bool:
        """Whether the synced or the remote tree has something at this place, even if its folder is not yet known to be theirs."""
        trees, key = self._trees, name_key(name)
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
            names.append(name_key(node.name))
            at = node.parent
        for each in (*reversed(names), key):
            found = trees.remote.keyed(at, each)
            if not found:
                return False
            at = found[0]
        return True

    # -- entries -----------------------------------------------------------------------------------------------------------------

    def _folder_is_here(self, visit: Visit, level: Level, node: LocalNode, stat: Stat, *, deep: bool) -> None:
        path = join(visit.path, node.name)
        place = _place(stat.signature)
        watched = self._memory.watched.get(path)
        if watched is not None and watched != place and self._senses.watcher is not None:
            self._senses.watcher.unwatch(path)
        if deep or watched != place or place != _place(node.signature):
            self._visits.append(Visit(node.id, path, level.into(node.name), True, stat=stat))

    def _file_is_here(self, visit: Visit, node: LocalNode, stat: Stat, now_ns: int) -> None:
        old, new = node.signature, stat.signature
        if old == new:
            if not is_racy(new, now_ns):
                content_hash = self._read_again(join(visit.path, node.name), node)
                self.scene.put(replace(node, racy=False, content_hash=content_hash))
        elif old == Signature(old.device, new.inode, new.size, new.mtime_ns, new.ctime_ns):
            # Device numbers change from boot to boot; an inode with its change time to the nanosecond does not.
            self.scene.put(replace(node, signature=new))
        else:
            due_s = self._quiet_at(visit.path, stat, now_ns, is_new=False)
            if due_s is not None:
                self.scene.waits(visit.path, stat.name, due_s)
            else:
                self.scene.put(file_node(node.id, node.parent, stat, now_ns))

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

    def _newcomer(self, visit: Visit, level: Level, stat: Stat, now_ns: int) -> None:
        """Something no node stands for: not ours, ignored, still being written, or an arrival to be settled."""
        name, kind = stat.name, stat.kind
        if level.verdict(name, is_folder=kind is Kind.DIR) is not None and not self._is_tracked(visit.id, name):
            self.scene.ignored += 1
            return
        if kind is None:
            self._memory.notes.skip(visit.id)
            return
        problem = name_problem(name)
        path = join(visit.path, name)
        if problem is None and path.count("/") >= DEPTH_MAX:
            problem = f"it lies deeper than {DEPTH_MAX} folders"
        if problem is not None:
            self._memory.notes.add(visit.id, name, "name.invalid", f"This name cannot be synced: {problem}. Rename it to sync it.")
            return
        due_s = self._quiet_at(visit.path, stat, now_ns, is_new=True)
        arrival = Arrival(visit.id, path, stat)
        if due_s is not None:
            self.scene.expected.add(inode_key(stat.signature, kind))
            self.scene.waits(visit.path, name, due_s)
        elif kind is Kind.DIR:
            self._new_folders[path] = (arrival, level.into(name))
        else:
            self._new_files[path] = arrival

    def _quiet_at(self, folder: str, stat: Stat, now_ns: int, *, is_new: bool) -> float | None:
        """As `Dirt.quiet_at`, asked once in a scan."""
        path = join(folder, stat.name)
        if path not in self._quiet:
            changed_ns = stat.signature.ctime_ns
            fresh = min(now_ns, self.scene.started_ns) - _FRESH_NS < changed_ns <= self._senses.clock.now_us() * 1000
            self._quiet[path] = self._memory.dirt.quiet_at(
                folder,
                stat.name,
                stat.kind or Kind.FILE,
                stat.signature,
                self.scene.now_s,
                now_ns,
                just_moved=is_new and fresh and self._senses.watcher is not None,
            )
        return self._quiet[path]


def _place(signature: Signature) -> tuple[int, int]:
    return signature.device, signature.inode
