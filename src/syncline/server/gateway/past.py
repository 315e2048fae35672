"""Routes: what is past. Versions, trash, retention, rewind and undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.past import (
    PurgeAnswer,
    PurgeRequest,
    Restored,
    RestoreRequest,
    RetentionAnswer,
    RewindRequest,
    TrashPage,
    TravelAnswer,
    UndeleteAnswer,
    UndeleteRequest,
    UndoRequest,
    VersionsPage,
)
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked

Limit = Annotated[int, QueryParameter(ge=1, le=BATCH_MAX)]
OptionalKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=128, required=False)]


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    fresh = services.ids.fresh
    guard = signed_in(services.accounts)

    @get("/v1/files/{file:str}/versions", before_request=guard, tags=["past"])
    async def versions(
        request: Asked,
        file: FromPath[str],
        namespace: FromQuery[NamespaceId | None] = None,
        page: FromQuery[str | None] = None,
        limit: Limit = BATCH_MAX,
    ) -> VersionsPage:
        """A file's kept versions, newest first: author, device, size, time, what changed, and how long each is kept."""
        return await services.versions.page(request.user, namespace, NodeId(file), page, limit)

    @post("/v1/files/{file:str}/restore", status_code=200, before_request=guard, tags=["past"])
    async def restore(
        request: Asked, file: FromPath[str], data: JSONBody[RestoreRequest], idempotency_key: OptionalKey = None
    ) -> Restored:
        """An earlier version again, as a new one; a deleted file comes back with it. No bytes are sent."""
        return await services.versions.restore(request.user, NodeId(file), data, idempotency_key or fresh())

    @get("/v1/trash", before_request=guard, tags=["past"])
    async def trash(
        request: Asked,
        namespace: FromQuery[NamespaceId | None] = None,
        page: FromQuery[str | None] = None,
        limit: Limit = BATCH_MAX,
    ) -> TrashPage:
        """What was deleted, newest first: where it was, by whom, when, and when it will be purged."""
        return await services.trash.page(request.user, namespace, page, limit)

    @post("/v1/files/undelete", status_code=200, before_request=guard, tags=["past"])
    async def undelete(request: Asked, data: JSONBody[UndeleteRequest], idempotency_key: OptionalKey = None) -> UndeleteAnswer:
        """Brings deleted files and folders back under their ids, with what was deleted with them; each for itself."""
        return await services.trash.undelete(request.user, data, idempotency_key or fresh())

    @post("/v1/trash/purge", status_code=200, before_request=guard, tags=["past"])
    async def purge(request: Asked, data: JSONBody[PurgeRequest]) -> PurgeAnswer:
        """Removes deleted files and folders for good; only the owner may. What they alone held no longer counts as used."""
        return await services.trash.purge(request.user, data)

    @get("/v1/retention", before_request=guard, tags=["past"])
    async def retention(
        request: Asked,
        path: FromQuery[str | None] = None,
        node_id: FromQuery[NodeId | None] = None,
        namespace: FromQuery[NamespaceId | None] = None,
    ) -> RetentionAnswer:
        """How long deleted files and old versions are kept: the policy, and what it means for one file or folder."""
        return await services.retention.explain(request.user, path, node_id, namespace)

    @post("/v1/rewind", status_code=200, before_request=guard, tags=["past"])
    async def rewind(request: Asked, data: JSONBody[RewindRequest], idempotency_key: OptionalKey = None) -> TravelAnswer:
        """A folder as it was at a time, as new changes: nothing is lost by it, and it can be undone."""
        return await services.travel.rewind(request.user, data, idempotency_key or fresh())

    @post("/v1/undo", status_code=200, before_request=guard, tags=["past"])
    async def undo(request: Asked, data: JSONBody[UndoRequest], idempotency_key: OptionalKey = None) -> TravelAnswer:
        """Takes back what one device did within a time, or one changeset; what others changed later stands, and is named."""
        return await services.travel.undo(request.user, data, idempotency_key or fresh())

    return [versions, restore, trash, undelete, purge, retention, rewind, undo]
