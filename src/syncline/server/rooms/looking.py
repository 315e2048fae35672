"""Looking about: what changed, names, sizes, deeds; and waiting for news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from syncline.model.entries import Kind
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.limits import BATCH_MAX
from syncline.protocol.changes import ChangesPage, PollAnswer, PollRequest
from syncline.protocol.views import ActivityPage, FileChanges, SearchPage, Updates, UsageAnswer
from syncline.server.caller import Caller
from syncline.server.rooms.marks import lasting, safe


class ViewsRoom(Protocol):
    """`server.views.service.Views`."""

    @safe
    async def changes_since(
        self, caller: Caller, namespace: NamespaceId | None, since: str, limit: int = BATCH_MAX
    ) -> ChangesPage: ...

    @safe
    async def cursor_at(self, caller: Caller, namespace: NamespaceId | None, since: str) -> str: ...

    @safe
    async def file_changes(
        self, caller: Caller, node: NodeId, namespace: NamespaceId | None, *, since: str | None, after: int, limit: int
    ) -> FileChanges: ...


class UpdatesRoom(Protocol):
    """`server.views.updates.UpdatesView`."""

    @safe
    async def updates(
        self,
        caller: Caller,
        path: str,
        *,
        since: str | None,
        until: str | None,
        statuses: Sequence[str],
        page: str | None,
        page_size: int,
    ) -> Updates: ...


class SearchRoom(Protocol):
    """`server.views.search.SearchView`."""

    @safe
    async def search(
        self, caller: Caller, query: str, *, path: str, kind: Kind | None, page: str | None, limit: int
    ) -> SearchPage: ...


class UsageRoom(Protocol):
    """`server.views.usage.UsageView`."""

    @safe
    async def usage(self, caller: Caller, path: str, *, depth: int, held: bool) -> UsageAnswer: ...


class ActivityRoom(Protocol):
    """`server.views.activity.ActivityView`."""

    @safe
    async def activity(
        self, caller: Caller, *, path: str, actor: UserId | None, device: DeviceId | None, before: str | None, limit: int
    ) -> ActivityPage: ...


class PollingRoom(Protocol):
    """`server.notify.poll.Polling`."""

    @lasting
    @safe
    async def poll(self, caller: Caller, request: PollRequest) -> PollAnswer: ...


class SyncedRoom(Protocol):
    """`server.notify.synced.LastSynced`."""

    @safe
    async def stands_at(self, caller: Caller, positions: Mapping[NamespaceId, int], *, polled: bool = False) -> None: ...
