"""Decides whether a changeset may stand: applies its changes, then judges the final state as a whole.

Changes that name places, content or deletions come first and whole deletions last, whatever their order in the request: only the
final state counts. When changes fail, the rest is tried again without them until nothing new fails; so the failures name every
change that stands in the way, and the others would be accepted if they were sent again alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.model.limits import COMMIT_NODES_MAX, DEPTH_MAX
from syncline.ports.metadata_store import Place
from syncline.protocol.commits import Change, Failure, Op
from syncline.server.metadata.apply import apply
from syncline.server.metadata.drafts import Draft, Node, Overlay, Refusal, present
from syncline.server.metadata.facts import Facts

ATTEMPTS_MAX: Final = 64
"""Each attempt removes a failing change; a changeset that still unravels after so many is refused with what is known by then."""


@dataclass(slots=True)
class Settled:
    """Either the overlay to write, with how deep its nodes lie, or why not."""

    overlay: Overlay
    standing: Standing
    failures: list[Failure]


def settle(facts: Facts, changes: Sequence[Change]) -> Settled:
    failed = {index: _failure(index, changes[index], refusal) for index, refusal in _repeated(changes)}
    for _ in range(ATTEMPTS_MAX):
        overlay, standing, refusals = _attempt(facts, changes, failed)
        if not refusals:
            break
        failed |= {index: _failure(index, changes[index], refusal) for index, refusal in refusals.items()}
    return Settled(overlay, standing, [failed[index] for index in sorted(failed)])


def _attempt(facts: Facts, changes: Sequence[Change], failed: dict[int, Failure]) -> tuple[Overlay, Standing, dict[int, Refusal]]:
    """The overlay of the changes that have not failed yet, how deep its nodes lie, and those of the changes that fail now."""
    tried = [(index, change) for index, change in enumerate(changes) if index not in failed]
    overlay = Overlay(facts, frozenset(change.node_id for _, change in tried if change.op is Op.UNDELETE))
    refusals: dict[int, Refusal] = {}
    for last in (False, True):
        for index, change in tried:
            if (change.op is Op.DELETE) is last:
                try:
                    apply(overlay, index, change)
                except Refusal as refusal:
                    refusals[index] = refusal
    standing = Standing(overlay)
    for index, judged in judge(overlay, standing, changes):
        refusals.setdefault(index, judged)
    return overlay, standing, refusals


def _repeated(changes: Sequence[Change]) -> Iterable[tuple[int, Refusal]]:
    """A node may be moved, edited and undeleted in one changeset, once each; a create or a delete stands alone."""
    ops: dict[NodeId, set[Op]] = defaultdict(set)
    for index, change in enumerate(changes):
        before = ops[change.node_id]
        alone = {change.op, *before} & {Op.CREATE, Op.DELETE}
        if change.op in before or (before and alone):
            yield index, Refusal("request.invalid", "the changeset names this node in another change that excludes this one")
        else:
            before.add(change.op)


def _failure(index: int, change: Change, refusal: Refusal) -> Failure:
    return Failure(
        index=index,
        code=refusal.reason,
        node_id=change.node_id,
        detail=refusal.detail,
        present=refusal.present,
        by=refusal.by,
        hashes=refusal.hashes,
    )


# -- The final state ---------------------------------------------------------------------------------------------------------------


def judge(overlay: Overlay, standing: Standing, changes: Sequence[Change] = ()) -> Iterable[tuple[int, Refusal]]:
    """What stands in the way of the final state, by the index of the draft's change."""
    yield from _judge_names(overlay)
    for draft in overlay.drafts.values():
        if not draft.deleted:
            refusal = _judge_parent(overlay, standing, draft)
            if refusal is not None:
                yield draft.index, refusal
    yield from _judge_emptied(overlay, changes)
    if len(overlay.drafts) > COMMIT_NODES_MAX:
        yield 0, Refusal("limit.exceeded", f"a commit touches at most {COMMIT_NODES_MAX} nodes")


def _judge_names(overlay: Overlay) -> Iterable[tuple[int, Refusal]]:
    """At most one live node has a name key in a folder: among the drafts, and against stored nodes that stay where they are."""
    taken: dict[Place, Draft] = {}
    holders = overlay.facts.holders
    live = [draft for draft in overlay.drafts.values() if not draft.deleted]
    live.sort(key=lambda draft: (draft.placed, draft.index))
    for draft in live:
        place = (draft.parent_id, draft.key)
        other: Node | None = taken.get(place)
        if other is None:
            taken[place] = draft
            holder = holders.get(place)
            if holder is not None and holder not in overlay.drafts:
                other = overlay.facts.nodes[holder]
        if other is not None:
            yield draft.index, Refusal("name.taken", "another node has this name", by=present(other))


def _judge_parent(overlay: Overlay, standing: Standing, draft: Draft) -> Refusal | None:
    if not draft.placed:
        parent = overlay.drafts.get(draft.parent_id)
        return _parent_gone() if parent is not None and parent.deleted else None
    found = standing.of(draft.node_id)
    if found == CYCLE:
        return Refusal("tree.cycle", "a folder would lie inside itself")
    if found == GONE:
        return _parent_gone()
    below = overlay.facts.heights.get(draft.node_id, 0)
    if draft.kind is Kind.DIR and found + below > DEPTH_MAX:
        return Refusal("limit.exceeded", f"folders nest at most {DEPTH_MAX} deep")
    return None


def _parent_gone() -> Refusal:
    return Refusal("parent.gone", "the folder it would lie in does not exist")


def _judge_emptied(overlay: Overlay, changes: Sequence[Change]) -> Iterable[tuple[int, Refusal]]:
    """A folder deleted alone must have lost all its children to the same changeset."""
    counts = overlay.facts.child_counts
    if not counts:
        return
    leaving = Counter(draft.before.parent_id for draft in overlay.drafts.values() if draft.leaves and draft.before is not None)
    for node_id, count in counts.items():
        draft = overlay.drafts.get(node_id)
        if draft is not None and draft.deleted and not changes[draft.index].recursive and count > leaving[node_id]:
            yield draft.index, Refusal("subtree.changed", "the folder is not empty", present=present(draft))


# -- Standing ----------------------------------------------------------------------------------------------------------------------

GONE: Final = -1
CYCLE: Final = -2
ABOVE_CYCLE: Final = -3


class Standing:
    """How deep nodes lie in the final tree: a top-level node at 1, `GONE` where a parent is missing, deleted, a file or a mount
    (what lies there is of another namespace), `CYCLE` on a cycle. Each node is walked once; what merely hangs below a cycle counts
    as deep as the top (the cycle's own nodes fail, and it is judged again without them)."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._known: dict[NodeId, int] = {overlay.facts.root: 0}

    def of(self, node_id: NodeId) -> int:
        known = self._known
        if node_id in known:
            found = known[node_id]
            return 0 if found == ABOVE_CYCLE else found
        path: dict[NodeId, None] = {}
        at = node_id
        while at not in known and at not in path:
            node = self._overlay.look(at)
            if node is None or node.deleted or not self._may_hold(node.parent_id):
                known[at] = GONE
                break
            path[at] = None
            at = node.parent_id
        if at in path:
            steps = list(path)
            known.update(dict.fromkeys(steps[steps.index(at) :], CYCLE))
        depth = known[at]
        for step in reversed(path):
            if step not in known:
                depth = depth + 1 if depth >= 0 else (GONE if depth == GONE else ABOVE_CYCLE)
                known[step] = depth
        found = known[node_id]
        return 0 if found == ABOVE_CYCLE else found

    def _may_hold(self, parent: NodeId) -> bool:
        node = self._overlay.look(parent)
        return node is None or (node.kind is Kind.DIR and not node.mount)
