"""The doors for looking about, put together: what changed, by path and by file; names, sizes and deeds."""

from __future__ import annotations

from syncline.model.errors import HistoryExpired, InvalidRequest
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.metadata_store import MetadataStore
from syncline.ports.view_store import ViewStore
from syncline.protocol.changes import ChangesPage, Entry
from syncline.protocol.views import FileChanges
from syncline.server.caller import Caller
from syncline.server.views.activity import ActivityView
from syncline.server.views.places import Places, own_root, since_sequence, time_of
from syncline.server.views.search import SearchView
from syncline.server.views.tokens import TokenCodec
from syncline.server.views.updates import ContentUrls, UpdatesView
from syncline.server.views.usage import UsageView


class Views:
    def __init__(self, places: Places, store: MetadataStore, views: ViewStore, tokens: TokenCodec, urls: ContentUrls) -> None:
        self._places = places
        self._metadata = places.metadata
        self._views = views
        self.updates = UpdatesView(places, store, views, tokens, urls)
        self.search = SearchView(places, views, tokens)
        self.usage = UsageView(places, store, views)
        self.activity = ActivityView(places, views, tokens)

    async def changes_since(self, caller: Caller, namespace: NamespaceId | None, since: str, limit: int = BATCH_MAX) -> ChangesPage:
        """The journal after where it stood at a time. Raises as `Metadata.changes` does, and `InvalidRequest`."""
        return await self._metadata.changes(caller, namespace, await self.cursor_at(caller, namespace, since), limit)

    async def cursor_at(self, caller: Caller, namespace: NamespaceId | None, since: str) -> str:
        """The cursor that stood at a namespace's head at a time. Raises `HistoryExpired`, `NotFound`."""
        time_us = _time(since)
        heads = await self._places.heads(caller)
        here = own_root(caller, heads).namespace if namespace is None else namespace
        await self._metadata.access(caller, here)
        position = await self._views.position_at(here, time_us)
        if position is None:
            raise HistoryExpired(namespace=here)
        return await self._metadata.cursor(caller, here, position.sequence, position.chain)

    async def file_changes(
        self, caller: Caller, node: NodeId, namespace: NamespaceId | None, *, since: str | None, after: int, limit: int
    ) -> FileChanges:
        """Raises `NotFound`, `InvalidRequest`, and `HistoryExpired` where the time is before what is kept."""
        head = await self._places.home(caller, node, namespace)
        if since is not None:
            after = max(after, await since_sequence(self._views, head, _time(since)))
        rows = await self._views.node_rows(head.namespace, node, after, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        return FileChanges(
            namespace=head.namespace,
            node_id=node,
            entries=[Entry.of(row) for row in rows],
            next=rows[-1].sequence if more else None,
        )


def _time(text: str) -> int:
    time_us = time_of(text)
    if time_us is None:
        raise InvalidRequest(message="`since` is a time such as 2026-01-31T12:00:00Z")
    return time_us


class NoContentUrls:
    """Where no content is served: every address is None."""

    async def urls(self, caller: Caller, files: object) -> list[str | None]:
        assert isinstance(files, list)
        return [None] * len(files)
