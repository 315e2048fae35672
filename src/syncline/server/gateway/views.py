"""Routes: looking about. What changed below a path or in one file, names, sizes, and who did what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter

from syncline.model.entries import Kind
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.views import ActivityPage, FileChanges, SearchPage, Updates, UsageAnswer
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked
from syncline.server.views import activity as deeds
from syncline.server.views import search as names
from syncline.server.views import usage as sizes
from syncline.server.views.updates import parsed_statuses

Limit = Annotated[int, QueryParameter(ge=1, le=BATCH_MAX)]
NamesLimit = Annotated[int, QueryParameter(ge=1, le=names.PAGE_MAX)]
DeedsLimit = Annotated[int, QueryParameter(ge=1, le=deeds.PAGE_MAX)]
Depth = Annotated[int, QueryParameter(ge=0, le=sizes.DEPTH_MAX)]
After = Annotated[int, QueryParameter(ge=0, le=(1 << 62))]


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    guard = signed_in(services.accounts)

    @get("/v1/files/updates", before_request=guard, tags=["changes"])
    async def updates(
        request: Asked,
        path: FromQuery[str] = "/",
        since: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        status: FromQuery[str | None] = None,
        page: FromQuery[str | None] = None,
        page_size: Limit = BATCH_MAX,
    ) -> Updates:
        """What changed below a path since a time (or an earlier answer's `next_since`): one entry for each file or folder."""
        statuses = parsed_statuses(status)
        answer = await services.updates.updates(
            request.user, path, since=since, until=until, statuses=statuses, page=page, page_size=page_size
        )
        base = services.bytes_base(request)
        for one in answer.entries:
            if one.presignedUrl is not None and one.presignedUrl.startswith("/"):
                one.presignedUrl = base + one.presignedUrl
        return answer

    @get("/v1/files/{file:str}/changes", before_request=guard, tags=["changes"])
    async def file_changes(
        request: Asked,
        file: FromPath[str],
        namespace: FromQuery[NamespaceId | None] = None,
        since: FromQuery[str | None] = None,
        after: After = 0,
        limit: Limit = BATCH_MAX,
    ) -> FileChanges:
        """The journal rows of one file or folder, in order."""
        return await services.views.file_changes(request.user, NodeId(file), namespace, since=since, after=after, limit=limit)

    @get("/v1/search", before_request=guard, tags=["files"])
    async def search(
        request: Asked,
        q: FromQuery[str],
        path: FromQuery[str] = "/",
        kind: FromQuery[Kind | None] = None,
        page: FromQuery[str | None] = None,
        limit: NamesLimit = 50,
    ) -> SearchPage:
        """Files and folders by name: every word occurs in it, whatever its case; a word with `*` matches the whole name."""
        return await services.search.search(request.user, q, path=path, kind=kind, page=page, limit=limit)

    @get("/v1/usage", before_request=guard, tags=["files"])
    async def usage(request: Asked, path: FromQuery[str] = "/", depth: Depth = 1, held: FromQuery[bool] = False) -> UsageAnswer:
        """How much lies below a path, folder by folder, the largest first."""
        return await services.usage.usage(request.user, path, depth=depth, held=held)

    @get("/v1/activity", before_request=guard, tags=["changes"])
    async def activity(
        request: Asked,
        path: FromQuery[str] = "/",
        actor: FromQuery[UserId | None] = None,
        device: FromQuery[DeviceId | None] = None,
        before: FromQuery[str | None] = None,
        limit: DeedsLimit = 50,
    ) -> ActivityPage:
        """Who did what, when and where, the latest first: one entry for each changeset."""
        return await services.activity.activity(request.user, path=path, actor=actor, device=device, before=before, limit=limit)

    return [updates, file_changes, search, usage, activity]
