"""The book of conflicts: written where a conflict copy is claimed, so that one transaction holds the copy and why there is one."""

from __future__ import annotations

from syncline.client.trees.trees import Trees
from syncline.model.conflicts import OpenConflict, Reason
from syncline.model.ids import Digest, NodeId
from syncline.ports.clock import Clock


class ConflictBook:
    """Opens conflicts in the trees, in the name of `device`."""

    def __init__(self, trees: Trees, clock: Clock, device: str) -> None:
        self._trees = trees
        self._clock = clock
        self._device = device

    def open(
        self, reason: Reason, *, copy: NodeId, original: NodeId | None, source: str, copy_path: str, ours: Digest | None
    ) -> None:
        """`copy`, now at `copy_path`, holds what stood at `source` and was meant for the place of `original`. Before the trees
        forget what both had in common."""
        trees = self._trees
        base = trees.synced.get(original) if original is not None else None
        remote = trees.remote.get(original) if original is not None else None
        place = None if original is None else trees.local_path(original) or trees.remote_path(original)
        trees.put_conflict(
            OpenConflict(
                copy=copy,
                original=original,
                reason=reason,
                path=place or source,
                copy_path=copy_path,
                device=self._device,
                time_us=self._clock.now_us(),
                namespace=remote.namespace if remote is not None else None,
                base=base.content_hash if base is not None else None,
                base_revision=base.revision if base is not None else None,
                ours=ours,
                theirs=remote.content_hash if remote is not None else None,
                theirs_revision=remote.revision if remote is not None else None,
            )
        )
