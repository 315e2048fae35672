"""What is past, at the server, as the command line and programs ask for it. Errors as in `ports.remote`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.past import (
    PurgeAnswer,
    Restored,
    RestoreRequest,
    RetentionAnswer,
    RewindRequest,
    TrashPage,
    TravelAnswer,
    UndeleteAnswer,
    UndeleteRequest,
    UndoRequest,
    VersionsPage,
)


class PastDoors(Protocol):
    """`key` is the Idempotency-Key: the same request under the same key may be repeated."""

    async def versions(self, namespace: NamespaceId, node: NodeId, page: str | None) -> VersionsPage: ...

    async def restore(self, node: NodeId, request: RestoreRequest, *, key: str) -> Restored:
        """Raises `RevisionNotKept`, `NameTaken`."""
        ...

    async def trash(self, namespace: NamespaceId, page: str | None) -> TrashPage: ...

    async def undelete(self, request: UndeleteRequest, *, key: str) -> UndeleteAnswer: ...

    async def purge(self, namespace: NamespaceId, nodes: Sequence[NodeId] | None) -> PurgeAnswer:
        """None: all there is."""
        ...

    async def retention(self, path: str | None) -> RetentionAnswer: ...

    async def rewind(self, request: RewindRequest, *, key: str) -> TravelAnswer:
        """Raises `HistoryExpired`, `NotThereThen`, `Overtaken`."""
        ...

    async def undo(self, request: UndoRequest, *, key: str) -> TravelAnswer:
        """Raises as `rewind` does, and `NotFound` for a changeset there is not."""
        ...
