"""Arranging what is on disk already: moves, folders made and removed, modes, files discarded.

Laws: a thing is touched only if it is what the local tree says (a file by all five of its signature, a folder by its inode), and is
looked at again after a rename, which goes back if it caught something else. Steps run in the order given. Their rows and claims go
to the store in runs; a folder that moves is a run of its own, since it changes the paths of everything below it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from msgspec.structs import replace

from syncline.client.plan.steps import Discard, MakeFolder, Relocate, RemoveFolder, SetExecutable, Stage, Step
from syncline.client.receive.claims import Claims
from syncline.client.receive.inflight import Discarding, Dressing, Making, Removing, mark_of, row_of
from syncline.client.receive.moves import Hop, Mover, is_same, refuse_place, stands
from syncline.client.receive.outcome import Outcome
from syncline.client.receive.root import TRASH
from syncline.client.receive.trash import Trash
from syncline.client.trees.trees import Trees
from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.model.limits import BATCH_MAX
from syncline.model.paths import join, name_problem, parent_of
from syncline.ports.clock import Ids
from syncline.ports.local_files import LocalFiles, Stat

_Discarding: TypeAlias = tuple[str, Discarding]
"""A row's id and what it says."""


class Arranger:
    """Carries out the disk steps of a plan that need no bytes."""

    def __init__(self, files: LocalFiles, trees: Trees, claims: Claims, trash: Trash, ids: Ids, mover: Mover) -> None:
        self._files = files
        self._trees = trees
        self._claims = claims
        self._trash = trash
        self._ids = ids
        self._mover = mover
        self._finals: dict[NodeId, Relocate] = {}
        self._midway: set[NodeId] = set()
        """Folders that the disk failed to make or remove, and whose rows stay open: whether it did is found out before anything
        else."""

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Everything that could be done is durable and claimed when this returns."""
        outcome = Outcome()
        self._finals = {step.node: step for step in steps if isinstance(step, Relocate)}
        run: list[Step] = []
        made: set[NodeId] = set()
        for step in steps:
            alone = isinstance(step, Relocate | Stage) and self._is_folder(step.node)
            if run and (alone or len(run) >= BATCH_MAX or (isinstance(step, Relocate) and step.parent in made)):
                self._carry_out(run, outcome)
                run, made = [], set()
            run.append(step)
            if isinstance(step, MakeFolder):
                made.add(step.node)
            if alone:
                self._carry_out(run, outcome)
                run, made = [], set()
        self._carry_out(run, outcome)
        self._mover.clear_stage(outcome)
        return outcome

    def _carry_out(self, run: Sequence[Step], outcome: Outcome) -> None:
        """Rows, deeds, claims."""
        self._midway.clear()
        hops: dict[int, Hop | None] = {}
        discards: dict[int, _Discarding] = {}
        shapings: list[tuple[str, Making | Removing]] = []
        dressings: dict[int, tuple[str, Dressing]] = {}
        earlier: dict[NodeId, Hop] = {}
        for index, step in enumerate(run):
            if isinstance(step, Relocate | Stage):
                final = step if isinstance(step, Relocate) else self._finals.get(step.node)
                hop = hops[index] = self._mover.hop(step, final, earlier)
                if isinstance(step, Stage) and hop is not None:
                    earlier[step.node] = hop
            elif isinstance(step, Discard):
                discard = self._row_of_discard(step)
                if discard is not None:
                    discards[index] = discard
            elif isinstance(step, MakeFolder):
                making = self._row_of_making(step)
                if making is not None:
                    shapings.append(making)
            elif isinstance(step, RemoveFolder):
                path = self._claims.path(step.node, self._mover.staged)
                if path is not None:
                    shapings.append((self._ids.fresh(), Removing(node=step.node, origin=path, born_ns=self._birth_ns(path))))
            elif isinstance(step, SetExecutable):
                dressing = self._row_of_dressing(step)
                if dressing is not None:
                    dressings[index] = dressing
        rows = [row_of(hop.row_id, hop.effect) for hop in hops.values() if hop is not None and hop.opens]
        rows += [row_of(*row) for row in discards.values()] + [row_of(*row) for row in shapings]
        rows += [row_of(*row) for row in dressings.values()]
        self._claims.begin(rows)
        for index, step in enumerate(run):
            if isinstance(step, Relocate):
                self._mover.relocate(step, hops[index], outcome)
            elif isinstance(step, Stage):
                self._mover.stage(step, hops[index], outcome)
            elif isinstance(step, Discard):
                self._discard(step, discards.get(index), outcome)
            elif isinstance(step, MakeFolder):
                self._make_folder(step, outcome)
            elif isinstance(step, SetExecutable):
                self._set_executable(step, dressings.get(index), outcome)
            elif isinstance(step, RemoveFolder):
                self._remove_folder(step, outcome)
            else:
                raise TypeError(f"{type(step).__name__} is no step of the disk")
        for row_id, effect in shapings:
            if effect.node not in self._midway:
                self._claims.over(row_id)
        self._claims.commit()

    def _row_of_making(self, step: MakeFolder) -> tuple[str, Making] | None:
        remote = self._trees.remote.get(step.node)
        if remote is None or step.node in self._trees.local:
            return None
        return self._ids.fresh(), Making(node=step.node, namespace=remote.namespace, parent=step.parent, name=step.name)

    def _birth_ns(self, path: str) -> int | None:
        try:
            return self._files.birth_ns(path)
        except OSError:
            return None  # Whatever is wrong with it, removing it will tell.

    def _row_of_dressing(self, step: SetExecutable) -> tuple[str, Dressing] | None:
        local = self._trees.local.get(step.node)
        if local is None or local.executable is None or local.executable == step.executable:
            return None
        return self._ids.fresh(), Dressing(node=step.node, executable=step.executable, **mark_of(local.signature))

    def _row_of_discard(self, step: Discard) -> _Discarding | None:
        local, path = self._trees.local.get(step.node), self._claims.path(step.node, self._mover.staged)
        if local is None or path is None:
            return None
        row_id = self._ids.fresh()
        trash = self._trash.place(row_id, local.name)
        content = local.content_hash
        return row_id, Discarding(node=step.node, origin=path, trash=trash, content_hash=content, **mark_of(local.signature))

    # -- folders, modes, the trash -----------------------------------------------------------------------------------------------

    def _make_folder(self, step: MakeFolder, outcome: Outcome) -> None:
        folder = self._claims.folder_path(step.parent, self._mover.staged)
        if folder is None:
            outcome.drop(step.node)
            return
        path = join(folder, step.name)
        problem = name_problem(step.name)
        if problem is not None:
            outcome.tell("name.invalid", path, f"{step.name!r} cannot be a name here: {problem}.")
            return
        known = self._trees.local.get(step.node)
        if known is not None and (known.parent != step.parent or known.name != step.name):
            outcome.drop(step.node, folder)
            return
        try:
            now = self._made(path) if known is None else self._files.stat(path)
        except FileExistsError:
            refuse_place(self._files, step.node, path, folder, outcome)
            return
        except OSError as error:
            self._is_midway(step.node, error)
            outcome.fail(step.node, path, error, folder)
            return
        if now.kind is not Kind.DIR:
            outcome.drop(step.node, folder)
            return
        self._claims.here(step.node, step.parent, now, name=step.name)
        self._claims.agree(step.node)
        self._claims.touch(folder)
        outcome.done.append(step.node)

    def _is_midway(self, folder: NodeId, error: OSError) -> None:
        """Keeps the folder's row open, unless the disk gave a plain answer: that there is no such place."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._midway.add(folder)

    def _made(self, path: str) -> Stat:
        """A new folder as it then is; none is left behind that could not be looked at, since it would pass for somebody's."""
        self._files.make_folder(path)
        try:
            return self._files.stat(path)
        except OSError:
            with suppress(OSError):
                self._files.remove_folder(path)
            raise

    def _set_executable(self, step: SetExecutable, row: tuple[str, Dressing] | None, outcome: Outcome) -> None:
        try:
            self._dress(step, outcome)
        except OSError as error:
            # Whether the bit was set is found out by the row, which stays.
            path = self._claims.path(step.node, self._mover.staged) or ""
            outcome.fail(step.node, path, error, parent_of(path))
            return
        if row is not None:
            self._claims.over(row[0])

    def _dress(self, step: SetExecutable, outcome: Outcome) -> None:
        local, path = self._trees.local.get(step.node), self._claims.path(step.node, self._mover.staged)
        if local is None or path is None:
            outcome.drop(step.node)
            return
        folder = parent_of(path)
        if not stands(self._files, path, local):
            outcome.drop(step.node, folder)
            return
        if local.executable is not None and local.executable != step.executable:
            self._files.set_executable(path, step.executable)
            self._claims.touch_mode(path)
        now = self._files.stat(path)
        if not is_same(now, local):
            outcome.drop(step.node, folder)
            return
        self._trees.put_local(replace(local, signature=now.signature, executable=now.executable))
        base = self._trees.synced.get(step.node)
        if base is not None and now.executable == step.executable:
            # The bit is agreed on, though the bytes may not be yet: else the next bit that comes meets one that somebody set here.
            self._trees.put_synced(replace(base, executable=step.executable))
        self._claims.agree(step.node)
        outcome.done.append(step.node)

    def _discard(self, step: Discard, row: _Discarding | None, outcome: Outcome) -> None:
        local = self._trees.local.get(step.node)
        if local is None or row is None:
            outcome.drop(step.node)
            return
        row_id, effect = row
        origin, trash = effect.origin, effect.trash
        folder = parent_of(origin)
        moved = False
        try:
            if local.kind is Kind.FILE and stands(self._files, origin, local):
                self._files.rename(origin, trash)
                moved = True
                self._claims.touch(folder, TRASH)
                now = self._files.stat(trash)
                if self._trash.is_known(trash, now, local):
                    self._trash.keep(row_id, trash, origin, now.signature, local.content_hash)
                    self._claims.gone(step.node)
                    outcome.done.append(step.node)
                    return
                self._trash.give_back(trash, origin)
                moved = False
            outcome.drop(step.node, folder)
        except OSError as error:
            outcome.fail(step.node, origin, error, folder)
        if not moved:
            self._claims.over(row_id)

    def _remove_folder(self, step: RemoveFolder, outcome: Outcome) -> None:
        local, path = self._trees.local.get(step.node), self._claims.path(step.node, self._mover.staged)
        if local is None or path is None or local.kind is not Kind.DIR or self._holds_anything(step.node):
            outcome.drop(step.node, *(() if path is None else (path,)))
            return
        try:
            if not stands(self._files, path, local):
                outcome.drop(step.node, parent_of(path))
                return
            self._files.remove_folder(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                self._is_midway(step.node, error)
                outcome.fail(step.node, path, error, parent_of(path))
                return
            outcome.tell("folder.leftover", path, "It was deleted elsewhere, but is kept here: it holds files that are not synced.")
            outcome.rescan.add(path)
            return
        self._claims.gone(step.node)
        self._claims.touch(parent_of(path))
        outcome.done.append(step.node)

    def _holds_anything(self, folder: NodeId) -> bool:
        """What waits on the stage is no longer in it, though the trees learn that only when it has come to its new place."""
        return any(child.id not in self._mover.staged for child in self._trees.local.children(folder))

    def _is_folder(self, node: NodeId) -> bool:
        local = self._trees.local.get(node)
        return local is not None and local.kind is Kind.DIR
