"""Routes: is it alive, can it serve, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from syncline.server.gateway.openapi import as_schema
from syncline.server.gateway.services import Operation
from syncline.server.gateway.wire import Asked


def routes(operation: Operation) -> Sequence[HTTPRouteHandler]:
    @get("/healthz", tags=["operation"], security=[{}])
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @get("/readyz", tags=["operation"], security=[{}])
    async def ready() -> dict[str, str]:
        """The process can serve: its database and store answer, and it is not shutting down."""
        await operation.check_ready()
        return {"status": "ready", "version": operation.version}

    @get("/openapi.json", include_in_schema=False)
    async def schema(request: Asked) -> Response[bytes]:
        return Response(as_schema(request.app), media_type=MediaType.JSON)

    return [alive, ready, schema]
