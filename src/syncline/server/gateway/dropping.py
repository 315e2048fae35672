"""Routes: large files dropped through a link in parts, as plain uploads are (`gateway.uploads`), by whoever has the link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from syncline.model.errors import SynclineError
from syncline.protocol.links import DropCompleted, DropRequest, DropStatus
from syncline.protocol.uploads import CompleteRequest, PartUrl, PartUrls, UploadAnswer
from syncline.server.gateway.public import BARS, drop_only, key_of, refused
from syncline.server.gateway.services import LinkServices
from syncline.server.gateway.uploads import FromPart
from syncline.server.gateway.wire import Asked, whole
from syncline.server.links.reaching import Visit


def routes(services: LinkServices) -> Sequence[HTTPRouteHandler]:
    uploads = services.uploads
    public: dict[str, Any] = {"tags": ["links"], "security": [{}], "exception_handlers": {SynclineError: refused}}

    async def entered(request: Asked, token: str) -> Visit:
        return drop_only(await services.links.enter(token, key_of(request)))

    def base(request: Asked) -> str:
        return request.base(services.public_url)

    def complete_urls(request: Asked, parts: Sequence[PartUrl]) -> None:
        for part in parts:
            part.url = whole(part.url, base(request))

    @post("/s/{token:str}/uploads", status_code=200, **public)
    async def begin_drop(request: Asked, token: FromPath[str], data: JSONBody[DropRequest]) -> Response[UploadAnswer]:
        """Begins to drop files in parts: where to PUT each part, and where to say that all were sent."""
        answer = await uploads.begin(token, await entered(request, token), data)
        for one in answer.files:
            complete_urls(request, one.part_urls)
            one.next_parts = one.next_parts and whole(one.next_parts, base(request))
            one.complete_url = one.complete_url and whole(one.complete_url, base(request))
        return Response(answer, headers=BARS)

    @get("/s/{token:str}/uploads/{upload:str}", **public)
    async def drop_status(request: Asked, token: FromPath[str], upload: FromPath[str]) -> Response[DropStatus]:
        """What of a file has arrived, and what is missing: go on from here."""
        found = await uploads.status(token, await entered(request, token), upload)
        found.next_parts = found.next_parts and whole(found.next_parts, base(request))
        found.complete_url = whole(found.complete_url, base(request))
        return Response(found, headers=BARS)

    @get("/s/{token:str}/uploads/{upload:str}/parts", **public)
    async def drop_parts(
        request: Asked, token: FromPath[str], upload: FromPath[str], from_part: FromPart = 1, missing: FromQuery[bool] = False
    ) -> Response[PartUrls]:
        """More part URLs, from a number on; with `missing` only those of parts that have not arrived."""
        found = await uploads.part_urls(token, await entered(request, token), upload, from_part, only_missing=missing)
        complete_urls(request, found.part_urls)
        found.next_parts = found.next_parts and whole(found.next_parts, base(request))
        return Response(found, headers=BARS)

    @post("/s/{token:str}/uploads/{upload:str}/complete", status_code=200, **public)
    async def complete_drop(
        request: Asked, token: FromPath[str], upload: FromPath[str], data: JSONBody[CompleteRequest | None] = None
    ) -> Response[DropCompleted]:
        """Makes the parts a file in the folder. Of the body only `parts` is looked at. May be said again."""
        parts = None if data is None else data.parts
        return Response(await uploads.complete(await entered(request, token), upload, parts), headers=BARS)

    @delete("/s/{token:str}/uploads/{upload:str}", **public)
    async def abort_drop(request: Asked, token: FromPath[str], upload: FromPath[str]) -> None:
        """Gives it up: what has arrived of it is removed."""
        await uploads.abort(await entered(request, token), upload)

    return [begin_drop, drop_status, drop_parts, complete_drop, abort_drop]
