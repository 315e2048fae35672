"""Paths of nodes that may be deleted, moved about, or hang on what was purged."""

from __future__ import annotations

from collections.abc import Callable

from syncline.model.ids import NodeId
from syncline.model.limits import DEPTH_MAX

Placed = Callable[[NodeId], tuple[NodeId, str] | None]
"""Where a node lies: its folder and its name."""


def path_of(node: NodeId, root: NodeId, placed: Placed) -> str:
    """`/a/b`; `…/b` where a folder above is not known any more."""
    names: list[str] = []
    at = node
    while at != root:
        place = placed(at)
        if place is None or len(names) > DEPTH_MAX:
            return "/".join(("…", *reversed(names)))
        at, name = place
        names.append(name)
    return "/" + "/".join(reversed(names))
