"""The server's doors for people, and those that change its tree by path or id. Errors are those of `ports.remote`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.doors import Move, PlacedAnswer
from syncline.protocol.sharing import Mounted, MountRequest, ShareAnswer, Shared, SharedWith, ShareUser, UnshareAnswer


class RemoteDoors(Protocol):
    async def move(self, files: Sequence[Move], *, key: str) -> PlacedAnswer:
        """Each by itself, in order, also between namespaces; the same under the same key is done once."""
        ...


class RemotePeople(Protocol):
    async def share(self, node: NodeId, users: Sequence[ShareUser], *, namespace: NamespaceId | None = None) -> ShareAnswer: ...

    async def shared_with(self, node: NodeId, *, namespace: NamespaceId | None = None) -> SharedWith: ...

    async def unshare(self, node: NodeId, *, email: str | None, namespace: NamespaceId | None = None) -> UnshareAnswer: ...

    async def shared(self) -> Shared: ...

    async def accept(self, share: NamespaceId, place: MountRequest) -> Mounted: ...

    async def decline(self, share: NamespaceId) -> None: ...

    async def leave(self, share: NamespaceId) -> None: ...

    async def mount(self, share: NamespaceId, place: MountRequest) -> Mounted: ...

    async def unmount(self, share: NamespaceId) -> Mounted: ...
