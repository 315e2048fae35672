"""What is past: versions, trash, retention, and going back."""

from __future__ import annotations

from typing import Protocol

from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.past import (
    PurgeAnswer,
    PurgeRequest,
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
from syncline.server.caller import Caller
from syncline.server.rooms.marks import keyed, safe


class VersionsRoom(Protocol):
    """`server.past.versions.Versions`."""

    @safe
    async def page(
        self, caller: Caller, namespace: NamespaceId | None, node: NodeId, page: str | None, limit: int = BATCH_MAX
    ) -> VersionsPage: ...

    @keyed("key")
    async def restore(self, caller: Caller, node: NodeId, request: RestoreRequest, key: str) -> Restored: ...


class TrashRoom(Protocol):
    """`server.past.trash.Trash`."""

    @safe
    async def page(self, caller: Caller, namespace: NamespaceId | None, page: str | None, limit: int = BATCH_MAX) -> TrashPage: ...

    @keyed("key")
    async def undelete(self, caller: Caller, request: UndeleteRequest, key: str) -> UndeleteAnswer: ...

    @safe
    async def purge(self, caller: Caller, request: PurgeRequest) -> PurgeAnswer:
        """Purging what is gone already is done at once."""
        ...


class RetentionRoom(Protocol):
    """`server.past.explain.Explaining`."""

    @safe
    async def explain(
        self, caller: Caller, path: str | None, node: NodeId | None, namespace: NamespaceId | None
    ) -> RetentionAnswer: ...


class TravelRoom(Protocol):
    """`server.past.travel.travel.Travel`."""

    @keyed("key")
    async def rewind(self, caller: Caller, request: RewindRequest, key: str) -> TravelAnswer: ...

    @keyed("key")
    async def undo(self, caller: Caller, request: UndoRequest, key: str) -> TravelAnswer: ...
