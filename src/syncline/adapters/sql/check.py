"""`ports.check_store.CheckStore` on a SQL database: one connection that only reads, beside a running server's own.

What must agree is joined by primary keys, so each page costs its own rows and as many look-ups. `steady` is one read transaction:
with SQLite's write-ahead log it sees one state and stops nobody; the log is not reused while it lasts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    NullPool,
    create_engine,
    event,
)

from syncline.adapters.sql import check_questions as ask
from syncline.adapters.sql.database import translated
from syncline.adapters.sql.migrate import HEAD, stored_version
from syncline.adapters.sql.packs import pack_of
from syncline.adapters.sql.rows import blobs, entry_of, fetch
from syncline.adapters.sql.schema import PLACED_STATE
from syncline.adapters.sql.sqlite import tune
from syncline.adapters.threads import Threads
from syncline.model.blocks import Codec
from syncline.model.errors import Corrupt, InvalidRequest
from syncline.model.ids import Digest, NamespaceId, NodeId, PackId
from syncline.model.journal import JournalEntry
from syncline.ports.check_store import (
    Amount,
    CheckedBlock,
    CheckedCopy,
    CheckedFolder,
    CheckedNamespace,
    CheckedNode,
    CheckedRaw,
    CheckedRevision,
    CheckedRow,
    Twins,
)
from syncline.ports.pack_store import PackRow

T = TypeVar("T")

CACHE_KIB: Final = 8192
DAMAGE_SHOWN: Final = 20
_WIDTH: Final = len(PLACED_STATE)


class SqlCheckStore:
    """Open it with `open`, and `close` it. Its calls are one at a time."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            poolclass=NullPool,
            connect_args={"check_same_thread": False},
            isolation_level="AUTOCOMMIT",
        )
        event.listen(self._engine, "connect", lambda connection, _record: _tune(connection))
        self._thread = Threads(1, "check")
        self._connection: Connection | None = None

    @classmethod
    def open(cls, path: Path) -> SqlCheckStore:
        """Raises `InvalidRequest` for a database of another version, `Unavailable`, `Corrupt`: a check changes nothing, so it
        brings nothing up to date either."""
        version = stored_version(path)
        if version != HEAD:
            raise InvalidRequest(
                message=f"This database is of schema {version or 'unknown'}, and this Syncline checks {HEAD}: start this version's "
                "server on it once, or check it with the Syncline that wrote it."
            )
        return cls(path)

    async def close(self) -> None:
        await self._thread.run(self._close)
        self._thread.close()

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        await self._with(lambda connection: connection.exec_driver_sql("BEGIN"))
        try:
            yield
        finally:
            await self._with(lambda connection: connection.exec_driver_sql("ROLLBACK"))

    async def damage(self, *, deep: bool) -> list[str]:
        question = f"PRAGMA {'integrity_check' if deep else 'quick_check'}({DAMAGE_SHOWN})"
        try:
            said = await self._with(lambda connection: [str(row[0]) for row in connection.exec_driver_sql(question)])
        except Corrupt as damage:
            return [str(damage.fields["reason"])]
        return [] if said == ["ok"] else said

    async def namespaces(self, after: str, limit: int) -> list[CheckedNamespace]:
        return _made(_namespace, await self._rows(ask.NAMESPACES, after=after, limit=limit))

    async def namespace(self, namespace: NamespaceId) -> CheckedNamespace | None:
        rows = await self._rows(ask.ONE_NAMESPACE, namespace=namespace)
        return _namespace(rows[0]) if rows else None

    async def folders(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedFolder]:
        rows = await self._rows(ask.FOLDERS, namespace=namespace, after=after, limit=limit)
        return [CheckedFolder(NodeId(row[0]), NodeId(row[1]), row[2], row[3] == 1) for row in rows]

    async def rows(self, namespace: NamespaceId, after: int, limit: int) -> list[CheckedRow]:
        return _made(_row, await self._rows(ask.ROWS, namespace=namespace, after=after, limit=limit))

    async def nodes(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedNode]:
        return _made(_node, await self._rows(ask.NODES, namespace=namespace, after=after, limit=limit))

    async def twins(self, namespace: NamespaceId, limit: int) -> list[Twins]:
        def at(connection: Connection, parent: str, key: str) -> tuple[NodeId, ...]:
            rows = fetch(connection, ask.AT, namespace=namespace, parent=parent, key=key, limit=limit)
            return tuple(NodeId(row[0]) for row in rows)

        def find(connection: Connection) -> list[Twins]:
            places = fetch(connection, ask.TWINS, namespace=namespace, limit=limit)
            return [Twins(NodeId(parent), key, at(connection, parent, key)) for parent, key in places]

        return await self._with(find)

    async def revisions(self, namespace: NamespaceId, after: tuple[str, int], limit: int) -> list[CheckedRevision]:
        rows = await self._rows(ask.REVISIONS, namespace=namespace, node=after[0], revision=after[1], limit=limit)
        return _made(lambda row: CheckedRevision(entry_of(row), _entry(row[_WIDTH : 2 * _WIDTH]), bool(row[2 * _WIDTH])), rows)

    async def blocks(self, namespace: NamespaceId, after: tuple[str, int, int], limit: int) -> list[CheckedBlock]:
        place = {"node": after[0], "revision": after[1], "index": after[2]}
        rows = await self._rows(ask.BLOCKS, namespace=namespace, reader=namespace, limit=limit, **place)
        return [
            CheckedBlock(NodeId(row[0]), row[1], row[2], Digest(row[3].hex()), row[4], row[5], row[6] == "condemned", bool(row[7]))
            for row in rows
        ]

    async def held_bytes(self, namespace: NamespaceId) -> int:
        return int((await self._rows(ask.HELD_BYTES, namespace=namespace))[0][0])

    async def amount_of_revisions(self, namespace: NamespaceId) -> Amount:
        return _amount(await self._rows(ask.AMOUNT_OF_REVISIONS, namespace=namespace))

    async def amount_of_packs(self) -> Amount:
        return _amount(await self._rows(ask.AMOUNT_OF_PACKS))

    async def packs(self, after_object: str, limit: int) -> list[PackRow]:
        return [pack_of(row) for row in await self._rows(ask.PACKS, after=after_object, limit=limit)]

    async def pack(self, pack: PackId) -> PackRow | None:
        rows = await self._rows(ask.ONE_PACK, pack=pack)
        return pack_of(rows[0]) if rows else None

    async def pack_of_object(self, object_key: str) -> PackRow | None:
        rows = await self._rows(ask.PACK_OF_OBJECT, object_key=object_key)
        return pack_of(rows[0]) if rows else None

    async def raws(self, after_object: str, limit: int) -> list[CheckedRaw]:
        return [
            CheckedRaw(
                object_key=row[0],
                size=row[1],
                namespace=NamespaceId(row[2]),
                node=NodeId(row[3]),
                revision=row[4],
                waiting=row[5] == "waiting",
            )
            for row in await self._rows(ask.RAWS, after=after_object, limit=limit)
        ]

    async def awaits(self, object_key: str) -> bool:
        return bool(await self._rows(ask.AWAITED, object_key=object_key))

    async def copies_in(self, pack: PackId) -> list[CheckedCopy]:
        return _made(_copy, await self._rows(ask.COPIES_IN, pack=pack))

    async def made_of(self, namespace: NamespaceId, hashes: Sequence[Digest], limit: int) -> list[JournalEntry]:
        return _made(entry_of, await self._rows(ask.MADE_OF, namespace=namespace, hashes=blobs(hashes), limit=limit))

    async def copies_of(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[CheckedCopy]:
        return _made(_copy, await self._rows(ask.COPIES_OF, reader=namespace, hashes=blobs(hashes)))

    async def _rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        return await self._with(lambda connection: fetch(connection, statement, **parameters))

    async def _with(self, work: Callable[[Connection], T]) -> T:
        return await self._thread.run(lambda: self._worked(work))

    def _worked(self, work: Callable[[Connection], T]) -> T:
        with translated():
            if self._connection is None:
                self._connection = self._engine.connect()
            return work(self._connection)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def _tune(connection: Any) -> None:
    tune(connection, CACHE_KIB)
    connection.execute("PRAGMA query_only = ON")


def _made(make: Callable[[Any], T], rows: Sequence[Any]) -> list[T]:
    """Raises `Corrupt` for a row that no Syncline wrote (a kind or codec there is not)."""
    try:
        return list(map(make, rows))
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise Corrupt(what="The metadata database", reason=f"a row holds what no Syncline writes ({error})") from error


def _entry(row: Sequence[Any]) -> JournalEntry | None:
    """The entry of an outer join, or None."""
    return None if row[0] is None else entry_of(row)


def _row(row: Any) -> CheckedRow:
    return CheckedRow(entry_of(row), Digest(row[_WIDTH].hex()), row[_WIDTH + 1].hex(), row[_WIDTH + 2], bool(row[_WIDTH + 3]))


def _node(row: Any) -> CheckedNode:
    beside, revision = row[_WIDTH + 1 : 2 * _WIDTH + 1], row[2 * _WIDTH + 1 :]
    return CheckedNode(entry_of(row), row[_WIDTH], _entry(beside), _entry(revision))


def _namespace(row: Any) -> CheckedNamespace:
    return CheckedNamespace(
        id=NamespaceId(row[0]),
        owner=row[1] or "",
        name=row[2],
        sequence=row[3],
        pruned_sequence=row[4],
        chain=Digest(row[5].hex()),
        root=row[6].hex(),
        name_key_version=row[7],
        used_bytes=row[8],
    )


def _amount(rows: Sequence[Any]) -> Amount:
    return Amount(int(rows[0][0]), int(rows[0][1]))


def _copy(row: Any) -> CheckedCopy:
    return CheckedCopy(Digest(row[0].hex()), PackId(row[1]), row[2], row[3], row[4], Codec(row[5]), row[6])
