"""`ports.past_store.PastStore` on a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, select

from syncline.adapters.sql import trees
from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.past import thin, trash, window
from syncline.adapters.sql.rows import as_json, entry_of, fetch, listed, placed, texts
from syncline.adapters.sql.schema import PLACED_STATE, devices, namespaces, nodes, revisions, users
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import Place
from syncline.ports.past_store import Acts, Names, Person, Purged, Since, Stories, Surroundings, Swept, VersionRow

_NS: Final = trees.NAMESPACE
_KEY: Final = len(PLACED_STATE)
_VERSIONS: Final = (
    select(*placed(revisions))
    .where(revisions.c.namespace_id == _NS, revisions.c.node_id == bindparam("node"), revisions.c.revision < bindparam("below"))
    .order_by(revisions.c.revision.desc())
    .limit(bindparam("limit"))
)
_OWNER: Final = select(namespaces.c.owner_id).where(namespaces.c.namespace_id == _NS)
_ANY_REVISION: Final = 1 << 62


class SqlPast(Stored):
    async def since(self, namespace: NamespaceId, time_us: int, limit: int) -> Since | None:
        return await self._database.read(lambda connection: window.since(connection, namespace, time_us, limit))

    async def acts(self, namespace: NamespaceId, acts: Acts, limit: int) -> Stories | None:
        return await self._database.read(lambda connection: window.acts(connection, namespace, acts, limit))

    async def surroundings(
        self, namespace: NamespaceId, ids: Sequence[NodeId], places: Sequence[Place], folders: Sequence[NodeId]
    ) -> Surroundings:
        dialect = self._database.dialect
        found = Surroundings()
        if ids:
            found.nodes = {row.node_id: row for row in await self._entries(trees.above(dialect), namespace, ids=as_json(ids))}
            own = await self._entries(trees.nodes_by_id(dialect), namespace, ids=as_json(ids))
            found.nodes |= {row.node_id: row for row in own}
        if places:
            rows = await self._rows(_holders(dialect), namespace, places=as_json(places))
            found.holders = {(NodeId(row[4]), row[_KEY]): entry_of(row) for row in rows if row[0] is not None}
        if folders:
            for row in await self._entries(_children(dialect), namespace, ids=as_json(folders)):
                found.children.setdefault(row.parent_id, []).append(row)
        return found

    async def revisions(self, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]]) -> list[JournalEntry]:
        statement = trees.rows_by_ref(self._database.dialect)
        rows = await self._rows(statement, namespace, refs=as_json(refs)) if refs else []
        return [entry_of(row) for row in rows if row[0] is not None]

    async def versions(self, namespace: NamespaceId, node: NodeId, below: int | None, limit: int) -> list[JournalEntry]:
        return await self._entries(_VERSIONS, namespace, node=node, below=below or _ANY_REVISION, limit=limit)

    async def names(self, people: Sequence[UserId], known: Sequence[DeviceId]) -> Names:
        dialect = self._database.dialect

        def read(connection: Connection) -> Names:
            found = fetch(connection, _people(dialect), ids=as_json(people))
            named = fetch(connection, _devices(dialect), ids=as_json(known))
            return Names({UserId(row[0]): Person(row[1], row[2]) for row in found}, {DeviceId(row[0]): row[1] for row in named})

        return await self._database.read(read)

    async def owner(self, namespace: NamespaceId) -> UserId | None:
        rows = await self._rows(_OWNER, namespace)
        return UserId(rows[0][0]) if rows else None

    # -- Trash ---------------------------------------------------------------------------------------------------------------

    async def trash(self, namespace: NamespaceId, below: tuple[int, int] | None, limit: int) -> list[JournalEntry]:
        given = {} if below is None else {"time_us": below[0], "sequence": below[1]}
        return await self._entries(trash.tops(below=below is not None), namespace, limit=limit, **given)

    async def deleted_with(self, namespace: NamespaceId, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        return await self._entries(trees.deleted_with(self._database.dialect), namespace, ids=as_json(ids), limit=limit)

    async def purge(self, namespace: NamespaceId, nodes: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
        return await self._database.write(lambda connection: trash.purge(connection, namespace, nodes, now_us))

    async def purged(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> set[NodeId]:
        rows = await self._rows(trees.tombstones_by_id(self._database.dialect), namespace, ids=as_json(ids))
        return {NodeId(row[0]) for row in rows}

    async def due(self, before_us: int, limit: int) -> list[tuple[NamespaceId, NodeId, int]]:
        return await self._database.read(lambda connection: trash.due(connection, before_us, limit))

    # -- Versions and possession -----------------------------------------------------------------------------------------------

    async def version_rows(self, after: tuple[str, str], limit: int) -> list[VersionRow]:
        return await self._database.read(lambda connection: thin.version_rows(connection, after, limit))

    async def drop(self, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
        return await self._database.write(lambda connection: thin.drop(connection, namespace, refs, now_us))

    async def sweep(self, after: str, limit: int, *, abandoned_us: int, removed_us: int, now_us: int) -> Swept:
        given = {"abandoned_us": abandoned_us, "removed_us": removed_us, "now_us": now_us}
        return await self._database.write(lambda connection: thin.sweep(connection, after, limit, **given))

    async def remembered(self, key: str) -> str:
        return await self._database.read(lambda connection: thin.remembered(connection, key))

    async def remember(self, key: str, value: str) -> None:
        await self._database.write(lambda connection: thin.remember(connection, key, value))

    async def _rows(self, statement: Any, namespace: NamespaceId, **parameters: Any) -> Sequence[Any]:
        return await self._database.read(lambda connection: fetch(connection, statement, namespace=namespace, **parameters))

    async def _entries(self, statement: Any, namespace: NamespaceId, **parameters: Any) -> list[JournalEntry]:
        return list(map(entry_of, await self._rows(statement, namespace, **parameters)))


@cache
def _people(dialect: str) -> Select[Any]:
    return select(users.c.user_id, users.c.name, users.c.email).where(users.c.user_id.in_(listed(texts(dialect, "ids"))))


@cache
def _devices(dialect: str) -> Select[Any]:
    return select(devices.c.device_id, devices.c.name).where(devices.c.device_id.in_(listed(texts(dialect, "ids"))))


@cache
def _holders(dialect: str) -> Select[Any]:
    return trees.at_places(dialect).add_columns(nodes.c.name_key)


@cache
def _children(dialect: str) -> Select[Any]:
    """`ids` → placed states of these folders' live children."""
    here = and_(nodes.c.namespace_id == _NS, nodes.c.name_key.is_not(None))
    return select(*placed(nodes)).where(here, nodes.c.parent_id.in_(listed(texts(dialect, "ids"))))
