"""The server's doors for looking about, as programs and the command line call them. Errors are those of `ports.remote`."""

from __future__ import annotations

from typing import Protocol

from syncline.model.entries import Kind
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.views import ActivityPage, FileChanges, SearchPage, Updates, UsageAnswer


class RemoteViews(Protocol):
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
        """What changed below a path; `statuses` are words with commas between. Raises `NotFound`, `HistoryExpired`."""
        ...

    async def file_changes(
        self, node: NodeId, *, namespace: NamespaceId | None = None, since: str | None = None, after: int = 0
    ) -> FileChanges: ...

    async def search(self, query: str, *, path: str = "/", kind: Kind | None = None, page: str | None = None) -> SearchPage: ...

    async def usage(self, path: str, *, depth: int = 1, held: bool = False) -> UsageAnswer: ...

    async def activity(self, path: str = "/", *, before: str | None = None, limit: int = 50) -> ActivityPage: ...
