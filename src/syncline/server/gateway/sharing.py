"""Routes: people. Sharing folders and files, and what those do who are invited."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.sharing import Mounted, MountRequest, ShareAnswer, Shared, SharedWith, ShareRequest, UnshareAnswer
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    sharing = services.sharing
    guard = signed_in(services.accounts)

    @post("/v1/files/{file:str}/share", status_code=200, before_request=guard, tags=["people"])
    async def share(request: Asked, file: FromPath[str], data: JSONBody[ShareRequest]) -> ShareAnswer:
        """Shares a folder (it becomes a shared one, and these people are invited) or a single file (it is granted to them). Asking
        again changes what they may do; `owner` hands a shared folder over. Each person is answered by themselves."""
        return await sharing.share(request.user, NodeId(file), data)

    @get("/v1/files/{file:str}/share", before_request=guard, tags=["people"])
    async def shared_with(request: Asked, file: FromPath[str], namespace: FromQuery[NamespaceId | None] = None) -> SharedWith:
        """With whom a folder or file is shared."""
        return await sharing.shared_with(request.user, NodeId(file), namespace)

    @delete("/v1/files/{file:str}/share", status_code=200, before_request=guard, tags=["people"])
    async def unshare(
        request: Asked, file: FromPath[str], email: FromQuery[str | None] = None, namespace: FromQuery[NamespaceId | None] = None
    ) -> UnshareAnswer:
        """Ends it for one person, or for everybody but the owner. It holds at once: on every door, and for what waits."""
        return await sharing.unshare(request.user, NodeId(file), namespace, email)

    @get("/v1/shared", before_request=guard, tags=["people"])
    async def shared(request: Asked) -> Shared:
        """What is shared with the caller: folders, mounted or not, invitations, single files; and the files the caller shared."""
        return await sharing.shared(request.user)

    @post("/v1/shares/{share:str}/accept", status_code=200, before_request=guard, tags=["people"])
    async def accept(request: Asked, share: FromPath[str], data: JSONBody[MountRequest]) -> Mounted:
        """Takes up an invitation and puts the folder into the caller's tree."""
        return await sharing.accept(request.user, NamespaceId(share), data)

    @post("/v1/shares/{share:str}/decline", status_code=204, before_request=guard, tags=["people"])
    async def decline(request: Asked, share: FromPath[str]) -> None:
        """Turns an invitation down."""
        await sharing.decline(request.user, NamespaceId(share))

    @post("/v1/shares/{share:str}/leave", status_code=204, before_request=guard, tags=["people"])
    async def leave(request: Asked, share: FromPath[str]) -> None:
        """Ends the caller's own membership. The owner hands the folder over first."""
        await sharing.leave(request.user, NamespaceId(share))

    @post("/v1/shares/{share:str}/mount", status_code=200, before_request=guard, tags=["people"])
    async def mount(request: Asked, share: FromPath[str], data: JSONBody[MountRequest]) -> Mounted:
        """Puts a shared folder the caller is a member of into their tree, again or elsewhere."""
        return await sharing.mount(request.user, NamespaceId(share), data)

    @post("/v1/shares/{share:str}/unmount", status_code=200, before_request=guard, tags=["people"])
    async def unmount(request: Asked, share: FromPath[str]) -> Mounted:
        """Takes a shared folder out of the caller's tree. They stay a member, and nothing in it is deleted."""
        return await sharing.unmount(request.user, NamespaceId(share))

    return [share, shared_with, unshare, shared, accept, decline, leave, mount, unmount]
