"""Addresses of changed content: what the room of downloads offers for a revision, for each file an answer tells of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from syncline.model.ids import NamespaceId
from syncline.model.journal import JournalEntry
from syncline.server.caller import Caller


class Downloading(Protocol):
    """What is asked of the room of downloads: what a caller may read, and an address for it."""

    async def find(self, caller: Caller, refs: Sequence[Any]) -> Sequence[Any | None]: ...

    def offer_to(self, caller: Caller, content: Any) -> Any: ...


class OfferedUrls:
    """`server.views.updates.ContentUrls` by way of downloads. `ref(node_id=, revision=, namespace=)` names a revision to them. An
    address that begins with `/` is relative to this server."""

    def __init__(self, downloads: Downloading, ref: Callable[..., Any]) -> None:
        self._downloads = downloads
        self._ref = ref

    async def urls(self, caller: Caller, files: Sequence[tuple[NamespaceId, JournalEntry]]) -> list[str | None]:
        refs = [self._ref(node_id=entry.node_id, revision=entry.revision, namespace=namespace) for namespace, entry in files]
        if not refs:
            return []
        found = await self._downloads.find(caller, refs)
        return [None if content is None else str(self._downloads.offer_to(caller, content).url) for content in found]
