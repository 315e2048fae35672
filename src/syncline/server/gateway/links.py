"""Routes: links, as those see them who make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from syncline.model.ids import NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.links import ChangeLink, CreatedLink, Link, Links, NewLink
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked, whole

Limit = Annotated[int, QueryParameter(ge=1, le=BATCH_MAX)]
DEFAULT_LIMIT = 100


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    links = services.links
    guard = signed_in(services.accounts)

    @post("/v1/links", status_code=201, before_request=guard, tags=["people"])
    async def make(request: Asked, data: JSONBody[NewLink]) -> CreatedLink:
        """A link to a file or folder for people without an account; its URL is told this once."""
        created = await links.make(request.user, data)
        created.url = whole(created.url, services.bytes_base(request))
        return created

    @get("/v1/links", before_request=guard, tags=["people"])
    async def listed(
        request: Asked,
        node_id: FromQuery[NodeId | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Links:
        """Your links, or those that lead to one node: all of them, if it is yours."""
        return await links.list(request.user, node_id, cursor, limit)

    @patch("/v1/links/{link_id:str}", before_request=guard, tags=["people"])
    async def change(request: Asked, link_id: FromPath[str], data: JSONBody[ChangeLink]) -> Link:
        """Changes the password, the expiry or the limit of a link you made."""
        return await links.change(request.user, link_id, data)

    @delete("/v1/links/{link_id:str}", before_request=guard, tags=["people"])
    async def revoke(request: Asked, link_id: FromPath[str]) -> None:
        """Ends a link at once; downloads under way go on."""
        await links.revoke(request.user, link_id)

    return [make, listed, change, revoke]
