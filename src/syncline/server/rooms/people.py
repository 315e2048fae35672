"""People: who they are, what they share with each other, and the links they make."""

from __future__ import annotations

from typing import Any, Protocol

from syncline.model.ids import DeviceId, NamespaceId, NodeId
from syncline.protocol import sharing as wire
from syncline.protocol.links import ChangeLink, CreatedLink, Link, Links, NewLink
from syncline.protocol.sessions import Devices, Namespaces, TokenAnswer, TokenRequest
from syncline.server.accounts.sessions import Session
from syncline.server.caller import Caller
from syncline.server.rooms.marks import safe


class AccountsRoom(Protocol):
    """`server.accounts.sessions.Accounts`."""

    async def sign_in(self, request: TokenRequest, address: str) -> TokenAnswer: ...

    @safe
    async def refresh(self, token: str) -> TokenAnswer:
        """May be asked again: the token that was just replaced still gets a pair."""
        ...

    @safe
    async def authenticate(self, token: str) -> Session: ...

    @safe
    async def live(self, device_id: DeviceId) -> Session: ...

    @safe
    async def devices(self, caller: Caller) -> Devices: ...

    async def unlink(self, caller: Caller, device_id: DeviceId) -> None: ...

    @safe
    async def jwks(self) -> dict[str, Any]: ...

    @safe
    async def server_id(self) -> str: ...


class SharingRoom(Protocol):
    """`server.sharing.service.Sharing`."""

    async def share(self, caller: Caller, node: NodeId, request: wire.ShareRequest) -> wire.ShareAnswer: ...

    @safe
    async def shared_with(self, caller: Caller, node: NodeId, namespace: NamespaceId | None) -> wire.SharedWith: ...

    async def unshare(
        self, caller: Caller, node: NodeId, namespace: NamespaceId | None, email: str | None
    ) -> wire.UnshareAnswer: ...

    @safe
    async def shared(self, caller: Caller) -> wire.Shared: ...

    @safe
    async def namespaces(self, caller: Caller) -> Namespaces: ...

    async def accept(self, caller: Caller, namespace: NamespaceId, request: wire.MountRequest) -> wire.Mounted: ...

    async def decline(self, caller: Caller, namespace: NamespaceId) -> None: ...

    async def leave(self, caller: Caller, namespace: NamespaceId) -> None: ...

    async def mount(self, caller: Caller, namespace: NamespaceId, request: wire.MountRequest) -> wire.Mounted: ...

    async def unmount(self, caller: Caller, namespace: NamespaceId) -> wire.Mounted: ...


class LinksRoom(Protocol):
    """`server.links.links.LinkBook`."""

    async def make(self, caller: Caller, wanted: NewLink) -> CreatedLink: ...

    @safe
    async def list(self, caller: Caller, node: NodeId | None, cursor: str | None, limit: int) -> Links: ...

    @safe
    async def change(self, caller: Caller, link: str, change: ChangeLink) -> Link: ...

    async def revoke(self, caller: Caller, link: str) -> None: ...
