"""The hop disk ↔ local tree: every entry of the folder is in the local tree with its signature, and the other way round.

Nothing here changes a tree: a scan would bring the tree up to the disk, and what it had been would be forgotten. A difference is
damage only where the device must have seen it: older than its last complete look, the entry and every folder above it. All others
are changes that are still to be looked at. `check` blocks: call it in a thread.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from syncline.client.observe.ignore import ROOT_LEVEL, Ignore, Level
from syncline.client.observe.memory import reader
from syncline.client.observe.notes import shown
from syncline.client.observe.patterns import IGNORE_FILE
from syncline.client.observe.spelling import respelled
from syncline.client.verify.held import Held, leads_to, within
from syncline.client.verify.report import Notebook
from syncline.model.entries import Kind, LocalNode, Signature, SyncedNode
from syncline.model.ids import NodeId
from syncline.model.limits import DEPTH_MAX
from syncline.model.paths import STATE_FOLDER, join, name_problem
from syncline.ports.local_files import LocalFiles, Stat

ROOT_ID: Final = f"{STATE_FOLDER}/root-id"
LOOK: Final = "`syncline refresh` looks at everything anew; it is in the tree after that"
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class ToRead(Struct, frozen=True, gc=False):
    """A file that the disk and the local tree agree on so far, or of which only the change time differs (`touched`)."""

    path: str
    node: LocalNode
    signature: Signature
    touched: bool = False


class _Visit(Struct, frozen=True):
    id: NodeId
    path: str
    level: Level
    changed_ns: int
    """When this folder, or one above it, last changed."""


class DiskCheck:
    """`to_read` gathers the files whose bytes a deep check has to read."""

    def __init__(self, files: LocalFiles, held: Held, notes: Notebook, only: Sequence[str], is_over: Callable[[], bool]) -> None:
        self._files = files
        self._held = held
        self._local = held.trees.local
        self._notes = notes
        self._only = only
        self._is_over = is_over
        self._ignore = Ignore(reader(files))
        self.to_read: list[ToRead] = []
        self.entries = 0

    def check(self) -> None:
        root = self._held.trees.root
        visits = [_Visit(root, "", ROOT_LEVEL, self._files.root_stat().signature.ctime_ns)]
        while visits and not self._is_over():
            visits += self._folder(visits.pop())

    def _folder(self, visit: _Visit) -> Iterator[_Visit]:
        try:
            listing = self._files.list_folder(visit.path)
            stats = respelled(self._files, visit.path, listing, {node.name for node in self._local.children(visit.id)})
        except OSError as error:
            if error.errno not in _GONE and not isinstance(error, FileNotFoundError | NotADirectoryError):
                self._unreadable(visit.path, error)
            else:
                self._notes.left("verify.gone", shown(visit.path), "it went away while it was looked at")
            return
        children = {node.name: node for node in self._local.children(visit.id)}
        level, visit = self._level(visit, stats)
        for stat in sorted(stats, key=lambda stat: stat.name):
            path = join(visit.path, stat.name)
            node = children.pop(stat.name, None)
            if not within(path, self._only) and not leads_to(path, self._only):
                continue
            if not visit.path and stat.name == STATE_FOLDER:
                continue
            if node is None:
                self._unknown(visit, level, stat, path)
            else:
                yield from self._known(visit, level, node, stat, path)
        for node in children.values():
            path = join(visit.path, node.name)
            if within(path, self._only):
                message = "it is in the local tree, and not on the disk"
                self._differs("verify.not_on_disk", "verify.gone", path, message, visit.changed_ns, node.id)

    def _level(self, visit: _Visit, stats: Sequence[Stat]) -> tuple[Level, _Visit]:
        """What is ignored in the folder, by its own file as it is now. Other rules make other entries count, so the folder is as
        young as they are."""
        own = next((stat for stat in stats if stat.name == IGNORE_FILE and stat.kind is Kind.FILE), None)
        self._ignore.learn(visit.path, None if own is None else own.signature)
        if own is not None:
            visit = replace(visit, changed_ns=max(visit.changed_ns, own.signature.ctime_ns))
        return self._ignore.own(visit.level), visit

    # -- one entry ---------------------------------------------------------------------------------------------------------------

    def _known(self, visit: _Visit, level: Level, node: LocalNode, stat: Stat, path: str) -> Iterator[_Visit]:
        changed_ns = max(visit.changed_ns, stat.signature.ctime_ns)
        if stat.kind is None:
            self._notes.left("verify.changed", shown(path), "a link or special file stands in its place; both are left alone")
            return
        if node.kind is not stat.kind:
            message = f"it is a {node.kind.value} in the local tree, and something else on the disk"
            self._differs("verify.kind_differs", "verify.changed", path, message, changed_ns, node.id)
            return
        self.entries += within(path, self._only)
        if stat.kind is Kind.DIR:
            if node.signature.inode != stat.signature.inode:
                message = "another folder than the local tree's stands at this path"
                self._differs("verify.signature_differs", "verify.changed", path, message, changed_ns, node.id)
            yield _Visit(node.id, path, level.into(stat.name), changed_ns)
        elif within(path, self._only):
            self._file(node, stat, path, changed_ns)

    def _file(self, node: LocalNode, stat: Stat, path: str, changed_ns: int) -> None:
        if same(node.signature, stat.signature):
            self.to_read.append(ToRead(path, node, stat.signature))
            return
        touched = (node.signature.size, node.signature.mtime_ns) == (stat.signature.size, stat.signature.mtime_ns)
        if touched:
            self.to_read.append(ToRead(path, node, stat.signature, touched=True))
        message = f"its {_which(node.signature, stat.signature)} on the disk is not the one that was last seen"
        self._differs("verify.signature_differs", "verify.changed", path, message, changed_ns, node.id)

    def _unknown(self, visit: _Visit, level: Level, stat: Stat, path: str) -> None:
        """Something that the local tree does not have, unless there is a reason for that."""
        if stat.kind is None or name_problem(stat.name) is not None or path.count("/") >= DEPTH_MAX:
            return
        tracked = self._tracked(visit.id, stat.name)
        if level.verdict(stat.name, is_folder=stat.kind is Kind.DIR) is not None and not tracked:
            return
        if stat.kind is Kind.DIR and not self._is_ours(path):
            return
        base = self._base(visit.id, stat)
        what = "it is on the disk and was in sync, and" if base is not None else "it is on the disk, and"
        message = f"{what} the local tree does not have it"
        changed_ns = max(visit.changed_ns, stat.signature.ctime_ns)
        is_damage = self._differs("verify.not_in_tree", "verify.new", path, message, changed_ns, self._held.trees.root)
        if is_damage and base is not None:
            self._notes.lost.append(base)

    def _is_ours(self, path: str) -> bool:
        """Whether a folder would be synced: not one that cannot be read, which is told, nor the root of another synced folder."""
        try:
            inside = self._files.list_folder(path)
            if any(stat.name == STATE_FOLDER and stat.kind is Kind.DIR for stat in inside):
                self._files.stat(join(path, ROOT_ID))
                return False
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            self._unreadable(path, error)
            return False
        return True

    def _base(self, folder: NodeId, stat: Stat) -> SyncedNode | None:
        """What was in sync at this place, and is nowhere in the local tree."""
        base = self._held.trees.synced.child(folder, stat.name)
        return base if base is not None and base.kind is stat.kind and base.id not in self._local else None

    def _tracked(self, folder: NodeId, name: str) -> bool:
        trees = self._held.trees
        key = trees.key(name)
        return bool(trees.synced.keyed(folder, key) or trees.remote.keyed(folder, key))

    def _differs(self, code: str, pending: str, path: str, message: str, changed_ns: int, node: NodeId) -> bool:
        """Damage, where the device must have seen it (then true); else work."""
        seen_ns = self._held.seen_until_ns
        if seen_ns is not None and changed_ns <= seen_ns and path not in self._held.unquiet:
            self._notes.found(code, shown(path), f"{message}, though nothing there changed since", LOOK, node=node)
            return True
        self._notes.left(pending, shown(path), message)
        return False

    def _unreadable(self, path: str, error: OSError) -> None:
        message = f"this folder cannot be read ({error.strerror or error}), so nothing in it is proven"
        self._notes.found("verify.unreadable", shown(path), message, "correct its permissions, or look after the disk")


def same(known: Signature, now: Signature) -> bool:
    """Whether a file is the one that was seen. Device numbers change from boot to boot; an inode with its change time does not."""
    return known == Signature(known.device, now.inode, now.size, now.mtime_ns, now.ctime_ns)


def _which(known: Signature, now: Signature) -> str:
    names = ("inode", "size", "mtime_ns", "ctime_ns")
    return ", ".join(name.removesuffix("_ns") for name in names if getattr(known, name) != getattr(now, name))
