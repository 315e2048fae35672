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

from syncline.client.observe.entries import Entries
from syncline.client.observe.ignore import ROOT_LEVEL, Level
from syncline.client.observe.match import Arrival, inode_key
from syncline.client.observe.memory import Memory, Senses
from syncline.client.observe.patterns import IGNORE_FILE
from syncline.client.observe.scene import Scene, Visit
from syncline.client.observe.settle import Settler
from syncline.client.observe.spelling import respelled
from syncline.model.entries import Kind, LocalNode, Signature
from syncline.model.ids import NodeId
from syncline.model.limits import CLOSED_QUIET_S
from syncline.model.paths import STATE_FOLDER, join, name_of, parent_of
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
        self._entries = Entries(self.scene)
        self._compared: dict[NodeId, bool] = {}
        """Folders listed, or tried, and whether deeply."""

    def run(self) -> None:
        self._begin()
        arrivals = self._entries
        while self._visits or arrivals.new_folders:
            while self._visits:
                self._visit(self._visits.popleft())
            if arrivals.new_folders:
                self._settle_folder(*arrivals.new_folders.pop(next(iter(arrivals.new_folders))))
        self._settler.files(sorted(arrivals.new_files.values(), key=lambda arrival: arrival.path))
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
        """A visit to the folder, or to the nearest one above it that is known. Where it has taken the name of a file that is still
        known there, the folder is meant."""
        node_id = self._trees.local.find_folder(path, self._trees.root)
        while node_id is None:
            path, names = parent_of(path), None
            node_id = self._trees.local.find_folder(path, self._trees.root)
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
        local = self._trees.local
        stats: list[Stat] = []
        for name in sorted(names):
            twins = local.keyed(visit.id, self._trees.key(name))
            if any(local[node_id].name != name for node_id in twins):
                return None  # The disk may find one under the other's name: only a listing tells what is there.
            try:
                stat = self._senses.files.stat(join(visit.path, name))
            except FileNotFoundError:
                if local.child(visit.id, name) is not None:
                    return None
                continue
            except OSError:
                return None
            known = local.child(visit.id, name)
            if stat.kind is None or (known is not None and known.kind is not stat.kind):
                return None
            stats.append(stat)
        single = [inode_key(stat.signature, stat.kind or Kind.FILE) for stat in stats if stat.kind is Kind.DIR or stat.links == 1]
        # One entry found under two names, on a disk that folds case: which of them it has, only a listing tells.
        return stats if len(set(single)) == len(single) else None

    def _list(self, visit: Visit) -> list[Stat] | None:
        """The folder's listing, or None and a note of why."""
        if visit.deep:
            self.scene.watch(visit.path, None if visit.stat is None else visit.stat.signature)
        try:
            listing = self._senses.files.list_folder(visit.path)
            self._memory.unread.discard(visit.id)
            return listing
        except OSError as error:
            self._failed(visit, error)
            return None

    def _failed(self, visit: Visit, error: OSError) -> None:
        if error.errno in _GONE or isinstance(error, FileNotFoundError | NotADirectoryError):
            self._vanished(visit)
        else:
            self._unreadable(visit.id, visit.path, error)

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

    def _unreadable(self, folder: NodeId, path: str, error: OSError) -> None:
        self.scene.unreadable.append(path)
        self._memory.unread.add(folder)
        message = f"This folder cannot be read ({error.strerror or error}): nothing in it is synced or deleted until it can."
        self._memory.notes.begin(folder)
        self._memory.notes.add(folder, "", "folder.unreadable", message)
        if not path:
            self.scene.complete = False

    # -- comparing ---------------------------------------------------------------------------------------------------------------

    def _compare(self, visit: Visit, stats: list[Stat], now_ns: int) -> None:
        memory = self._memory
        whole = visit.names is None
        children, lost = self._children(visit, stats)
        if whole:
            try:
                stats = respelled(self._senses.files, visit.path, stats, children)
            except OSError as error:
                self._unreadable(visit.id, visit.path, error)
                return
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
                    self._entries.shadow(visit, node)
                else:
                    lost.append(node)
                    newcomers.append(stat)
                continue
            if limbo and limbo.pop(node.id, None) is not None:
                self.scene.missing.found(node.id)
            if deep and self._entries.is_unwanted(level, node) and self._settler.drop(node):
                continue
            if node.kind is Kind.DIR:
                self._folder_is_here(visit, level, node, stat, deep=deep)
            elif node.racy or stat.signature != node.signature or stat.executable != node.executable:
                self._entries.file_is_here(visit, node, stat, now_ns)
        if whole:
            lost += children.values()
            if not self._believes(visit, lost, known - len(children), seen_marker):
                return
            self.scene.listed.add(visit.id)
            self._accept(visit)
            for node in lost:
                self.scene.missing.add(node)
        for stat in newcomers:
            self._entries.newcomer(visit, level, stat, now_ns)
        memory.dirt.tidy(visit.path, self.scene.now_s)

    def _children(self, visit: Visit, stats: list[Stat]) -> tuple[dict[str, LocalNode], list[LocalNode]]:
        """The nodes in question by name, and those that another of the same name hides. Their notes are void."""
        local, notes = self._trees.local, self._memory.notes
        if visit.names is not None:
            for stat in stats:
                notes.clear(visit.id, stat.name)
            return {node.name: node for stat in stats if (node := local.child(visit.id, stat.name)) is not None}, []
        notes.begin(visit.id)
        nodes = local.children(visit.id)
        children = {node.name: node for node in nodes}
        hidden = [] if len(children) == len(nodes) else [node for node in nodes if children[node.name] is not node]
        return children, hidden

    def _level(self, visit: Visit, stats: list[Stat], now_ns: int) -> tuple[Level, bool]:
        """What holds for the entries, and whether everything below must be looked at."""
        ignore, changed = self._memory.ignore, False
        own = next((stat for stat in stats if stat.name == IGNORE_FILE and stat.kind is Kind.FILE), None)
        if own is None:
            changed = ignore.learn(visit.path, None)
        elif not ignore.knows(visit.path, own.signature):
            due_s = self._entries.quiet_at(visit.path, own, now_ns, is_new=False)
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
            except OSError as error:
                self._failed(visit, error)
                # What its listing lacked was not believed, so it must be listed again, though it may be back unchanged by then.
                self._memory.dirt.revisit(visit.path, None, self.scene.now_s + CLOSED_QUIET_S)
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

    # -- entries -----------------------------------------------------------------------------------------------------------------

    def _folder_is_here(self, visit: Visit, level: Level, node: LocalNode, stat: Stat, *, deep: bool) -> None:
        path = join(visit.path, node.name)
        place = _place(stat.signature)
        watched = self._memory.watched.get(path)
        if watched is not None and watched != place and self._senses.watcher is not None:
            self._senses.watcher.unwatch(path)
        if deep or watched != place or place != _place(node.signature) or node.id in self._memory.unread:
            self._visits.append(Visit(node.id, path, level.into(node.name), True, stat=stat))


def _place(signature: Signature) -> tuple[int, int]:
    return signature.device, signature.inode
