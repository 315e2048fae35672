"""What a device holds at one instant, for checking: its trees, its cursors, and until when it has looked."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from syncline.client.trees.trees import Trees
from syncline.model.ids import NamespaceId
from syncline.ports.tree_store import CursorRow


class Held(Struct, frozen=True, kw_only=True):
    """Copies: an engine may go on meanwhile.

    `seen_until_ns` (wall clock, None for unknown): what changed on the disk before this instant must be in the local tree; what
    changed after it may not be yet. `claims` says that nodes outside `trees.open` are claimed to agree. `resting` says that no
    operation is half done.
    """

    trees: Trees
    cursors: list[CursorRow]
    seen_until_ns: int | None = None
    unquiet: frozenset[str] = frozenset()
    claims: bool = False
    resting: bool = True
    kept_roots: dict[NamespaceId, str] = field(default_factory=dict)
    """The Merkle roots as the engine keeps them in step, where one runs."""


def within(path: str, only: Sequence[str]) -> bool:
    """Whether a path is, or lies in, one of those asked for; none asked for is all."""
    return not only or any(path == each or path.startswith(f"{each}/") or not each for each in only)


def leads_to(path: str, only: Sequence[str]) -> bool:
    """Whether a folder's path is on the way to one of those asked for."""
    return any(each.startswith(f"{path}/") or not path for each in only)
