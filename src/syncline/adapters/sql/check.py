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
    BindParameter,
    Connection,
    NullPool,
    and_,
    bindparam,
    create_engine,
    event,
    exists,
    func,
    or_,
    select,
    tuple_,
)

from syncline.adapters.sql.database import translated, tune
from syncline.adapters.sql.migrate import HEAD, stored_version
from syncline.adapters.sql.packs import pack_of
from syncline.adapters.sql.rows import blobs, entry_of, fetch, placed
from syncline.adapters.sql.schema import (
    PLACED_STATE,
    block_copies,
    journal,
    namespace_blocks,
    namespaces,
    nodes,
    packs,
    revision_blocks,
    revisions,
    users,
)
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
    CheckedRevision,
    CheckedRow,
    Twins,
)
from syncline.ports.pack_store import PackRow

T = TypeVar("T")

CACHE_KIB: Final = 8192
DAMAGE_SHOWN: Final = 20
_WIDTH: Final = len(PLACED_STATE)
_HERE: Final[BindParameter[Any]] = bindparam("namespace")
_LIMIT: Final[BindParameter[Any]] = bindparam("limit")

_NAMESPACE: Final = select(
    namespaces.c.namespace_id,
    users.c.email,
    namespaces.c.name,
    namespaces.c.head_sequence,
    namespaces.c.pruned_sequence,
    namespaces.c.chain,
    namespaces.c.root,
    namespaces.c.name_key_version,
    namespaces.c.used_bytes,
).select_from(namespaces.outerjoin(users, users.c.user_id == namespaces.c.owner_id))
_NAMESPACES: Final = (
    _NAMESPACE.where(namespaces.c.namespace_id > bindparam("after")).order_by(namespaces.c.namespace_id).limit(_LIMIT)
)
_ONE_NAMESPACE: Final = _NAMESPACE.where(namespaces.c.namespace_id == _HERE)
_FOLDERS: Final = (
    select(nodes.c.node_id, nodes.c.parent_id, nodes.c.name, nodes.c.deleted)
    .where(nodes.c.namespace_id == _HERE, nodes.c.node_id > bindparam("after"), nodes.c.kind == "dir")
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
_ROWS: Final = (
    select(*placed(journal), journal.c.chain, journal.c.root, nodes.c.sequence)
    .select_from(
        journal.outerjoin(nodes, and_(nodes.c.namespace_id == journal.c.namespace_id, nodes.c.node_id == journal.c.node_id))
    )
    .where(journal.c.namespace_id == _HERE, journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
    .limit(_LIMIT)
)
_NODES: Final = (
    select(*placed(nodes), nodes.c.name_key, *placed(journal), *placed(revisions))
    .select_from(
        nodes.outerjoin(
            journal, and_(journal.c.namespace_id == nodes.c.namespace_id, journal.c.sequence == nodes.c.sequence)
        ).outerjoin(
            revisions,
            and_(
                revisions.c.namespace_id == nodes.c.namespace_id,
                revisions.c.node_id == nodes.c.node_id,
                revisions.c.revision == nodes.c.revision,
            ),
        )
    )
    .where(nodes.c.namespace_id == _HERE, nodes.c.node_id > bindparam("after"))
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
_TWINS: Final = (
    select(nodes.c.parent_id, nodes.c.name_key)
    .where(nodes.c.namespace_id == _HERE, nodes.c.name_key.is_not(None))
    .group_by(nodes.c.parent_id, nodes.c.name_key)
    .having(func.count() > 1)
    .limit(_LIMIT)
)
_AT: Final = (
    select(nodes.c.node_id)
    .where(nodes.c.namespace_id == _HERE, nodes.c.parent_id == bindparam("parent"), nodes.c.name_key == bindparam("key"))
    .order_by(nodes.c.node_id)
    .limit(_LIMIT)
)
_REVISIONS: Final = (
    select(*placed(revisions), *placed(journal))
    .select_from(
        revisions.outerjoin(
            journal, and_(journal.c.namespace_id == revisions.c.namespace_id, journal.c.sequence == revisions.c.sequence)
        )
    )
    .where(revisions.c.namespace_id == _HERE)
    .where(tuple_(revisions.c.node_id, revisions.c.revision) > tuple_(bindparam("node"), bindparam("revision")))
    .order_by(revisions.c.node_id, revisions.c.revision)
    .limit(_LIMIT)
)
_MAY_READ: Final = or_(
    block_copies.c.state == "verified", and_(block_copies.c.state == "claimed", packs.c.namespace_id == bindparam("reader"))
)
_READABLE: Final = exists().where(
    block_copies.c.hash == revision_blocks.c.hash,
    block_copies.c.plain_size == revision_blocks.c.size,
    packs.c.pack_id == block_copies.c.pack_id,
    packs.c.state == "done",
    _MAY_READ,
)
_BLOCKS: Final = (
    select(
        revision_blocks.c.node_id,
        revision_blocks.c.revision,
        revision_blocks.c.block_index,
        revision_blocks.c.hash,
        revision_blocks.c.size,
        namespace_blocks.c.size,
        namespace_blocks.c.state,
        _READABLE,
    )
    .select_from(
        revision_blocks.outerjoin(
            namespace_blocks,
            and_(
                namespace_blocks.c.namespace_id == revision_blocks.c.namespace_id,
                namespace_blocks.c.hash == revision_blocks.c.hash,
            ),
        )
    )
    .where(revision_blocks.c.namespace_id == _HERE)
    .where(
        tuple_(revision_blocks.c.node_id, revision_blocks.c.revision, revision_blocks.c.block_index)
        > tuple_(bindparam("node"), bindparam("revision"), bindparam("index"))
    )
    .order_by(revision_blocks.c.node_id, revision_blocks.c.revision, revision_blocks.c.block_index)
    .limit(_LIMIT)
)
_HELD_BYTES: Final = select(func.coalesce(func.sum(namespace_blocks.c.size), 0)).where(namespace_blocks.c.namespace_id == _HERE)
_AMOUNT_OF_REVISIONS: Final = select(func.count(), func.coalesce(func.sum(revisions.c.size), 0)).where(
    revisions.c.namespace_id == _HERE
)
_AMOUNT_OF_PACKS: Final = select(func.count(), func.coalesce(func.sum(packs.c.size), 0)).where(packs.c.state == "done")
_PACK: Final = select(*packs.c)
_PACKS: Final = _PACK.where(packs.c.object_key > bindparam("after")).order_by(packs.c.object_key).limit(_LIMIT)
_ONE_PACK: Final = _PACK.where(packs.c.pack_id == bindparam("pack"))
_PACK_OF_OBJECT: Final = _PACK.where(packs.c.object_key == bindparam("object_key"))
_COPY: Final = (
    block_copies.c.hash,
    block_copies.c.pack_id,
    block_copies.c.block_offset,
    block_copies.c.length,
    block_copies.c.plain_size,
    block_copies.c.codec,
    block_copies.c.state,
)
_COPIES_IN: Final = select(*_COPY).where(block_copies.c.pack_id == bindparam("pack")).order_by(block_copies.c.block_offset)
_MADE_OF: Final = (
    select(*placed(revisions))
    .select_from(block_copies)
    .join(revision_blocks, and_(revision_blocks.c.namespace_id == _HERE, revision_blocks.c.hash == block_copies.c.hash))
    .join(
        revisions,
        and_(
            revisions.c.namespace_id == revision_blocks.c.namespace_id,
            revisions.c.node_id == revision_blocks.c.node_id,
            revisions.c.revision == revision_blocks.c.revision,
        ),
    )
    .where(block_copies.c.pack_id == bindparam("pack"))
    .distinct()
    .limit(_LIMIT)
)
_COPIES_OF: Final = (
    select(*_COPY)
    .join(packs, packs.c.pack_id == block_copies.c.pack_id)
    .where(block_copies.c.hash.in_(bindparam("hashes", expanding=True)), packs.c.state == "done", _MAY_READ)
    .order_by(block_copies.c.hash, block_copies.c.pack_id)
)


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
        return _made(_namespace, await self._rows(_NAMESPACES, after=after, limit=limit))

    async def namespace(self, namespace: NamespaceId) -> CheckedNamespace | None:
        rows = await self._rows(_ONE_NAMESPACE, namespace=namespace)
        return _namespace(rows[0]) if rows else None

    async def folders(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedFolder]:
        rows = await self._rows(_FOLDERS, namespace=namespace, after=after, limit=limit)
        return [CheckedFolder(NodeId(row[0]), NodeId(row[1]), row[2], row[3] == 1) for row in rows]

    async def rows(self, namespace: NamespaceId, after: int, limit: int) -> list[CheckedRow]:
        return _made(_row, await self._rows(_ROWS, namespace=namespace, after=after, limit=limit))

    async def nodes(self, namespace: NamespaceId, after: str, limit: int) -> list[CheckedNode]:
        return _made(_node, await self._rows(_NODES, namespace=namespace, after=after, limit=limit))

    async def twins(self, namespace: NamespaceId, limit: int) -> list[Twins]:
        def find(connection: Connection) -> list[Twins]:
            places = fetch(connection, _TWINS, namespace=namespace, limit=limit)
            return [
                Twins(
                    NodeId(parent),
                    key,
                    tuple(
                        NodeId(row[0]) for row in fetch(connection, _AT, namespace=namespace, parent=parent, key=key, limit=limit)
                    ),
                )
                for parent, key in places
            ]

        return await self._with(find)

    async def revisions(self, namespace: NamespaceId, after: tuple[str, int], limit: int) -> list[CheckedRevision]:
        rows = await self._rows(_REVISIONS, namespace=namespace, node=after[0], revision=after[1], limit=limit)
        return _made(lambda row: CheckedRevision(entry_of(row), _entry(row[_WIDTH:])), rows)

    async def blocks(self, namespace: NamespaceId, after: tuple[str, int, int], limit: int) -> list[CheckedBlock]:
        place = {"node": after[0], "revision": after[1], "index": after[2]}
        rows = await self._rows(_BLOCKS, namespace=namespace, reader=namespace, limit=limit, **place)
        return [
            CheckedBlock(NodeId(row[0]), row[1], row[2], Digest(row[3].hex()), row[4], row[5], row[6] == "condemned", bool(row[7]))
            for row in rows
        ]

    async def held_bytes(self, namespace: NamespaceId) -> int:
        return int((await self._rows(_HELD_BYTES, namespace=namespace))[0][0])

    async def amount_of_revisions(self, namespace: NamespaceId) -> Amount:
        return _amount(await self._rows(_AMOUNT_OF_REVISIONS, namespace=namespace))

    async def amount_of_packs(self) -> Amount:
        return _amount(await self._rows(_AMOUNT_OF_PACKS))

    async def packs(self, after_object: str, limit: int) -> list[PackRow]:
        return [pack_of(row) for row in await self._rows(_PACKS, after=after_object, limit=limit)]

    async def pack(self, pack: PackId) -> PackRow | None:
        rows = await self._rows(_ONE_PACK, pack=pack)
        return pack_of(rows[0]) if rows else None

    async def pack_of_object(self, object_key: str) -> PackRow | None:
        rows = await self._rows(_PACK_OF_OBJECT, object_key=object_key)
        return pack_of(rows[0]) if rows else None

    async def copies_in(self, pack: PackId) -> list[CheckedCopy]:
        return _made(_copy, await self._rows(_COPIES_IN, pack=pack))

    async def made_of(self, pack: PackId, namespace: NamespaceId, limit: int) -> list[JournalEntry]:
        return _made(entry_of, await self._rows(_MADE_OF, pack=pack, namespace=namespace, limit=limit))

    async def copies_of(self, namespace: NamespaceId, hashes: Sequence[Digest]) -> list[CheckedCopy]:
        return _made(_copy, await self._rows(_COPIES_OF, reader=namespace, hashes=blobs(hashes)))

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
    return CheckedRow(entry_of(row), Digest(row[_WIDTH].hex()), row[_WIDTH + 1].hex(), row[_WIDTH + 2])


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
