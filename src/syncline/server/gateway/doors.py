"""Routes: the tree by path or id, for programs without a synced folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody

from syncline.protocol.doors import DeleteRequest, MoveRequest, NewFolder, Placed, PlacedAnswer
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked

MaybeKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=128, required=False)]
"""Without one a request that is repeated is another request."""


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    doors = services.doors
    guard = signed_in(services.accounts)

    @post("/v1/folders", status_code=201, before_request=guard, tags=["files"])
    async def make_folder(request: Asked, data: JSONBody[NewFolder], idempotency_key: MaybeKey = None) -> Placed:
        """Makes a folder, by path or by the folder it lies in."""
        return await doors.make_folder(request.user, data, idempotency_key)

    @post("/v1/files/move", status_code=200, before_request=guard, tags=["files"])
    async def move(request: Asked, data: JSONBody[MoveRequest], idempotency_key: MaybeKey = None) -> PlacedAnswer:
        """Moves files and folders, also into and out of shared folders; each is answered by itself, in request order."""
        return await doors.move(request.user, data, idempotency_key)

    @post("/v1/files/delete", status_code=200, before_request=guard, tags=["files"])
    async def delete(request: Asked, data: JSONBody[DeleteRequest], idempotency_key: MaybeKey = None) -> PlacedAnswer:
        """Moves files and folders to the trash; each is answered by itself, in request order."""
        return await doors.delete(request.user, data, idempotency_key)

    return [make_folder, move, delete]
