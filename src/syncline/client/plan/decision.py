"""What should become of one node: the outcome of the decision table for it, before it is known what can be done at once.

A decision names the node's place and content in the *target* tree, the state both sides should reach. Decisions are made from the
node's own changes first (`decide`), then corrected where nodes touch each other (`target`, `collide`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from syncline.model.conflicts import Reason
from syncline.model.entries import FILE, Kind, LocalNode, RemoteNode, SyncedNode
from syncline.model.ids import NodeId


class Place(IntEnum):
    """Where the target place comes from."""

    SAME = 0
    LOCAL = 1
    REMOTE = 2
    FROZEN = 3
    """The sides' places differ, and stay so: the local one cannot be told to the server (its name, its depth)."""
    CONFLICT = 4
    """A new name next to what keeps the old one."""


class Content(IntEnum):
    KEEP = 0
    PUSH = 1
    FETCH = 2
    ASIDE = 3
    """Fetch, and keep the local bytes as a conflict copy."""
    HASH = 4
    """Undecided until the local content is known."""
    WAIT = 5
    """Undecided until the server knows the remote content's hash."""
    MERGE = 6
    """Both edited a text: try to merge them."""


SAME: Final = Place.SAME
LOCAL: Final = Place.LOCAL
REMOTE: Final = Place.REMOTE
FROZEN: Final = Place.FROZEN
CONFLICT: Final = Place.CONFLICT
KEEP: Final = Content.KEEP
PUSH: Final = Content.PUSH
FETCH: Final = Content.FETCH
ASIDE: Final = Content.ASIDE
HASH: Final = Content.HASH
WAIT: Final = Content.WAIT
MERGE: Final = Content.MERGE


class Decision:
    """Mutable while a plan is made, and never outlives it. `there`, `here` and `base` are the node in the remote, local and
    synced tree; `parent` and `name` its place in the target tree."""

    __slots__ = (
        "base",
        "beside",
        "conflict",
        "content",
        "executable",
        "exists",
        "forced",
        "held",
        "here",
        "id",
        "key",
        "kind",
        "name",
        "parent",
        "place",
        "push_executable",
        "set_executable",
        "there",
        "why",
    )

    def __init__(
        self, node_id: NodeId, there: RemoteNode | None, here: LocalNode | None, base: SyncedNode | None, why: str
    ) -> None:
        self.id = node_id
        self.there = there
        self.here = here
        self.base = base
        node = here or there or base
        assert node is not None
        self.kind: Kind = node.kind
        self.exists = True
        self.forced = False
        """Exists only because something below it does."""
        self.held = False
        """Nothing is planned for it in this round; it stays where it is on both sides."""
        self.parent: NodeId = node.parent
        self.name: str = node.name
        self.key: str = ""
        self.place = SAME
        self.content = KEEP
        self.executable: bool | None = None
        self.push_executable = False
        self.set_executable = False
        self.why = why
        self.conflict: Reason | None = None
        self.beside: NodeId | None = None
        """At a `Place.CONFLICT`: why, and what keeps the old name."""

    @property
    def absent(self) -> bool:
        """Decided to be gone from both sides."""
        return not self.exists and not self.held


# -- Cells: what happened on a side, as the tables call it ---------------------------------------------------------------

NONE: Final = 0
EDIT: Final = 1
MOVE: Final = 2
MOVE_EDIT: Final = 3
DELETE: Final = 4
NEW: Final = 5
ABSENT: Final = 6
EXCLUDED: Final = "excluded"
"""In place of a cell: kept off this disk."""
_SIDES: Final = ("none", "edit", "move", "move+edit", "delete", "new", "absent")
CELLS: Final = tuple(tuple(f"{local}/{remote}" for remote in _SIDES) for local in _SIDES)
FOLDER_CELLS: Final = tuple(tuple(f"folder {local}/{remote}" for remote in _SIDES) for local in _SIDES)


def local_change(here: LocalNode | None, base: SyncedNode | None) -> int:
    """The row of the table. A content that is not known counts as an edit."""
    if here is None:
        return ABSENT if base is None else DELETE
    if base is None:
        return NEW
    change = MOVE if here.parent != base.parent or here.name != base.name else NONE
    if here.kind is FILE:
        bit = here.executable is not None and here.executable != base.executable
        if bit or here.content_hash is None or here.content_hash != base.content_hash:
            change |= EDIT
    return change


def remote_change(there: RemoteNode | None, base: SyncedNode | None) -> int:
    """The column of the table."""
    if there is None:
        return ABSENT if base is None else DELETE
    if base is None:
        return NEW
    change = MOVE if there.parent != base.parent or there.name != base.name else NONE
    if there.kind is FILE and (remote_content_changed(there, base) or there.executable != base.executable):
        change |= EDIT
    return change


def remote_content_changed(there: RemoteNode, base: SyncedNode) -> bool:
    """A revision whose hash the server does not know yet is told by its number."""
    if there.content_hash is None:
        return there.revision != base.revision
    return there.content_hash != base.content_hash
