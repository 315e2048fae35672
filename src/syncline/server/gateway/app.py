"""The gateway put together: Litestar with our routes, request and failures, and the edge around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from litestar import Litestar
from litestar.exceptions import HTTPException

from syncline.model.errors import SynclineError
from syncline.ports.clock import Chance
from syncline.server.gateway import (
    blocks,
    changes,
    copies,
    doors,
    downloads,
    dropping,
    failures,
    files,
    identity,
    links,
    operation,
    past,
    public,
    sharing,
    uploads,
    views,
)
from syncline.server.gateway.edge import App, Edge
from syncline.server.gateway.openapi import description
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked


def create_app(services: Services, bare: Mapping[str, App], chance: Chance, sockets: App | None = None) -> App:
    """The ASGI application. `bare` ones answer by themselves, each below its prefix, such as `/objects/`; `sockets` takes whoever
    asks for a WebSocket."""
    rooms = (
        *(identity, changes, files, doors, copies, sharing, past, views),
        *(downloads, links, public, dropping, blocks, uploads, operation),
    )
    app = Litestar(
        route_handlers=[handler for room in rooms for handler in room.routes(services)],
        request_class=Asked,
        exception_handlers={
            SynclineError: failures.respond,
            HTTPException: failures.respond_http,
            Exception: failures.respond_defect,
        },
        openapi_config=description(services.version),
        # The edge bounds bodies, before and after decompression.
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )
    admit = None if services.limits is None else services.limits.address
    return Edge(cast(App, app), bare, chance, sockets, admit)
