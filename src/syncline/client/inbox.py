"""The conflict inbox: which conflicts stand open, told from the book of this device and from the names of copies that others made.

A conflict closes itself: when both nodes hold the same bytes, and when either is gone for good. Copies that came from other devices
are ordinary files; a name of the shape `x (DEVICE's conflicted copy DATE).ext` opens them here too, as long as there is a file
`x.ext` beside them and its bytes are others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from syncline.client.trees.trees import Trees
from syncline.model.conflicts import OpenConflict, Reason
from syncline.model.entries import Kind, LocalNode
from syncline.model.errors import ConflictNotFound, ManyCopies
from syncline.model.ids import Digest, NodeId
from syncline.model.paths import conflict_origin, join, parent_of
from syncline.protocol.changes import to_time

_WHY: Final = {
    Reason.BOTH_EDITED: "changed here and elsewhere since both last agreed",
    Reason.NAME_TAKEN: "made or moved here, where something else has the name",
    Reason.CASE_TWIN: "its name differs from another's by case or spelling alone",
    Reason.SELECTIVE_SYNC: "made here at a place that is kept off this disk",
    Reason.KEPT_ASIDE: "made or changed here where you may only read",
    Reason.FOUND: "left beside the file by a device where both had changed",
}


class Conflicted(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """A line of the inbox. `path` is where the other version stands, or stood; `copy` holds the version of device `origin`. `why`
    is a sentence for `reason`; sizes are bytes on this disk, None for what is not on it; `base` is the content both started from,
    where it is known."""

    id: NodeId
    path: str
    copy: str
    reason: Reason
    why: str
    origin: str
    time: str | None = None
    size: int | None = None
    copy_size: int | None = None
    base: Digest | None = None
    ours: Digest | None = None
    theirs: Digest | None = None


def close_settled(trees: Trees) -> list[OpenConflict]:
    """Closes what needs nobody any more, and names it."""
    closed = [conflict for conflict in trees.conflicts.values() if _is_over(trees, conflict)]
    for conflict in closed:
        trees.remove_conflict(conflict.copy)
    return [conflict for conflict in closed if not conflict.is_kept]


def _is_over(trees: Trees, conflict: OpenConflict) -> bool:
    copy, original = conflict.copy, conflict.original
    if _is_gone(trees, copy) or (original is not None and _is_gone(trees, original)):
        return True
    return original is not None and not conflict.is_kept and _agree(trees.local.get(copy), trees.local.get(original))


def _is_gone(trees: Trees, node: NodeId) -> bool:
    return node not in trees.local and node not in trees.remote


def _agree(one: LocalNode | None, other: LocalNode | None) -> bool:
    return one is not None and other is not None and one.content_hash is not None and one.content_hash == other.content_hash


# -- Listing ------------------------------------------------------------------------------------------------------------------


def open_conflicts(trees: Trees) -> list[OpenConflict]:
    """Every open conflict, by path."""
    found = [conflict for conflict in trees.conflicts.values() if not conflict.is_kept and not _is_over(trees, conflict)]
    found += [conflict for conflict in _by_name(trees) if not _is_over(trees, conflict)]
    return sorted(found, key=lambda conflict: (place_of(trees, conflict), conflict.copy))


def _by_name(trees: Trees) -> Iterator[OpenConflict]:
    """Copies that no book tells of."""
    for node in trees.local:
        if node.id not in trees.conflicts and node.kind is Kind.FILE:
            found = found_by_name(trees, node)
            if found is not None:
                yield found


def found_by_name(trees: Trees, node: LocalNode) -> OpenConflict | None:
    """The conflict that a copy's name tells of."""
    origin = conflict_origin(node.name)
    path = trees.local_path(node.id)
    if origin is None or path is None:
        return None
    name, device = origin
    keeper = next((each for each in trees.local.keyed(node.parent, trees.key(name)) if each != node.id), None)
    if keeper is None or trees.local[keeper].kind is not Kind.FILE:
        return None
    return OpenConflict(
        copy=node.id,
        original=keeper,
        reason=Reason.FOUND,
        path=join(parent_of(path), name),
        copy_path=path,
        device=device,
        time_us=node.signature.mtime_ns // 1000,
        ours=node.content_hash,
    )


def place_of(trees: Trees, conflict: OpenConflict) -> str:
    """Where the other version is today; where it was, when it is nowhere."""
    known = None if conflict.original is None else trees.local_path(conflict.original) or trees.remote_path(conflict.original)
    return known or conflict.path


def copy_of(trees: Trees, conflict: OpenConflict) -> str:
    return trees.local_path(conflict.copy) or trees.remote_path(conflict.copy) or conflict.copy_path


def inbox(trees: Trees) -> list[Conflicted]:
    """The open conflicts as people and programs see them."""
    return [_told(trees, conflict) for conflict in open_conflicts(trees)]


def _told(trees: Trees, conflict: OpenConflict) -> Conflicted:
    original = None if conflict.original is None else trees.local.get(conflict.original)
    copy = trees.local.get(conflict.copy)
    return Conflicted(
        id=conflict.copy,
        path=place_of(trees, conflict),
        copy=copy_of(trees, conflict),
        reason=conflict.reason,
        why=_WHY[conflict.reason],
        origin=conflict.device,
        time=to_time(conflict.time_us).isoformat(timespec="seconds").replace("+00:00", "Z"),
        size=_size(original),
        copy_size=_size(copy),
        base=conflict.base,
        ours=copy.content_hash if copy is not None else conflict.ours,
        theirs=original.content_hash if original is not None else conflict.theirs,
    )


def _size(node: LocalNode | None) -> int | None:
    return None if node is None or node.kind is Kind.DIR else node.signature.size


# -- Finding one --------------------------------------------------------------------------------------------------------------


def find_conflict(trees: Trees, path: str) -> OpenConflict:
    """The open conflict whose copy or whose original is at `path`. A copy whose bytes are those of its original is found too: it
    can be cleared away. Raises `ConflictNotFound`, `ManyCopies`."""
    opened = open_conflicts(trees)
    by_copy = [conflict for conflict in opened if copy_of(trees, conflict) == path]
    if by_copy:
        return by_copy[0]
    by_place = [conflict for conflict in opened if place_of(trees, conflict) == path]
    if len(by_place) > 1:
        raise ManyCopies(path=path, count=len(by_place))
    if by_place:
        return by_place[0]
    left = _left_over(trees, path)
    if left is None:
        raise ConflictNotFound(path=path)
    return left


def _left_over(trees: Trees, path: str) -> OpenConflict | None:
    """A copy, at `path` or beside it, that says nothing its original does not."""
    node = trees.local.find(path, trees.root)
    if node is None:
        return None
    nearby = [trees.local[node], *trees.local.children(trees.local[node].parent)]
    for each in nearby:
        found = found_by_name(trees, each) if each.kind is Kind.FILE else None
        if found is None or node not in (found.copy, found.original) or trees.conflicts.get(found.copy) is not None:
            continue
        if found.original is not None and _agree(each, trees.local.get(found.original)):
            return found
    return None
