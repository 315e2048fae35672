"""Folds what happened to a node within a window into one word and its paths. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from syncline.model.entries import Kind
from syncline.model.journal import JournalEntry
from syncline.server.views.places import Scope, path_of

CREATED: Final = "created"
MODIFIED: Final = "modified"
MOVED: Final = "moved"
DELETED: Final = "deleted"
STATUSES: Final = (CREATED, MODIFIED, MOVED, DELETED)


class Change(Struct, frozen=True, kw_only=True):
    """`entry` is the node's last state in the window; `old` and `new` its paths, None where it was not or is not there. `enters`
    says that it was alive outside the scope before; `renewed` that its bytes are new to the scope."""

    status: str
    entry: JournalEntry
    old: str | None
    new: str | None
    enters: bool = False
    renewed: bool = False


class Prefixes(Struct, frozen=True):
    """Where the namespace lay in the caller's tree before the window, and lies after it."""

    old: str
    new: str


def fold(before: Sequence[JournalEntry], after: Sequence[JournalEntry], scope: Scope, prefixes: Prefixes) -> Change | None:
    """What became of a node, given with what was above it before the window and is after it (nothing where it did not exist). None
    where nothing is to be told: what came and went within the window, or lies elsewhere, or ended as it began."""
    entry = after[0]
    was, now = bool(before) and not before[0].deleted, not entry.deleted
    was_here, is_here = was and scope.holds(before), now and scope.holds(after)
    if not was_here and not is_here:
        return None
    old = path_of(before, prefixes.old) if was else None
    new = path_of(after, prefixes.new) if now else None
    if not was:
        return Change(status=CREATED, entry=entry, old=None, new=new, renewed=True)
    if not now:
        return Change(status=DELETED, entry=entry, old=old, new=None)
    renewed = entry.revision != before[0].revision
    if was_here != is_here:
        return Change(status=MOVED, entry=entry, old=old, new=new, enters=is_here, renewed=is_here)
    if renewed or (entry.kind is Kind.FILE and entry.mtime_us != before[0].mtime_us):
        return Change(status=MODIFIED, entry=entry, old=old, new=new, renewed=renewed)
    if (entry.parent_id, entry.name) != (before[0].parent_id, before[0].name):
        return Change(status=MOVED, entry=entry, old=old, new=new)
    return None
