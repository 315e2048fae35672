"""Routes: the tree. Committing changesets, and looking at nodes without syncing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from syncline.model.errors import InvalidRequest
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.commits import CommitAnswer, CommitBody, FileCommitted
from syncline.protocol.tree import ChildrenPage, Metadata
from syncline.server.gateway.auth import signed_in
from syncline.server.gateway.services import Services
from syncline.server.gateway.wire import Asked

Limit = Annotated[int, QueryParameter(ge=1, le=BATCH_MAX)]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=128)]


def routes(services: Services) -> Sequence[HTTPRouteHandler]:
    metadata = services.metadata
    guard = signed_in(services.accounts)

    @post("/v1/files/commit", status_code=200, before_request=guard, tags=["files"])
    async def commit(
        request: Asked, data: JSONBody[CommitBody], idempotency_key: IdempotencyKey = None
    ) -> CommitAnswer | FileCommitted:
        """Applies a changeset: all of it, or nothing; it takes an Idempotency-Key. Or commits one file by its blocks, under the id
        of its upload session."""
        file = data.file()
        if file is not None:
            return await services.shorthand.commit(request.user, file)
        changeset = data.changeset()
        if changeset is None:
            raise InvalidRequest(message="A commit has `namespace` and `changes`, or `upload_id` and `block_list`")
        if idempotency_key is None:
            raise InvalidRequest(message="A changeset needs the header Idempotency-Key")
        return await metadata.commit(request.user, changeset, idempotency_key)

    @get("/v1/metadata", before_request=guard, tags=["files"])
    async def node(
        request: Asked,
        path: FromQuery[str | None] = None,
        node_id: FromQuery[NodeId | None] = None,
        namespace: FromQuery[NamespaceId | None] = None,
    ) -> Metadata:
        """One node, by path (from the namespace's root) or by id."""
        if (path is None) == (node_id is None):
            raise InvalidRequest(message="Name the node by `path` or by `node_id`")
        if path is not None:
            return await metadata.metadata_by_path(request.user, path, namespace)
        assert node_id is not None
        return await metadata.metadata_by_id(request.user, node_id, namespace)

    @get("/v1/folders/{folder:str}/children", before_request=guard, tags=["files"])
    async def children(
        request: Asked,
        folder: FromPath[str],
        namespace: FromQuery[NamespaceId | None] = None,
        page: FromQuery[str | None] = None,
        limit: Limit = BATCH_MAX,
    ) -> ChildrenPage:
        """A folder's live children by name; the root folder's id is its namespace's."""
        return await metadata.children(request.user, namespace, NodeId(folder), page, limit)

    return [commit, node, children]
