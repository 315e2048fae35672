"""`ports.raw_store.RawStore` on a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, delete, exists, func, select, update

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.rows import as_json, fetch, pairs
from syncline.adapters.sql.schema import namespaces, raw_contents, revisions
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.ports.raw_store import RawContent
from syncline.protocol.blocks import RevisionRef

_RAW: Final = raw_contents.c
_BEFORE: Final = raw_contents.alias("before")
_OLDER: Final = revisions.alias("older")
_PREVIOUS_CUT: Final = (
    select(_OLDER.c.cut)
    .where(_OLDER.c.namespace_id == _RAW.namespace_id, _OLDER.c.node_id == _RAW.node_id, _OLDER.c.revision < _RAW.revision)
    .order_by(_OLDER.c.revision.desc())
    .limit(1)
    .scalar_subquery()
)
_FOUND: Final = (
    select(
        _RAW.namespace_id,
        namespaces.c.owner_id,
        func.coalesce(revisions.c.actor, namespaces.c.owner_id),
        _RAW.node_id,
        _RAW.revision,
        func.coalesce(revisions.c.name, ""),
        _RAW.object_key,
        _RAW.size,
        _RAW.packed_bytes,
        _RAW.sha256,
        _RAW.state,
        _RAW.attempts,
        _PREVIOUS_CUT,
    )
    .select_from(
        raw_contents.join(namespaces, namespaces.c.namespace_id == _RAW.namespace_id).outerjoin(
            revisions,
            and_(
                revisions.c.namespace_id == _RAW.namespace_id,
                revisions.c.node_id == _RAW.node_id,
                revisions.c.revision == _RAW.revision,
            ),
        )
    )
    .order_by(_RAW.due_us)
)
_NEXT: Final = (
    _FOUND.where(_RAW.state == "waiting", _RAW.due_us <= bindparam("now_us"))
    .where(
        ~exists().where(
            _BEFORE.c.namespace_id == _RAW.namespace_id,
            _BEFORE.c.node_id == _RAW.node_id,
            _BEFORE.c.revision < _RAW.revision,
            _BEFORE.c.state == "waiting",
        )
    )
    .limit(1)
)
_LEFT: Final = _FOUND.where(_RAW.state.in_(("settled", "rejected")), _RAW.due_us <= bindparam("now_us")).limit(bindparam("limit"))


class SqlRaws(Stored):
    async def next_waiting(self, now_us: int) -> RawContent | None:
        found = await self._found(_NEXT, now_us=now_us)
        return found[0] if found else None

    async def of_revisions(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> dict[tuple[NodeId, int], RawContent]:
        wanted = pairs(self._database.dialect, "refs", numbers=True)
        here = and_(_RAW.node_id == wanted.c.a, _RAW.revision == wanted.c.b)
        statement = _FOUND.join(wanted, here).where(_RAW.namespace_id == namespace, _RAW.state == "waiting")
        asked = {"refs": as_json([(ref.node_id, ref.revision) for ref in refs])}
        rows = await self._database.read(lambda connection: connection.execute(statement, asked).all())
        return {(raw.node, raw.revision): raw for raw in map(_raw, rows)}

    async def claim(self, raw: RawContent, now_us: int, until_us: int) -> bool:
        due = (*_these(raw), _RAW.state == "waiting", _RAW.due_us <= now_us)
        statement = update(raw_contents).where(*due).values(due_us=until_us)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    async def hold(self, raw: RawContent, until_us: int) -> None:
        statement = update(raw_contents).where(*_these(raw), _RAW.state == "waiting").values(due_us=until_us)
        await self._database.write(lambda connection: connection.execute(statement))

    async def packed(self, raw: RawContent, packed_bytes: int) -> None:
        grown = case((_RAW.packed_bytes < packed_bytes, packed_bytes), else_=_RAW.packed_bytes)
        await self._update(raw, packed_bytes=grown)

    async def put_off(self, raw: RawContent, due_us: int) -> None:
        await self._update(raw, attempts=_RAW.attempts + 1, due_us=due_us)

    async def leftovers(self, now_us: int, limit: int) -> list[RawContent]:
        return await self._found(_LEFT, now_us=now_us, limit=limit)

    async def forget(self, raw: RawContent) -> None:
        statement = delete(raw_contents).where(*_these(raw), _RAW.state != "waiting")
        await self._database.write(lambda connection: connection.execute(statement))

    async def _update(self, raw: RawContent, **values: Any) -> None:
        statement = update(raw_contents).where(*_these(raw)).values(**values)
        await self._database.write(lambda connection: connection.execute(statement))

    async def _found(self, statement: Any, **parameters: Any) -> list[RawContent]:
        rows = await self._database.read(lambda connection: fetch(connection, statement, **parameters))
        return [_raw(row) for row in rows]


def _these(raw: RawContent) -> tuple[Any, ...]:
    return (_RAW.namespace_id == raw.namespace, _RAW.node_id == raw.node, _RAW.revision == raw.revision)


def _raw(row: Any) -> RawContent:
    return RawContent(
        namespace=NamespaceId(row[0]),
        owner=UserId(row[1]),
        user=UserId(row[2]),
        node=NodeId(row[3]),
        revision=row[4],
        name=row[5],
        object_key=row[6],
        size=row[7],
        packed_bytes=row[8],
        sha256=None if row[9] is None else Digest(row[9].hex()),
        state=row[10],
        attempts=row[11],
        previous_cut=row[12],
    )
