"""A server's links, over the same caller as everything else."""

from __future__ import annotations

from urllib.parse import quote

from syncline.adapters.http.caller import Caller
from syncline.model.errors import LimitExceeded
from syncline.model.ids import LinkId, NodeId
from syncline.protocol.links import ChangeLink, CreatedLink, Link, Links, NewLink

PAGES_MAX = 1000


class HttpLinks:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def make(self, wanted: NewLink) -> CreatedLink:
        """Not repeated by itself: every answer that is lost would leave a link nobody knows."""
        return await self._caller.call("POST", "/v1/links", CreatedLink, wanted, repeatable=False)

    async def all(self, node: NodeId | None = None) -> list[Link]:
        """The caller's links, or those that lead to `node`, as far as the caller may see them."""
        found: list[Link] = []
        params = {} if node is None else {"node_id": str(node)}
        for _ in range(PAGES_MAX):
            page = await self._caller.call("GET", "/v1/links", Links, params=params)
            found += page.links
            if page.cursor is None:
                return found
            params["cursor"] = page.cursor
        raise LimitExceeded(what="The list of links", limit=PAGES_MAX)

    async def change(self, link: LinkId, change: ChangeLink) -> Link:
        return await self._caller.call("PATCH", f"/v1/links/{quote(link, safe='')}", Link, change)

    async def revoke(self, link: LinkId) -> None:
        await self._caller.call("DELETE", f"/v1/links/{quote(link, safe='')}", type(None), repeatable=False)
