"""`ports.past.PastDoors` over HTTP. Everything may be repeated: posts go under their key, and purging twice purges once."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from syncline.adapters.http.caller import Caller
from syncline.model.ids import NamespaceId, NodeId
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

LONG_S = 600.0
"""Going back over a hundred thousand files takes the server a while."""


class HttpPast:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def versions(self, namespace: NamespaceId, node: NodeId, page: str | None) -> VersionsPage:
        door = f"/v1/files/{quote(node, safe='')}/versions"
        return await self._caller.call("GET", door, VersionsPage, params=_page(namespace, page))

    async def restore(self, node: NodeId, request: RestoreRequest, *, key: str) -> Restored:
        door = f"/v1/files/{quote(node, safe='')}/restore"
        return await self._caller.call("POST", door, Restored, request, headers={"Idempotency-Key": key})

    async def trash(self, namespace: NamespaceId, page: str | None) -> TrashPage:
        return await self._caller.call("GET", "/v1/trash", TrashPage, params=_page(namespace, page))

    async def undelete(self, request: UndeleteRequest, *, key: str) -> UndeleteAnswer:
        headers = {"Idempotency-Key": key}
        return await self._caller.call("POST", "/v1/files/undelete", UndeleteAnswer, request, headers=headers, timeout_s=LONG_S)

    async def purge(self, namespace: NamespaceId, nodes: Sequence[NodeId] | None) -> PurgeAnswer:
        body = PurgeRequest(namespace=namespace, node_ids=list(nodes or ()), all=nodes is None)
        return await self._caller.call("POST", "/v1/trash/purge", PurgeAnswer, body, timeout_s=LONG_S)

    async def retention(self, path: str | None) -> RetentionAnswer:
        return await self._caller.call("GET", "/v1/retention", RetentionAnswer, params={} if path is None else {"path": path})

    async def rewind(self, request: RewindRequest, *, key: str) -> TravelAnswer:
        headers = {"Idempotency-Key": key}
        return await self._caller.call("POST", "/v1/rewind", TravelAnswer, request, headers=headers, timeout_s=LONG_S)

    async def undo(self, request: UndoRequest, *, key: str) -> TravelAnswer:
        headers = {"Idempotency-Key": key}
        return await self._caller.call("POST", "/v1/undo", TravelAnswer, request, headers=headers, timeout_s=LONG_S)


def _page(namespace: NamespaceId, page: str | None) -> dict[str, str]:
    return {"namespace": namespace} if page is None else {"namespace": namespace, "page": page}
