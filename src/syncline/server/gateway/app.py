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
from syncline.server.gateway.services import LinkServices, Operation, Services
from syncline.server.gateway.sockets import admitted
from syncline.server.gateway.wire import Asked


def create_app(
    served: Operation,
    bare: Mapping[str, App],
    chance: Chance,
    *,
    services: Services | None = None,
    waited: Services | None = None,
    linked: LinkServices | None = None,
    sockets: App | None = None,
) -> App:
    """The ASGI application: with `services` a gateway's doors, with `waited` those of whoever waits for news alone, with `linked`
    those of links for people without an account; health in any case. `bare` ones answer by themselves, each below its prefix, such
    as `/objects/`; `sockets` takes whoever asks for a WebSocket."""
    handlers = [*operation.routes(served)]
    if services is not None:
        rooms = (identity, changes, files, doors, copies, sharing, past, views, downloads, links, blocks, uploads)
        handlers += [handler for room in rooms for handler in room.routes(services)]
    elif waited is not None:
        handlers += changes.waits(waited)
    if linked is not None:
        handlers += [*public.routes(linked), *dropping.routes(linked)]
    app = Litestar(
        route_handlers=handlers,
        request_class=Asked,
        exception_handlers={
            SynclineError: failures.respond,
            HTTPException: failures.respond_http,
            Exception: failures.respond_defect,
        },
        openapi_config=description(served.version),
        # The edge bounds bodies, before and after decompression.
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )
    admit = None if served.limits is None else served.limits.address
    if sockets is not None and admit is not None:
        sockets = admitted(sockets, admit, chance)
    return Edge(cast(App, app), bare, chance, sockets, admit)
