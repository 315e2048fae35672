"""The gateway put together: Litestar with our routes, request and failures, and the edge around it."""

from __future__ import annotations

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
    failures,
    files,
    identity,
    operation,
    sharing,
    views,
)
from syncline.server.gateway.edge import App, Edge
from syncline.server.gateway.openapi import description
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked


def create_app(services: Services, objects: App, chance: Chance) -> App:
    """The ASGI application. `objects` answers below `/objects/`, bare."""
    rooms = (identity, changes, files, doors, copies, sharing, blocks, views, operation)
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
    return Edge(cast(App, app), objects, chance)
