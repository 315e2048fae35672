"""After a crash: every inflight row is finished or undone, and what nobody claims is cleared from `.syncline`.

It runs before anything is watched or scanned, so that the engine's own unfinished renames are never taken for the user's. Laws: a
place is believed only where the inode the row names still answers; what lies below `.syncline` and may be the user's goes back to
the user; what is found done is made durable before it is claimed, which it may not have been; running it twice, or crashing inside
it, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from syncline.client.local_errors import writing_error
from syncline.client.receive.claims import Claims
from syncline.client.receive.inflight import (
    Arrival,
    Arriving,
    Discarding,
    Dressing,
    Effect,
    Making,
    Mark,
    Moving,
    Removing,
    Replacing,
    Setting,
    Trashed,
    effect_of,
    same_bytes,
    same_thing,
)
from syncline.client.receive.moves import Mover
from syncline.client.receive.root import STAGE, TMP
from syncline.client.receive.trash import Trash
from syncline.client.trees.trees import Trees
from syncline.model.conflicts import Reason
from syncline.model.entries import Kind, LocalNode, SyncedNode
from syncline.model.ids import NodeId
from syncline.model.paths import STATE_FOLDER, join, name_of, parent_of
from syncline.ports.clock import Clock
from syncline.ports.local_files import LocalFiles, Stat
from syncline.ports.tree_store import InflightRow

PARTIAL: Final = ".part"
PARTIAL_KEPT_S: Final = 24 * 3600


class Recovery:
    """One start's worth; `run` tells what was done, a line each."""

    def __init__(self, files: LocalFiles, trees: Trees, claims: Claims, trash: Trash, mover: Mover, clock: Clock) -> None:
        self._files = files
        self._trees = trees
        self._claims = claims
        self._trash = trash
        self._mover = mover
        self._clock = clock
        self._told: list[str] = []
        self._leaving: dict[NodeId, Effect] = {}
        """What was leaving its place, which by the trees it still has."""

    def run(self, rows: Sequence[InflightRow]) -> list[str]:
        """Raises `LocalIo` when the disk fails meanwhile; the rows not yet seen to stay."""
        known: set[str] = set()
        self._leaving = _leaving(rows)
        for row, effect in _in_order(rows):
            known.add(getattr(effect, "stage", None) or "")
            try:
                self._see_to(row.id, effect)
            except OSError as error:
                raise writing_error(error, STATE_FOLDER) from error
        try:
            self._clear_stage(known)
            self._clear_tmp()
        except OSError as error:
            raise writing_error(error, STATE_FOLDER) from error
        self._claims.commit()
        return self._told

    def finish(self, rows: Sequence[InflightRow]) -> None:
        """While the engine runs: the same for rows whose deeds the disk failed in the midst of. Those it still fails stay open."""
        self._leaving = _leaving(rows)
        self._mover.forget()
        for row, effect in _in_order(rows):
            with suppress(OSError):
                self._see_to(row.id, effect)

    def _see_to(self, row_id: str, effect: Effect) -> None:
        if isinstance(effect, Trashed):
            self._claims.trashed[row_id] = effect
        elif isinstance(effect, Moving):
            self._finish_move(effect)
            self._claims.over(row_id)
        elif isinstance(effect, Discarding):
            self._finish_discard(row_id, effect)
        elif isinstance(effect, Removing):
            self._finish_removing(effect)
            self._claims.over(row_id)
        elif isinstance(effect, Making):
            self._finish_making(effect)
            self._claims.over(row_id)
        elif isinstance(effect, Arriving):
            self._arrived(effect)
            self._claims.over(row_id)
        elif isinstance(effect, Dressing):
            self._finish_dressing(effect)
            self._claims.over(row_id)
        elif isinstance(effect, Replacing):
            self._finish_replace(row_id, effect)
        else:
            self._undo_aside(effect)
            self._claims.over(row_id)

    # -- by kind -----------------------------------------------------------------------------------------------------------------

    def _finish_move(self, moving: Moving) -> None:
        """A rename that happened is claimed; one that stopped on the stage goes on, or back."""
        folder = None if moving.parent is None else self._claims.folder_path(moving.parent, {})
        target = None if folder is None or moving.name is None else join(folder, moving.name)
        staged = None if moving.stage is None else self._look(moving.stage)
        if staged is not None and moving.stage is not None:
            self._leave_stage(moving, moving.stage, target)
            return
        if target is None or target == moving.source:
            return
        now = self._look(target)
        if now is not None and same_thing(now.signature, moving.signature):
            self._claim(moving, now)
            self._tell(f"finished the move of {moving.source} to {target}")

    def _leave_stage(self, moving: Moving, stage: str, target: str | None) -> None:
        if target is not None:
            try:
                self._files.rename(stage, target)
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                self._tell(f"{target} is taken: {moving.source} cannot move there now")
            else:
                self._claims.touch(STAGE, parent_of(target))
                self._claim(moving, self._files.stat(target))
                self._tell(f"finished the move of {moving.source} to {target}")
                return
        back = self._mover.bring_back(moving.node, stage, moving.source)
        self._tell(f"brought {back} back from a move that was cut short")

    def _claim(self, moving: Moving, now: Stat) -> None:
        """The move is claimed, but not what a file holds: whoever wrote to it while nobody watched left no other sign than that."""
        if moving.parent is None or moving.name is None or now.kind is None:
            return
        local = self._trees.local.get(moving.node)
        if local is not None and now.kind is Kind.FILE:
            self._trees.put_local(replace(local, content_hash=None))
        self._claims.touch(parent_of(moving.source), self._claims.folder_path(moving.parent, {}) or "")
        self._mover.claim_move(moving, moving.parent, moving.name, now)

    def _finish_discard(self, row_id: str, effect: Discarding) -> None:
        now = self._look(effect.trash)
        if now is None:
            self._claims.over(row_id)
            return
        if not self._trash.is_what_it_was(effect.trash, now, effect.signature, effect.content_hash):
            self._trash.give_back(effect.trash, effect.origin)
            self._claims.over(row_id)
            self._tell(f"gave {effect.origin} back: it had changed before it was discarded")
            return
        self._claims.touch(parent_of(effect.origin))
        self._trash.keep(row_id, effect.trash, effect.origin, now.signature, effect.content_hash)
        local = self._trees.local.get(effect.node)
        if local is not None and same_thing(local.signature, effect.signature):
            self._claims.gone(effect.node)
        self._tell(f"finished discarding {effect.origin}")

    def _finish_removing(self, effect: Removing) -> None:
        local = self._trees.local
        if local.children(effect.node):
            return  # Somebody removed it with what was in it: the next scan tells.
        # The folder above it may be gone, and have left it without a path.
        is_there = self._trees.local_path(effect.node) in (effect.origin, None)
        known, now = local.get(effect.node), self._look(effect.origin)
        # Another folder may have been made at its place since.
        if known is not None and is_there and (now is None or self._is_another(known, now, effect.origin)):
            self._claims.touch(parent_of(effect.origin))
            self._claims.gone(effect.node)
            self._tell(f"finished removing {effect.origin}")

    def _finish_making(self, effect: Making) -> None:
        folder, local = self._claims.folder_path(effect.parent, {}), self._trees.local
        if folder is None or effect.node in local:
            return
        known = local.child(effect.parent, effect.name)
        if known is not None and known.id not in self._leaving:
            return
        now = self._look(join(folder, effect.name))
        if now is None or now.kind is not Kind.DIR:
            return
        if known is not None and not self._is_another(known, now, join(folder, effect.name)):
            return
        self._claims.touch(folder)
        self._claims.here(effect.node, effect.parent, now, name=effect.name)
        self._claims.arrived(
            SyncedNode(id=effect.node, namespace=effect.namespace, parent=effect.parent, name=effect.name, kind=Kind.DIR)
        )
        self._claims.agree(effect.node)

    def _is_another(self, known: LocalNode, now: Stat, path: str) -> bool:
        """Whether what lies at a path is not what the trees know there. Of a folder that was being removed its birth tells, since
        the next one made is often given its inode number."""
        if not same_thing(known.signature, now.signature):
            return True
        removing = self._leaving.get(known.id)
        if not isinstance(removing, Removing) or removing.born_ns is None:
            return False
        try:
            return self._files.birth_ns(path) not in (removing.born_ns, None)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _finish_dressing(self, effect: Dressing) -> None:
        """The bit that was set is the base's, and what this device sees: were the sight of it left to the next scan, which may be
        long in coming, the old bit would read as the user's. What else the file is by now, that scan tells."""
        path, base = self._trees.local_path(effect.node), self._trees.synced.get(effect.node)
        now = None if path is None else self._look(path)
        if path is None or base is None or now is None or not same_thing(now.signature, effect.signature):
            return
        if now.executable == effect.executable:
            self._claims.touch_mode(path)
            self._trees.put_synced(replace(base, executable=effect.executable))
            local = self._trees.local.get(effect.node)
            if local is not None:
                self._trees.put_local(replace(local, executable=now.executable))

    def _finish_replace(self, row_id: str, effect: Replacing) -> None:
        hidden = self._look(effect.trash)
        if hidden is None:
            self._claims.over(row_id)
            return
        if hidden.signature.inode == effect.arriving:
            # The exchange had not happened: what waits is only a download.
            self._files.remove_file(effect.trash)
            self._claims.over(row_id)
            self._tell(f"dropped a new version of {effect.origin} that had not been placed yet")
            return
        if not self._trash.is_what_it_was(effect.trash, hidden, effect.signature, effect.content_hash):
            copy = self._trash.revive(effect.trash, effect.origin)
            self._claims.over(row_id)
            self._arrived(effect)
            self._tell(f"{effect.origin} had changed while its new version came: kept as {copy}")
            return
        if self._look(effect.origin) is None and self._is_still_there(effect):
            # Away with the old, but not yet in with the new: the old one goes back.
            self._trash.give_back(effect.trash, effect.origin)
            self._claims.over(row_id)
            self._refresh(effect)
            self._tell(f"put {effect.origin} back: its new version had not been placed yet")
            return
        self._trash.keep(row_id, effect.trash, effect.origin, hidden.signature, effect.content_hash)
        self._arrived(effect)
        self._tell(f"finished placing the new version of {effect.origin}")

    def _arrived(self, effect: Arrival) -> None:
        """Where the new file lies at its place, its revision is the base. What it holds by now, only reading it tells."""
        now = self._look(effect.origin)
        if not effect.revision or now is None or now.kind is not Kind.FILE or not self._is_the_one(now, effect):
            return
        if self._claims.folder_path(effect.parent, {}) != parent_of(effect.origin):
            return
        name = name_of(effect.origin)
        self._claims.touch(parent_of(effect.origin))
        self._claims.here(effect.node, effect.parent, now, name=name)
        self._claims.arrived(
            SyncedNode(
                id=effect.node,
                namespace=effect.namespace,
                parent=effect.parent,
                name=name,
                kind=Kind.FILE,
                revision=effect.revision,
                content_hash=effect.arriving_hash,
                executable=effect.executable,
            )
        )

    def _is_the_one(self, now: Stat, effect: Arrival) -> bool:
        """A number alone proves nothing: what was not durable is lost with the power, and the next file made gets its number. One
        that a person makes at this very place is no edit of a version that nobody saw there."""
        if now.signature.inode != effect.arriving:
            return False
        if effect.born_ns is None:
            return True
        try:
            return self._files.birth_ns(effect.origin) in (effect.born_ns, None)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _is_still_there(self, effect: Replacing) -> bool:
        """Whether the node still is at that path by the trees: else its absence there says nothing."""
        return self._trees.local_path(effect.node) == effect.origin

    def _undo_aside(self, effect: Setting) -> None:
        """A file set aside returns to its place, unless its place is taken: then it is the new node it was to become."""
        aside = self._look(effect.aside)
        if aside is None or not same_thing(aside.signature, effect.signature):
            return
        local = self._trees.local.get(effect.node)
        try:
            self._files.rename(effect.aside, effect.origin)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            if local is None or effect.aside_id in self._trees.local:
                return
            content = local.content_hash if same_bytes(aside.signature, effect.signature) else None
            self._claims.conflicts.open(
                Reason.BOTH_EDITED,
                copy=effect.aside_id,
                original=effect.node,
                source=effect.origin,
                copy_path=effect.aside,
                ours=content,
            )
            self._trees.remove_local(effect.node)
            self._claims.here(effect.aside_id, local.parent, aside, name=name_of(effect.aside), content_hash=content)
            self._arrived(effect)
            self._tell(f"kept {effect.aside} beside the new version of {effect.origin}")
            return
        self._claims.touch(parent_of(effect.origin))
        self._refresh(effect)
        self._tell(f"put {effect.origin} back: its new version had not been placed yet")

    def _refresh(self, effect: Replacing | Setting) -> None:
        """A file that left its place and returned has a new ctime, and is the same file."""
        local, now = self._trees.local.get(effect.node), self._look(effect.origin)
        if local is None or now is None or local.signature != effect.signature or not _is_it(now, effect):
            return
        self._claims.here(local.id, local.parent, now, name=local.name, content_hash=local.content_hash, racy=local.racy)

    # -- what nobody claims ------------------------------------------------------------------------------------------------------

    def _clear_stage(self, known: set[str]) -> None:
        """The stage is empty between plans: what is there without a row lost it with the store, and is the user's."""
        for entry in self._files.list_folder(STAGE):
            path = join(STAGE, entry.name)
            if path not in known:
                name = entry.name.partition("~")[2] or entry.name
                self._tell(f"brought {self._trash.revive(path, name)} back from a move that was cut short")

    def _clear_tmp(self) -> None:
        """Downloads that had not been placed go, but for young partial ones, which resume."""
        now_ns = self._clock.now_us() * 1000
        for entry in self._files.list_folder(TMP):
            if entry.kind is Kind.DIR:
                continue
            age_s = (now_ns - entry.signature.ctime_ns) / 1e9
            if entry.name.endswith(PARTIAL) and age_s < PARTIAL_KEPT_S:
                continue
            self._files.remove_file(join(TMP, entry.name))

    def _look(self, path: str) -> Stat | None:
        try:
            return self._files.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _tell(self, line: str) -> None:
        self._told.append(line)


def _in_order(rows: Sequence[InflightRow]) -> list[tuple[InflightRow, Effect]]:
    """Folders that were made come first, outer before inner, since the rest may lie in them. What waits on the stage may need a
    place that another row frees; a folder was removed once all had left it, inner before outer; a mode belongs to a file wherever
    its move brought it: they come last. Ids tell no order among rows of one millisecond. Rows of other kinds are not ours."""
    known = [(row, effect) for row in rows if (effect := effect_of(row)) is not None]
    above = {effect.node: effect.parent for _, effect in known if isinstance(effect, Making)}

    def rank(seen: tuple[InflightRow, Effect]) -> tuple[int, int, str]:
        row, effect = seen
        if isinstance(effect, Making):
            return 0, _depth(effect.parent, above), row.id
        if isinstance(effect, Removing):
            return 3, -effect.origin.count("/"), row.id
        if isinstance(effect, Dressing):
            return 4, 0, row.id
        return 1 if row.fields.get("stage") is None else 2, 0, row.id

    return sorted(known, key=rank)


def _depth(node: NodeId, above: Mapping[NodeId, NodeId]) -> int:
    """How many of the folders from this one up were just made. The rows of a damaged store may go round in a circle."""
    depth = 0
    while node in above and depth < len(above):
        node = above[node]
        depth += 1
    return depth


def _leaving(rows: Sequence[InflightRow]) -> dict[NodeId, Effect]:
    effects = (effect_of(row) for row in rows)
    return {effect.node: effect for effect in effects if isinstance(effect, Moving | Discarding | Removing)}


def _is_it(now: Stat, mark: Mark) -> bool:
    return now.kind is Kind.FILE and same_bytes(now.signature, mark.signature)
