"""Claims: the one way from a deed on disk to the rows that say it was done.

Laws: `begin` makes inflight rows durable before a deed that could not be re-derived. `commit` makes the folders durable first and
writes the rows after, all in one transaction, so the store never claims more than the disk holds. Signatures claimed are those of a
look taken after the deed, so the next scan sees nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO, Final

from msgspec.structs import replace

from syncline.client.local_errors import writing_error
from syncline.client.plan.books import book_fetch, keep_books
from syncline.client.plan.steps import Adopt
from syncline.client.receive.conflict_book import ConflictBook
from syncline.client.receive.inflight import Trashed, row_of
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind, LocalNode, SyncedNode
from syncline.model.ids import Digest, NodeId
from syncline.ports.local_files import LocalFiles, Stat
from syncline.ports.tree_store import Changes, InflightRow, TreeStore

MODES_MAX: Final = 256
"""Files open at once while their modes are synced."""


class Claims:
    """What was done since the last `commit`, in trees and rows."""

    def __init__(self, files: LocalFiles, store: TreeStore, trees: Trees, conflicts: ConflictBook) -> None:
        self._files = files
        self._store = store
        self._trees = trees
        self.conflicts = conflicts
        self.trashed: dict[str, Trashed] = {}
        """What lies in the trash with its row, by row id."""
        self._folders: set[str] = set()
        self._modes: set[str] = set()
        self._open: dict[str, InflightRow] = {}
        self._put: dict[str, InflightRow] = {}
        self._over: set[str] = set()

    def begin(self, rows: Sequence[InflightRow]) -> None:
        """These rows, and whatever the trees still had to write, are durable when this returns."""
        if not rows:
            return
        changes = self._trees.drain()
        changes.inflight_put = list(rows)
        self._write(changes)
        self._open.update((row.id, row) for row in rows)

    def unfinished(self) -> list[InflightRow]:
        """Rows whose deeds came to no known end, since the disk failed in their midst."""
        return list(self._open.values())

    def touch(self, *folders: str) -> None:
        """Entries of these folders changed: they are synced by the next `commit`."""
        self._folders.update(folders)

    def touch_mode(self, path: str) -> None:
        """A file's mode changed: it is synced by the next `commit`."""
        self._modes.add(path)

    def over(self, row_id: str) -> None:
        """What a row told of is finished, undone, or never happened."""
        self._open.pop(row_id, None)
        self._over.add(row_id)

    def into_trash(self, row_id: str, trashed: Trashed) -> None:
        """What a row told of ended with a file in the trash; the row now keeps what that file was."""
        self._open.pop(row_id, None)
        self.trashed[row_id] = trashed
        self._put[row_id] = row_of(row_id, trashed)

    def out_of_trash(self, row_id: str) -> None:
        self.trashed.pop(row_id, None)
        self._put.pop(row_id, None)
        self._over.add(row_id)

    def settle_folders(self) -> None:
        """The entries of all folders touched, and modes that were set, are durable when this returns. Raises `LocalIo`."""
        self._settle_modes()
        if self._folders:
            folders = sorted(self._folders)
            try:
                self._files.sync_folders(folders)
            except (FileNotFoundError, NotADirectoryError):
                self._sync_those_left(folders)
            except OSError as error:
                raise writing_error(error, folders[0]) from error
            self._folders.clear()

    def commit(self) -> None:
        """Folders, then rows. Raises `LocalIo` when the disk cannot promise them; nothing is claimed then."""
        self.settle_folders()
        changes = self._trees.drain()
        put, over = self._put, self._over - self._put.keys()
        changes.inflight_put = [put[row_id] for row_id in sorted(put)]
        changes.inflight_remove = sorted(over)
        if _is_empty(changes):
            return
        self._write(changes)
        self._put, self._over = {}, set()

    # -- the trees ---------------------------------------------------------------------------------------------------------------

    def here(
        self,
        node: NodeId,
        parent: NodeId,
        stat: Stat,
        *,
        name: str,
        content_hash: Digest | None = None,
        racy: bool = False,
    ) -> None:
        """`node` is on disk as `stat` says, at `name` in `parent`."""
        assert stat.kind is not None
        self._trees.put_local(
            LocalNode(
                id=node,
                parent=parent,
                name=name,
                kind=stat.kind,
                signature=stat.signature,
                links=stat.links,
                content_hash=content_hash,
                executable=stat.executable,
                racy=racy,
            )
        )

    def moved(self, node: LocalNode, parent: NodeId, name: str, stat: Stat) -> None:
        """An engine's own rename of what was `node`, no move of the user's: the base follows to where the server has the node, or,
        where the server has it no more, from the place it had. A move the user made before stays one."""
        trees = self._trees
        trees.put_local(
            replace(node, parent=parent, name=name, signature=stat.signature, links=stat.links, executable=stat.executable)
        )
        base, remote = trees.synced.get(node.id), trees.remote.get(node.id)
        if base is not None:
            old, new = (node.parent, node.name), (parent, name)
            follows = (base.parent, base.name) == old if remote is None else (remote.parent, remote.name) == new
            if follows:
                namespace = base.namespace if remote is None else remote.namespace
                trees.put_synced(replace(base, parent=parent, name=name, namespace=namespace))
        self.agree(node.id)

    def renamed(self, old: NodeId, new: NodeId, *, left: bool = False) -> None:
        """The thing on disk that was `old` is a new node; `old` itself left the disk by the engine's hand, so its absence is no
        deletion, unless it `left` by a person's."""
        trees = self._trees
        if old in trees.local and new not in trees.local:
            trees.rekey_local(old, new)
        if not left:
            trees.remove_synced(old)

    def gone(self, node: NodeId) -> None:
        """`node` left the disk by the engine's hand."""
        self._trees.remove_local(node)
        self._trees.remove_synced(node)

    def agree(self, node: NodeId) -> None:
        """The synced node becomes what both sides hold, if they hold the same."""
        trees = self._trees
        local, remote = trees.local.get(node), trees.remote.get(node)
        if local is None or remote is None:
            return
        if (local.parent, local.name, local.kind) != (remote.parent, remote.name, remote.kind):
            return
        if local.kind is Kind.FILE and (local.content_hash is None or local.content_hash != remote.content_hash):
            return
        if local.kind is Kind.FILE and local.executable is not None and local.executable != remote.executable:
            return
        keep_books(trees, Adopt(node=node, why=""))

    def fetched(self, node: NodeId, parent: NodeId, name: str) -> None:
        """The remote revision's bytes came to `name` in `parent`."""
        book_fetch(self._trees, node, parent, name)

    def arrived(self, base: SyncedNode) -> None:
        """A revision was found at its place after a crash. A base keeps its place: what was moved here stays a local change."""
        known = self._trees.synced.get(base.id)
        self._trees.put_synced(base if known is None else replace(base, parent=known.parent, name=known.name))

    def folder_path(self, node: NodeId, staged: dict[NodeId, str]) -> str | None:
        """Where the folder `node` is on disk; None when it is not there."""
        if node != self._trees.root:
            known = self._trees.local.get(node)
            if known is None or known.kind is not Kind.DIR:
                return None
        return self.path(node, staged)

    def path(self, node: NodeId, staged: dict[NodeId, str]) -> str | None:
        """Where `node` is on disk, on the stage or below what is staged included."""
        if not staged:
            return self._trees.local_path(node)
        names: list[str] = []
        for at in (node, *self._trees.local.ancestors(node)):
            if at in staged:
                return "/".join((staged[at], *reversed(names)))
            if at == self._trees.root:
                return "/".join(reversed(names))
            known = self._trees.local.get(at)
            if known is None:
                return None
            names.append(known.name)
        return None

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _settle_modes(self) -> None:
        paths = sorted(self._modes)
        for start in range(0, len(paths), MODES_MAX):
            with ExitStack() as stack:
                opened = [file for path in paths[start : start + MODES_MAX] if (file := self._opened(path, stack)) is not None]
                try:
                    self._files.sync_files(opened)
                except OSError as error:
                    raise writing_error(error, paths[start]) from error
        self._modes.clear()

    def _opened(self, path: str, stack: ExitStack) -> BinaryIO | None:
        """None for what the user moved, removed or closed to us since: its mode is theirs by now."""
        try:
            return stack.enter_context(self._files.open_read(path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            return None
        except OSError as error:
            raise writing_error(error, path) from error

    def _sync_those_left(self, folders: Sequence[str]) -> None:
        for folder in folders:
            try:
                self._files.sync_folders([folder])
            except (FileNotFoundError, NotADirectoryError):
                # The user moved or removed it since: its entries are where it is now, or nowhere.
                continue
            except OSError as error:
                raise writing_error(error, folder) from error

    def _write(self, changes: Changes) -> None:
        written = False
        try:
            self._store.write(changes)
            written = True
        finally:
            if not written:
                self._trees.undrain(changes)


def _is_empty(changes: Changes) -> bool:
    return not any(
        (
            changes.cursor_put,
            changes.remote_put,
            changes.remote_remove,
            changes.local_put,
            changes.local_remove,
            changes.synced_put,
            changes.synced_remove,
            changes.inflight_put,
            changes.inflight_remove,
            changes.conflict_put,
            changes.conflict_remove,
        )
    )
