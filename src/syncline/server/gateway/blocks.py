"""Routes: moving content. Metadata about packs only; their bytes go straight to the object store."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from syncline.protocol.blocks import (
    DoneAnswer,
    DoneRequest,
    GrantAnswer,
    GrantRequest,
    ManifestsAnswer,
    ManifestsRequest,
    MissingAnswer,
    MissingRequest,
    SignedRequest,
)
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked, whole


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    guard = signed_in(services.accounts)

    @post("/v1/blocks/missing", status_code=200, before_request=guard, tags=["blocks"])
    async def missing(request: Asked, data: JSONBody[MissingRequest]) -> MissingAnswer:
        """Which of these blocks the caller must send."""
        return await services.granting.missing(request.user, data)

    @post("/v1/packs", status_code=200, before_request=guard, tags=["blocks"])
    async def grant(request: Asked, data: JSONBody[GrantRequest]) -> GrantAnswer:
        """A presigned PUT for each finished pack."""
        answer = await services.granting.grant(request.user, data)
        _complete([pack.put for pack in answer.packs], services.bytes_base(request))
        return answer

    @post("/v1/packs/done", status_code=200, before_request=guard, tags=["blocks"])
    async def done(request: Asked, data: JSONBody[DoneRequest]) -> DoneAnswer:
        """Has the server ask the store for these packs. Idempotent."""
        return await services.receiving.done(request.user, data)

    @post("/v1/manifests", status_code=200, before_request=guard, tags=["blocks"])
    async def manifests(request: Asked, data: JSONBody[ManifestsRequest]) -> ManifestsAnswer:
        """The blocks of these revisions, where to read them, and their keys."""
        answer = await services.fetching.manifests(request.user, data)
        _complete([pack.get for pack in answer.packs], services.bytes_base(request))
        return answer

    return [missing, grant, done, manifests]


def _complete(requests: Sequence[SignedRequest], base: str) -> None:
    """Makes the URLs whole, in place."""
    for signed in requests:
        signed.url = whole(signed.url, base)
