"""Trees: their nodes and journals, and what changes them."""

from __future__ import annotations

from typing import Protocol

from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.metadata_store import Usage
from syncline.protocol import doors as wire
from syncline.protocol import tree
from syncline.protocol.changes import ChangesPage, LatestAnswer, SnapshotPage
from syncline.protocol.commits import CommitAnswer, CommitRequest
from syncline.protocol.copies import CopyAnswer, CopyRequest
from syncline.server.caller import Caller
from syncline.server.rooms.marks import keyed, safe


class MetadataRoom(Protocol):
    """`server.metadata.service.Metadata`, as far as gateways ask it."""

    @keyed("key")
    async def commit(self, caller: Caller, request: CommitRequest, key: str) -> CommitAnswer: ...

    @safe
    async def changes(
        self, caller: Caller, namespace: NamespaceId | None, cursor: str | None, limit: int = BATCH_MAX
    ) -> ChangesPage: ...

    @safe
    async def snapshot(
        self, caller: Caller, namespace: NamespaceId | None, page: str | None, limit: int = BATCH_MAX
    ) -> SnapshotPage: ...

    @safe
    async def latest(self, caller: Caller, namespace: NamespaceId | None = None) -> LatestAnswer: ...

    @safe
    async def metadata_by_path(self, caller: Caller, path: str, namespace: NamespaceId | None = None) -> tree.Metadata: ...

    @safe
    async def metadata_by_id(self, caller: Caller, node: NodeId, namespace: NamespaceId | None = None) -> tree.Metadata: ...

    @safe
    async def children(
        self, caller: Caller, namespace: NamespaceId | None, folder: NodeId, page: str | None = None, limit: int = BATCH_MAX
    ) -> tree.ChildrenPage: ...

    @safe
    async def usage(self, caller: Caller) -> Usage: ...


class DoorsRoom(Protocol):
    """`server.metadata.doors.Doors`."""

    @keyed("key")
    async def make_folder(self, caller: Caller, request: wire.NewFolder, key: str | None) -> wire.Placed: ...

    @keyed("key")
    async def move(self, caller: Caller, request: wire.MoveRequest, key: str | None) -> wire.PlacedAnswer: ...

    @keyed("key")
    async def delete(self, caller: Caller, request: wire.DeleteRequest, key: str | None) -> wire.PlacedAnswer: ...


class CopiesRoom(Protocol):
    """`server.tree.copies.Copies`."""

    @keyed("key")
    async def copy(self, caller: Caller, request: CopyRequest, key: str | None) -> CopyAnswer: ...
