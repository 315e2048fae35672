"""Routes: the journal as devices read it, snapshots, and the long poll."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody, QueryParameter

from syncline.model.errors import InvalidRequest, Retryable
from syncline.model.ids import NamespaceId
from syncline.model.limits import BATCH_MAX
from syncline.ports.freshness import check_newest
from syncline.protocol.changes import ChangesPage, LatestAnswer, PollAnswer, PollRequest, SnapshotPage
from syncline.protocol.sessions import Namespaces
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked

Limit = Annotated[int, QueryParameter(ge=1, le=BATCH_MAX)]


def _one_of(cursor: object) -> None:
    if cursor is not None:
        raise InvalidRequest(message="Send `cursor` or `since`, not both")


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    metadata = services.metadata
    guard = signed_in(services.accounts)

    @get("/v1/namespaces", before_request=guard, tags=["changes"])
    async def namespaces(request: Asked) -> Namespaces:
        """The namespaces the caller may see, each with its head: sequence, chain and Merkle root. Shared ones also say whose they
        are, how many share them, and where the caller mounted them."""
        answer = await services.sharing.namespaces(request.user)
        check_newest("The newest list of namespaces")
        return answer

    @get("/v1/changes", before_request=guard, tags=["changes"])
    async def changes(
        request: Asked,
        namespace: FromQuery[NamespaceId | None] = None,
        cursor: FromQuery[str | None] = None,
        since: FromQuery[str | None] = None,
        limit: Limit = BATCH_MAX,
    ) -> ChangesPage:
        """One namespace's journal after a cursor, or after where it stood at the time `since`; without either, from the beginning.
        Pages never split a changeset."""
        if since is not None:
            _one_of(cursor)
            return await services.views.changes_since(request.user, namespace, since, limit)
        page = await metadata.changes(request.user, namespace, cursor, limit)
        if cursor is not None and not page.entries:
            # An aid for people who look at their devices: no reason to withhold what was asked for.
            with suppress(Retryable):
                await services.synced.stands_at(request.user, {page.namespace: page.sequence})
        return page

    @get("/v1/changes/latest", before_request=guard, tags=["changes"])
    async def latest(request: Asked, namespace: FromQuery[NamespaceId | None] = None) -> LatestAnswer:
        """The head, and the cursor that stands there."""
        return await metadata.latest(request.user, namespace)

    @get("/v1/snapshot", before_request=guard, tags=["changes"])
    async def snapshot(
        request: Asked,
        namespace: FromQuery[NamespaceId | None] = None,
        page: FromQuery[str | None] = None,
        limit: Limit = BATCH_MAX,
    ) -> SnapshotPage:
        """The live nodes, page by page, and the cursor to go on from."""
        answer = await metadata.snapshot(request.user, namespace, page, limit)
        check_newest("The newest state of the namespace")
        return answer

    return [namespaces, changes, latest, snapshot, *waits(services)]


def waits(services: Services) -> Sequence[HTTPRouteHandler]:
    """The long poll alone, which the notify role answers as well: a balancer may send whoever waits straight there."""
    guard = signed_in(services.accounts)

    @get("/v1/notifications/poll", before_request=guard, tags=["changes"])
    async def poll_one(
        request: Asked,
        cursor: FromQuery[list[str] | None] = None,
        since: FromQuery[str | None] = None,
        timeout: FromQuery[int] = 60,
    ) -> PollAnswer:
        """Waits until a namespace moves past its cursor (the root past the time `since`), or `timeout` seconds."""
        if since is not None:
            _one_of(cursor)
            cursor = [await services.views.cursor_at(request.user, None, since)]
        return await services.polling.poll(request.user, PollRequest(cursors=cursor or [], timeout=timeout))

    @post("/v1/notifications/poll", status_code=200, before_request=guard, tags=["changes"])
    async def poll(request: Asked, data: JSONBody[PollRequest]) -> PollAnswer:
        """The same for many cursors."""
        return await services.polling.poll(request.user, data)

    return [poll_one, poll]
