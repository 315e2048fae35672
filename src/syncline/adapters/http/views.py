"""`ports.remote_views.RemoteViews` over HTTP: one method a door. All are reads, and may be repeated."""

from __future__ import annotations

from urllib.parse import quote

from syncline.adapters.http.caller import Caller
from syncline.model.entries import Kind
from syncline.model.errors import NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.views import ActivityPage, FileChanges, SearchPage, Updates, UsageAnswer


class HttpViews:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def updates(
        self,
        path: str,
        *,
        since: str | None = None,
        until: str | None = None,
        statuses: str | None = None,
        page: str | None = None,
        page_size: int = 1000,
    ) -> Updates:
        params = _given(path=path, since=since, until=until, status=statuses, page=page, page_size=page_size)
        return await self._caller.call("GET", "/v1/files/updates", Updates, params=params)

    async def file_changes(
        self, node: NodeId, *, namespace: NamespaceId | None = None, since: str | None = None, after: int = 0
    ) -> FileChanges:
        if not node:
            raise NotFound(what="The file")
        door = f"/v1/files/{quote(node, safe='')}/changes"
        return await self._caller.call("GET", door, FileChanges, params=_given(namespace=namespace, since=since, after=after))

    async def search(self, query: str, *, path: str = "/", kind: Kind | None = None, page: str | None = None) -> SearchPage:
        params = _given(q=query, path=path, kind=None if kind is None else kind.value, page=page)
        return await self._caller.call("GET", "/v1/search", SearchPage, params=params)

    async def usage(self, path: str, *, depth: int = 1, held: bool = False) -> UsageAnswer:
        params = _given(path=path, depth=depth, held="true" if held else None)
        return await self._caller.call("GET", "/v1/usage", UsageAnswer, params=params)

    async def activity(self, path: str = "/", *, before: str | None = None, limit: int = 50) -> ActivityPage:
        return await self._caller.call("GET", "/v1/activity", ActivityPage, params=_given(path=path, before=before, limit=limit))


def _given(**params: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}
