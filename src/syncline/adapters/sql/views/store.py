"""`ports.view_store.ViewStore` on a SQL database: each question is one hop to a reader."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.rows import entry_of, fetch
from syncline.adapters.sql.views import deeds, names, past, sizes
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.view_store import AsOf, Deeds, Folded, FolderSize, Hit, Position, Shares, Wanted


class SqlViews(Stored):
    async def position_at(self, namespace: NamespaceId, time_us: int) -> Position | None:
        return await self._database.read_behind(lambda connection: past.position_at(connection, namespace, time_us), of=namespace)

    async def folded(self, namespace: NamespaceId, after: int, upto: int, limit: int) -> Folded:
        return await self._database.read_behind(
            lambda connection: past.folded(connection, namespace, after, upto, limit), of=namespace
        )

    async def lineages(self, namespace: NamespaceId, wanted: Sequence[AsOf]) -> dict[AsOf, list[JournalEntry]]:
        return (
            await self._database.read_behind(lambda connection: past.lineages(connection, namespace, wanted), of=namespace)
            if wanted
            else {}
        )

    async def node_rows(self, namespace: NamespaceId, node: NodeId, after: int, limit: int) -> list[JournalEntry]:
        given = {"namespace": namespace, "node": node, "after": after, "limit": limit}
        return await self._database.read_behind(
            lambda connection: list(map(entry_of, fetch(connection, past.NODE_ROWS, **given))), of=namespace
        )

    async def unchanged_below(
        self, namespace: NamespaceId, folder: NodeId, since: int, after: NodeId | None, limit: int
    ) -> list[JournalEntry]:
        given = {"namespace": namespace, "folder": folder, "since": since, "after": after or "", "limit": limit}
        return await self._database.read_behind(
            lambda connection: list(map(entry_of, fetch(connection, past.UNCHANGED_BELOW, **given))), of=namespace
        )

    async def homes(self, user: UserId, node: NodeId) -> list[NamespaceId]:
        rows = await self._database.read(lambda connection: fetch(connection, past.HOMES, user=user, node=node))
        return [NamespaceId(row[0]) for row in rows]

    async def search(self, namespace: NamespaceId, wanted: Wanted, after: tuple[int, int, NodeId] | None, limit: int) -> list[Hit]:
        return await self._database.read_behind(
            lambda connection: names.search(connection, namespace, wanted, after, limit), of=namespace
        )

    async def people(self, users: Sequence[UserId], devices: Sequence[DeviceId]) -> tuple[dict[UserId, str], dict[DeviceId, str]]:
        return await self._database.read(lambda connection: names.people(connection, users, devices))

    async def sizes(self, namespace: NamespaceId, folder: NodeId, depth: int) -> list[FolderSize]:
        return await self._database.read_behind(lambda connection: sizes.sizes(connection, namespace, folder, depth), of=namespace)

    async def shares(self, namespace: NamespaceId) -> Shares:
        return await self._database.read(lambda connection: sizes.shares(connection, namespace))

    async def deeds(
        self, namespace: NamespaceId, before: int, limit: int, *, actor: UserId | None, device: DeviceId | None
    ) -> Deeds:
        return await self._database.read_behind(
            lambda connection: deeds.deeds(connection, namespace, before, limit, actor, device), of=namespace
        )

    async def rows(self, namespace: NamespaceId, after: int, upto: int, limit: int) -> list[JournalEntry]:
        given = {"namespace": namespace, "after": after, "upto": upto, "limit": limit}
        return await self._database.read_behind(
            lambda connection: list(map(entry_of, fetch(connection, past.ROWS, **given))), of=namespace
        )
