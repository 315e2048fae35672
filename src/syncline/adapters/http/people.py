"""`ports.remote_people` over HTTP: one method a door. What was done once stays done when it is asked again, so all but leaving and
declining may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from syncline.adapters.http.caller import Caller
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.doors import Move, MoveRequest, PlacedAnswer
from syncline.protocol.sharing import (
    Mounted,
    MountRequest,
    ShareAnswer,
    Shared,
    SharedWith,
    ShareRequest,
    ShareUser,
    UnshareAnswer,
)


class HttpDoors:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def move(self, files: Sequence[Move], *, key: str) -> PlacedAnswer:
        body = MoveRequest(files=list(files))
        return await self._caller.call("POST", "/v1/files/move", PlacedAnswer, body, headers={"Idempotency-Key": key})


class HttpPeople:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def share(self, node: NodeId, users: Sequence[ShareUser], *, namespace: NamespaceId | None = None) -> ShareAnswer:
        body = ShareRequest(users=list(users), namespace=namespace)
        return await self._caller.call("POST", _share(node), ShareAnswer, body)

    async def shared_with(self, node: NodeId, *, namespace: NamespaceId | None = None) -> SharedWith:
        return await self._caller.call("GET", _share(node), SharedWith, params=_given(namespace=namespace))

    async def unshare(self, node: NodeId, *, email: str | None, namespace: NamespaceId | None = None) -> UnshareAnswer:
        params = _given(email=email, namespace=namespace)
        return await self._caller.call("DELETE", _share(node), UnshareAnswer, params=params, repeatable=False)

    async def shared(self) -> Shared:
        return await self._caller.call("GET", "/v1/shared", Shared)

    async def accept(self, share: NamespaceId, place: MountRequest) -> Mounted:
        return await self._caller.call("POST", _door(share, "accept"), Mounted, place)

    async def decline(self, share: NamespaceId) -> None:
        await self._caller.call("POST", _door(share, "decline"), type(None), repeatable=False)

    async def leave(self, share: NamespaceId) -> None:
        await self._caller.call("POST", _door(share, "leave"), type(None), repeatable=False)

    async def mount(self, share: NamespaceId, place: MountRequest) -> Mounted:
        return await self._caller.call("POST", _door(share, "mount"), Mounted, place)

    async def unmount(self, share: NamespaceId) -> Mounted:
        return await self._caller.call("POST", _door(share, "unmount"), Mounted)


def _share(node: NodeId) -> str:
    return f"/v1/files/{quote(node, safe='')}/share"


def _door(share: NamespaceId, act: str) -> str:
    return f"/v1/shares/{quote(share, safe='')}/{act}"


def _given(**params: str | None) -> dict[str, str]:
    return {name: value for name, value in params.items() if value is not None}
