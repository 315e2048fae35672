"""Routes: copies without bytes."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from syncline.protocol.copies import CopyAnswer, CopyRequest
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.doors import MaybeKey
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    copies = services.copies
    guard = signed_in(services.accounts)

    @post("/v1/files/copy", status_code=200, before_request=guard, tags=["files"])
    async def copy(request: Asked, data: JSONBody[CopyRequest], idempotency_key: MaybeKey = None) -> CopyAnswer:
        """Copies files, and folders with all in them, also into shared folders: new ids, no bytes; each is answered by itself."""
        return await copies.copy(request.user, data, idempotency_key)

    return [copy]
