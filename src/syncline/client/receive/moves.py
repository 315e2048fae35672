"""Moves on disk: renames, and the stage by way of which cycles of moves and changes of case go.

Laws: what moves is compared with the local tree before (a file by all five of its signature, a folder by its inode) and looked at
after, and goes back if something else was caught. Nothing stays on the stage when a plan ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from syncline.client.plan.steps import Relocate, Stage
from syncline.client.receive.claims import Claims
from syncline.client.receive.inflight import Moving, mark_of, same_bytes, same_thing
from syncline.client.receive.outcome import Outcome, problem_of
from syncline.client.receive.root import STAGE
from syncline.client.receive.trash import Trash, hidden_name
from syncline.client.trees.trees import Trees
from syncline.model.conflicts import Reason
from syncline.model.entries import Kind, LocalNode
from syncline.model.ids import NodeId
from syncline.model.paths import join, name_key, name_of, name_problem, parent_of
from syncline.ports.clock import Ids
from syncline.ports.local_files import LocalFiles, Stat


class Hop(Struct, frozen=True):
    """A move, and the row that tells of it. `opens` is false where the row of an earlier hop covers this one too."""

    row_id: str
    effect: Moving
    opens: bool = True


class Mover:
    """Carries out `Relocate` and `Stage`. `staged` tells where nodes are that left their place and have not come to another."""

    def __init__(self, files: LocalFiles, trees: Trees, claims: Claims, trash: Trash, ids: Ids) -> None:
        self._files = files
        self._trees = trees
        self._claims = claims
        self._trash = trash
        self._ids = ids
        self._hops: dict[NodeId, Hop] = {}
        self.staged: dict[NodeId, str] = {}

    def hop(self, step: Relocate | Stage, final: Relocate | None, earlier: Mapping[NodeId, Hop]) -> Hop | None:
        """What to write down before a move. `final` is the move that a stage leads to, `earlier` what the same run stages."""
        local, path = self._trees.local.get(step.node), self._claims.path(step.node, self.staged)
        if local is None or path is None:
            return None
        known = earlier.get(step.node) or self._hops.get(step.node)
        if known is not None:
            return replace(known, opens=False)
        row_id = self._ids.fresh()
        staged = isinstance(step, Stage) or _changes_spelling_only(step, local)
        return Hop(
            row_id,
            Moving(
                node=step.node,
                source=path,
                stage=join(STAGE, hidden_name(row_id, local.name)) if staged else None,
                parent=None if final is None else final.parent,
                name=None if final is None else final.name,
                new_id=None if final is None else final.new_id,
                fresh=msgspec.json.encode(final.fresh).decode() if final is not None and final.fresh else None,
                conflict=None if final is None else final.conflict,
                beside=None if final is None else final.beside,
                left=final is not None and final.left,
                **mark_of(local.signature),
            ),
        )

    def relocate(self, step: Relocate, hop: Hop | None, outcome: Outcome) -> None:
        local = self._trees.local.get(step.node)
        folder = self._claims.folder_path(step.parent, self.staged)
        if local is None or hop is None:
            outcome.drop(step.node)
            return
        moving, on_stage = hop.effect, step.node in self._hops
        if not on_stage and not hop.opens:
            return  # Its first hop was not made, and said so.
        home = parent_of(moving.source)
        if folder is None or (step.new_id is not None and step.new_id in self._trees.local):
            self._end(hop, on_stage)
            outcome.drop(step.node, home)
            return
        target = join(folder, step.name)
        problem = name_problem(step.name)
        if problem is not None:
            self._end(hop, on_stage)
            outcome.tell("name.invalid", target, f"{step.name!r} cannot be a name here: {problem}.")
            return
        try:
            now = self._rename(local, moving, target, on_stage=on_stage)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            self._end(hop, on_stage)
            outcome.fail(step.node, target, error, home, folder)
            return
        except OSError as error:
            # The disk failed in its midst: what came of it is found out before anything else is done.
            outcome.fail(step.node, target, error, home, folder)
            return
        self._end(hop, on_stage)
        if now is None:
            outcome.drop(step.node, home, folder)
            return
        if on_stage:
            self._unstage(step.node)
        self._claims.touch(home, folder)
        self.claim_move(moving, step.parent, step.name, now)
        outcome.done.append(step.node)

    def _end(self, hop: Hop, on_stage: bool) -> None:
        """The row of a move by way of the stage stays until it has left there."""
        if not on_stage:
            self._claims.over(hop.row_id)

    def _rename(self, local: LocalNode, moving: Moving, target: str, *, on_stage: bool) -> Stat | None:
        """Moves what `local` is to `target`, from its place or from the stage. None when it was not there, or when something else
        was caught and given back."""
        source = moving.source
        if on_stage:
            assert moving.stage is not None
            source = moving.stage
        elif not stands(self._files, source, local):
            return None
        if source == target:
            return self._files.stat(target)
        via = None if on_stage else moving.stage
        if via is not None:
            self._files.rename(source, via)
            try:
                self._files.rename(via, target)
            except OSError:
                self._files.rename(via, source)
                raise
        else:
            self._files.rename(source, target)
        now = self._files.stat(target)
        if is_same(now, local):
            return now
        self._files.rename(target, source)
        return None

    def claim_move(self, moving: Moving, parent: NodeId, name: str, now: Stat) -> None:
        """The trees follow a rename that happened."""
        claims, node = self._claims, moving.node
        known = self._trees.local.get(node)
        if moving.conflict is not None and known is not None:
            claims.conflicts.open(
                Reason(moving.conflict),
                copy=moving.new_id or node,
                original=moving.beside,
                source=moving.source,
                copy_path=join(self._trees.local_path(parent) or "", name),
                ours=known.content_hash,
            )
        if moving.new_id is not None:
            claims.renamed(node, moving.new_id, left=moving.left)
            node = moving.new_id
        for old, new in msgspec.json.decode(moving.fresh or "[]", type=list[tuple[NodeId, NodeId]]):
            claims.renamed(old, new, left=moving.left)
        local = self._trees.local.get(node)
        if local is not None:
            claims.moved(local, parent, name, now)

    def stage(self, step: Stage, hop: Hop | None, outcome: Outcome) -> None:
        local = self._trees.local.get(step.node)
        if local is None or hop is None or hop.effect.stage is None:
            outcome.drop(step.node)
            return
        source, stage = hop.effect.source, hop.effect.stage
        self._claims.touch(parent_of(source), STAGE)
        try:
            if stands(self._files, source, local):
                self._files.rename(source, stage)
                if is_same(self._files.stat(stage), local):
                    self._hops[step.node] = hop
                    self.staged[step.node] = stage
                    return
                self._files.rename(stage, source)
            outcome.drop(step.node, parent_of(source))
        except OSError as error:
            # As above: its row stays open.
            outcome.fail(step.node, source, error, parent_of(source))
            return
        self._claims.over(hop.row_id)

    def _unstage(self, node: NodeId) -> None:
        self._claims.over(self._hops.pop(node).row_id)
        del self.staged[node]
        self._claims.touch(STAGE)

    def clear_stage(self, outcome: Outcome) -> None:
        """What could not go on from the stage goes back to where it came from."""
        # The last to come is the first to go: it may belong into another that waits here too.
        for node, hop in reversed(list(self._hops.items())):
            source = hop.effect.source
            try:
                self.bring_back(node, self.staged[node], source)
            except OSError as error:
                outcome.problems.append(problem_of(error, source))
                del self._hops[node], self.staged[node]
            else:
                self._unstage(node)
            if node not in outcome.stale:
                outcome.drop(node)
            outcome.rescan.add(parent_of(source))
        self._claims.commit()

    def forget(self) -> None:
        """What is on the stage is the recovery's from now on, which goes by the rows."""
        self._hops.clear()
        self.staged.clear()

    def bring_back(self, node: NodeId, stage: str, source: str) -> str:
        """From the stage to its old place; to a conflict name beside it where that is taken. Where it is now."""
        local = self._trees.local.get(node)
        try:
            self._files.rename(stage, source)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            path = self._trash.revive(stage, source)
            if local is not None:
                self._rename_ours(local, path)
            return path
        self._claims.touch(STAGE, parent_of(source))
        if local is not None and self._trees.local.find_folder(parent_of(source), self._trees.root) != local.parent:
            # Another folder has that path by now: it is in that one, where it would else be found as somebody's new file.
            self._rename_ours(local, source)
        elif local is not None:
            now = self._files.stat(source)
            # A program that holds it open may have written to it meanwhile.
            content_hash = local.content_hash if is_same(now, local) else None
            self._trees.put_local(replace(local, signature=now.signature, content_hash=content_hash))
        return source

    def _rename_ours(self, local: LocalNode, path: str) -> None:
        """The engine gave it that place, for want of its own: the base follows, or it would read as a move of the user's."""
        trees, now = self._trees, self._files.stat(path)
        parent = trees.local.find_folder(parent_of(path), trees.root)
        if parent is None:
            return
        content_hash = local.content_hash if is_same(now, local) else None
        here = {"parent": parent, "name": name_of(path)}
        trees.put_local(replace(local, signature=now.signature, content_hash=content_hash, **here))
        base = trees.synced.get(local.id)
        if base is not None and (base.parent, base.name) == (local.parent, local.name):
            trees.put_synced(replace(base, **here))


def _changes_spelling_only(step: Relocate, local: LocalNode) -> bool:
    """Whether only case or normalisation changes: on a disk that does not tell them apart, which may hold for some of its folders
    alone, such a rename would find its own target taken."""
    return step.parent == local.parent and name_key(step.name) == name_key(local.name)


def stands(files: LocalFiles, path: str, local: LocalNode) -> bool:
    """Whether `path` still is what the local tree says."""
    now = files.stat(path)
    if now.kind is not local.kind:
        return False
    return same_thing(now.signature, local.signature) if now.kind is Kind.DIR else now.signature == local.signature


def is_same(now: Stat, local: LocalNode) -> bool:
    """The same thing after a rename, which changes its ctime."""
    if now.kind is not local.kind:
        return False
    same = same_thing if now.kind is Kind.DIR else same_bytes
    return same(now.signature, local.signature)


def refuse_place(files: LocalFiles, node: NodeId, path: str, folder: str, outcome: Outcome) -> None:
    """Something stands where `node` should go that the local tree does not know: observe anew, or say what it is if observing would
    never tell."""
    outcome.drop(node, folder)
    try:
        kind = files.stat(path).kind
    except OSError:
        return
    if kind is None:
        outcome.tell("place.taken", path, "A link or special file, which is not synced, stands where a synced one should.")
