"""What a rewind and an undo want: for each node concerned, whether it shall be there, where, and with which content.

A rewind wants what stood at a position, whoever changed it since. An undo judges each node by three attributes on their own (is it
there, where, which content): an attribute goes back only if the last to change it was one of the acts that are taken back, to what
it was before them; what anybody else changed later stands, and is named. Whether what is wanted makes a tree is `plan`'s question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.ids import NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.past_store import Story, Touched

T = TypeVar("T")
Under = Callable[[JournalEntry], bool]


class Reason(StrEnum):
    """Why something was left as it is."""

    LATER = "changed.later"
    DELETED_LATER = "deleted.later"
    IN_USE = "folder.in_use"
    PURGED = "purged"
    NOT_KEPT = "revision.not_kept"
    ELSEWHERE = "moved.elsewhere"
    MOUNT = "shared.folder"
    PLACE_GONE = "place.gone"
    CYCLE = "place.cycle"


class Spared(Struct, frozen=True):
    """A node of which something was left as it is; `by` is the row that stands in the way, `place` where it was."""

    node_id: NodeId
    reason: Reason
    by: JournalEntry | None = None
    place: tuple[NodeId, str] | None = None


class Goal(Struct, frozen=True, kw_only=True):
    """How a node shall be. `revision` is the content it shall have, 0 for what it has; `needed` says that it only comes back
    because something in it does."""

    node_id: NodeId
    kind: Kind
    alive: bool
    parent_id: NodeId
    name: str
    revision: int = 0
    needed: bool = False


class Wanted(Struct):
    goals: list[Goal]
    spared: list[Spared]


# -- Rewind ------------------------------------------------------------------------------------------------------------------------


def rewound(touched: Sequence[Touched], top: NodeId, *, under_then: Under, under_now: Under) -> Wanted:
    """Everything that was, or is, below `top` (or is `top`, of which only the content goes back) as it was.

    `under_then` says of a row whether its node lay below `top` in the tree of that time; `under_now` whether it lies below `top`,
    or below what lay there then, in the present tree.
    """
    wanted = Wanted([], [])
    for one in touched:
        before, present = one.before, one.present
        was_in = before is not None and not before.deleted and (one.node_id == top or under_then(before))
        is_in = present is not None and not present.deleted and (one.node_id == top or under_now(present))
        if not was_in and not is_in:
            continue
        if _is_mount(before) or _is_mount(present):
            if not _same_place(before, present):
                wanted.spared.append(Spared(one.node_id, Reason.MOUNT, present))
        elif one.node_id == top:
            if before is not None and present is not None and present.kind is Kind.FILE:
                wanted.goals.append(_as(present, alive=True, revision=before.revision))
        elif was_in and before is not None:
            if present is None and not one.purged:
                wanted.spared.append(Spared(one.node_id, Reason.ELSEWHERE, place=_place(before)))
            else:
                wanted.goals.append(_as(before, alive=True, revision=before.revision))
        elif before is not None and not before.deleted:
            wanted.goals.append(_as(before, alive=True))
        elif present is not None:
            wanted.goals.append(_as(present, alive=False))
    return wanted


def _is_mount(row: JournalEntry | None) -> bool:
    return row is not None and row.mount


def _same_place(before: JournalEntry | None, present: JournalEntry | None) -> bool:
    return before is not None and present is not None and _place(before) == _place(present) and before.deleted == present.deleted


# -- Undo --------------------------------------------------------------------------------------------------------------------------


def undone(stories: Iterable[Story], is_act: Callable[[JournalEntry], bool]) -> Wanted:
    """What takes back the rows that are acts, and spares what others did after them."""
    wanted = Wanted([], [])
    for story in stories:
        rows = [row for row in story.rows if row.op != "settled"]
        if any(row.mount for row in rows) or _is_mount(story.before):
            wanted.spared.append(Spared(story.node_id, Reason.MOUNT, rows[-1] if rows else None))
        elif story.present is None:
            if story.before is not None and not story.before.deleted:
                reason = Reason.PURGED if story.purged else Reason.ELSEWHERE
                wanted.spared.append(Spared(story.node_id, reason, place=_place(story.before)))
        else:
            _undo_one(wanted, story.present, [story.before, *rows], [False, *map(is_act, rows)])
    return wanted


def _undo_one(wanted: Wanted, present: JournalEntry, states: list[JournalEntry | None], acts: list[bool]) -> None:
    alive = _reverted(states, acts, _lives)
    place = _reverted(states, acts, lambda row: None if row is None else _place(row))
    content = _reverted(states, acts, lambda row: None if row is None else row.revision)
    shall_live = _lives(alive.back) if alive.goes_back else _lives(present)
    if not shall_live:
        if present.deleted:
            deleted = max((at for at in range(1, len(states)) if _lives(states[at]) != _lives(states[at - 1])), default=0)
            if deleted and not acts[deleted] and (alive.by is not None or place.goes_back or content.goes_back):
                wanted.spared.append(Spared(present.node_id, Reason.DELETED_LATER, states[deleted]))
            return
        later = _others_after(states, acts)
        if later is not None:
            wanted.spared.append(Spared(present.node_id, Reason.LATER, later))
        else:
            wanted.goals.append(_as(present, alive=False))
        return
    for attribute in (alive, place, content):
        if attribute.by is not None:
            wanted.spared.append(Spared(present.node_id, Reason.LATER, attribute.by))
            break
    where = place.back if place.goes_back and place.back is not None else present
    revision = content.back.revision if content.goes_back and content.back is not None else 0
    if alive.goes_back or where is not present or revision:
        wanted.goals.append(_as(where, alive=True, revision=revision))


class _Verdict(Struct, frozen=True):
    """Whether an attribute goes back, and to which row's (None: to when the node was not there); or whose row keeps it (`by`)."""

    goes_back: bool = False
    back: JournalEntry | None = None
    by: JournalEntry | None = None


def _reverted(states: list[JournalEntry | None], acts: list[bool], value: Callable[[JournalEntry | None], T]) -> _Verdict:
    changed = [at > 0 and value(states[at]) != value(states[at - 1]) for at in range(len(states))]
    if not any(change and act for change, act in zip(changed, acts, strict=True)):
        return _Verdict()
    last = max(at for at, change in enumerate(changed) if change)
    if not acts[last]:
        return _Verdict(by=states[last])
    at = last
    while at > 0 and (acts[at] or not changed[at]):
        at -= 1
    if value(states[at]) == value(states[-1]):
        return _Verdict()
    return _Verdict(goes_back=True, back=states[at])


def _others_after(states: list[JournalEntry | None], acts: list[bool]) -> JournalEntry | None:
    """The last row by somebody else that changed the node after the first act."""
    first = acts.index(True)
    found = None
    for at in range(first + 1, len(states)):
        if not acts[at] and _facts(states[at]) != _facts(states[at - 1]):
            found = states[at]
    return found


# -- Both --------------------------------------------------------------------------------------------------------------------------


def _lives(row: JournalEntry | None) -> bool:
    return row is not None and not row.deleted


def _place(row: JournalEntry) -> tuple[NodeId, str]:
    return row.parent_id, row.name


def _facts(row: JournalEntry | None) -> object:
    return None if row is None else (row.parent_id, row.name, row.revision, row.deleted)


def _as(row: JournalEntry, *, alive: bool, revision: int = 0) -> Goal:
    return Goal(
        node_id=row.node_id,
        kind=row.kind,
        alive=alive,
        parent_id=row.parent_id,
        name=row.name,
        revision=revision if row.kind is Kind.FILE else 0,
    )
