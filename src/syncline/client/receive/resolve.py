"""Resolving a conflict on disk: one version takes the place, the other goes to the local trash.

To the engine these are a user's own changes: the trees learn of them by the next scan, which sends them on. Laws: the version that
leaves a path lies whole in the trash, with its row, before anything else is touched; every step is one rename or exchange, so a
crash between two leaves both versions, and the same command again finishes what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final

from syncline.client.local_errors import reading_error, writing_error
from syncline.client.receive.claims import Claims
from syncline.client.receive.content import write_all
from syncline.client.receive.displace import Displacer
from syncline.client.receive.inflight import Discarding, Replacing, mark_of, row_of
from syncline.client.receive.moves import stands
from syncline.client.receive.outcome import Outcome
from syncline.client.receive.root import TMP, TRASH
from syncline.client.receive.trash import Trash
from syncline.client.trees.trees import Trees
from syncline.model.entries import LocalNode
from syncline.model.errors import ChangedWhileRead
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import MIB
from syncline.model.paths import parent_of
from syncline.ports.clock import Ids
from syncline.ports.local_files import LocalFiles

COPY_BYTES: Final = 64 * MIB
_NOBODY: Final = NodeId("")
"""In a row: the trees are not to take the deed for the engine's own, or the server would have it brought back."""


class Resolver:
    """Methods block, and are the control task's to call. Each gives the folders that must be observed anew; raises
    `ChangedWhileRead` where somebody was writing (nothing is lost, and the command can be given again), `LocalIo`."""

    def __init__(self, files: LocalFiles, trees: Trees, claims: Claims, trash: Trash, ids: Ids) -> None:
        self._files = files
        self._trees = trees
        self._claims = claims
        self._trash = trash
        self._ids = ids
        self._displacer = Displacer(files, claims, trash)

    def read(self, node: LocalNode, limit_bytes: int) -> bytes:
        """What a file on disk holds, at most `limit_bytes` and one of it."""
        path = self._path(node)
        try:
            with self._files.open_read(path) as file:
                self._check(file, node, path)
                content = bytearray()
                while len(content) <= limit_bytes and (data := file.read(limit_bytes + 1 - len(content))):
                    content += data
                self._check(file, node, path)
        except OSError as error:
            raise reading_error(error, path) from error
        return bytes(content)

    def discard(self, node: LocalNode) -> set[str]:
        """The file goes to the trash, as if its user had deleted it."""
        path = self._path(node)
        row_id = self._ids.fresh()
        hidden = self._trash.place(row_id, node.name)
        mark = mark_of(node.signature)
        effect = Discarding(node=_NOBODY, origin=path, trash=hidden, content_hash=node.content_hash, **mark)
        self._claims.begin([row_of(row_id, effect)])
        moved = False
        try:
            if not stands(self._files, path, node):
                raise ChangedWhileRead(path=path)
            self._files.rename(path, hidden)
            moved = True
            self._claims.touch(parent_of(path), TRASH)
            now = self._files.stat(hidden)
            if not self._trash.is_known(hidden, now, node):
                self._trash.give_back(hidden, path)
                moved = False
                raise ChangedWhileRead(path=path)
            self._trash.keep(row_id, hidden, path, now.signature, node.content_hash)
        except FileNotFoundError:
            raise ChangedWhileRead(path=path) from None
        except OSError as error:
            raise writing_error(error, path) from error
        finally:
            if not moved:
                self._claims.over(row_id)
            self._claims.commit()
        return {parent_of(path)}

    def put_copy(self, source: LocalNode, target: LocalNode) -> set[str]:
        """The bytes of `source` become those of `target`; `source` stays."""
        path = self._path(source)

        def fill(into: BinaryIO) -> None:
            with self._files.open_read(path) as file:
                self._check(file, source, path)
                while self._files.copy_range(file, into, COPY_BYTES):
                    pass
                self._check(file, source, path)

        return self._put(fill, target, executable=bool(source.executable), mtime_us=source.signature.mtime_ns // 1000)

    def put_bytes(self, content: bytes, target: LocalNode, mtime_us: int) -> set[str]:
        """`content` becomes that of `target`."""
        return self._put(lambda into: write_all(into, content), target, executable=bool(target.executable), mtime_us=mtime_us)

    def _put(self, fill: Callable[[BinaryIO], None], target: LocalNode, *, executable: bool, mtime_us: int) -> set[str]:
        files, row_id, path = self._files, self._ids.fresh(), self._path(target)
        temp, hidden = f"{TMP}/{row_id}.resolve", self._trash.place(row_id, target.name)
        outcome = Outcome(rescan={parent_of(path)})
        try:
            with files.create(temp) as into:
                fill(into)
                files.set_attributes(into, executable=executable, mtime_us=mtime_us)
                files.sync_files([into])
                arriving = files.fstat_signature(into).inode
            self._claims.begin([row_of(row_id, self._replacing(target, path, hidden, arriving))])
            self._displace(row_id, temp, hidden, path, target, outcome)
        except OSError as error:
            raise writing_error(error, path) from error
        finally:
            with suppress(OSError):
                files.remove_file(temp)
            self._claims.commit()
        return outcome.rescan

    def _replacing(self, target: LocalNode, path: str, hidden: str, arriving: int) -> Replacing:
        """What arrives is no revision of the server's: after a crash it is a local edit like any other."""
        return Replacing(
            node=target.id,
            origin=path,
            trash=hidden,
            arriving=arriving,
            namespace=NamespaceId(""),
            parent=target.parent,
            revision=0,
            arriving_hash=None,
            executable=False,
            content_hash=target.content_hash,
            **mark_of(target.signature),
        )

    def _displace(self, row_id: str, temp: str, hidden: str, path: str, target: LocalNode, outcome: Outcome) -> None:
        over = True
        try:
            if not stands(self._files, path, target):
                raise ChangedWhileRead(path=path)
            over = self._displacer.replace(row_id, temp, hidden, path, target, outcome)
        except FileNotFoundError:
            raise ChangedWhileRead(path=path) from None
        except OSError:
            # A row whose hidden file is still there, since the disk failed midway, is left for the next start to finish.
            over = not self._exists(hidden)
            raise
        finally:
            if over:
                self._claims.over(row_id)

    def _exists(self, path: str) -> bool:
        try:
            self._files.stat(path)
        except OSError:
            return False
        return True

    def _check(self, file: BinaryIO, node: LocalNode, path: str) -> None:
        if self._files.fstat_signature(file) != node.signature:
            raise ChangedWhileRead(path=path)

    def _path(self, node: LocalNode) -> str:
        path = self._trees.local_path(node.id)
        if path is None:
            raise ChangedWhileRead(path=node.name)
        return path
