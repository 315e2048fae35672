"""One commit's transaction on the database: what it reads under the namespace's row lock, and everything it writes.

On PostgreSQL the lock is the row's (`FOR UPDATE`); SQLite's writers are one at a time already. Writing is a handful of bulk
statements whatever the number of changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, and_, bindparam, exists, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncline.adapters.sql import trees
from syncline.adapters.sql.heads import head_of, head_query, usage_of
from syncline.adapters.sql.rows import Row, as_json, blobs, entry_of, execute_many, insert_rows, row_of
from syncline.adapters.sql.schema import (
    PLACED_STATE,
    block_copies,
    idempotency,
    journal,
    members,
    namespace_blocks,
    namespaces,
    nodes,
    revision_blocks,
    revisions,
)
from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import Head, HeldBlock, NewRevision, Place, StoredAnswer, Usage, Written

HASHES_AT_ONCE: Final = 10_000
"""Hashes are bound one by one, and SQLite binds at most 32,766 values."""

_HELD: Final = (
    select(namespace_blocks.c.hash, namespace_blocks.c.size, namespace_blocks.c.state)
    .where(namespace_blocks.c.namespace_id == bindparam("namespace"))
    .where(namespace_blocks.c.hash.in_(bindparam("hashes", expanding=True)))
)
_ELSEWHERE: Final = (
    select(revision_blocks.c.hash, func.max(revision_blocks.c.size))
    .join(members, and_(members.c.namespace_id == revision_blocks.c.namespace_id, members.c.user_id == bindparam("user")))
    .where(revision_blocks.c.hash.in_(bindparam("hashes", expanding=True)))
    .where(revision_blocks.c.namespace_id != bindparam("namespace"))
    .where(exists().where(block_copies.c.hash == revision_blocks.c.hash, block_copies.c.state == "verified"))
    .group_by(revision_blocks.c.hash)
)
_STORED: Final = select(idempotency.c.body_hash, idempotency.c.answer).where(
    idempotency.c.namespace_id == bindparam("namespace"),
    idempotency.c.device_id == bindparam("device"),
    idempotency.c.key == bindparam("key"),
)

_THIS_NODE: Final = and_(nodes.c.namespace_id == bindparam("of_namespace"), nodes.c.node_id == bindparam("of_node"))
_VACATE: Final = update(nodes).where(_THIS_NODE).values(name_key=null())
_CHANGED: Final = tuple(name for name in PLACED_STATE if name not in ("node_id", "kind"))
_CHANGE: Final = (
    update(nodes).where(_THIS_NODE).values({name: bindparam(name) for name in _CHANGED} | {"name_key": bindparam("name_key")})
)
_DESCRIBE: Final = (
    update(nodes)
    .where(_THIS_NODE)
    .values(
        mime_type=func.coalesce(bindparam("mime_type"), nodes.c.mime_type),
        description=func.coalesce(bindparam("description"), nodes.c.description),
    )
)
_BASE: Final = revisions.alias("base")
_TAKE_CUT: Final = (
    update(revisions)
    .where(
        revisions.c.namespace_id == bindparam("of_namespace"),
        revisions.c.node_id == bindparam("of_node"),
        revisions.c.revision == bindparam("of_revision"),
    )
    .values(
        cut=select(_BASE.c.cut)
        .where(
            _BASE.c.namespace_id == bindparam("base_namespace"),
            _BASE.c.node_id == bindparam("base_node"),
            _BASE.c.revision == bindparam("base_revision"),
        )
        .scalar_subquery()
    )
)
_BLOCKS: Final = revision_blocks.c
_TAKE_BLOCKS: Final = insert(revision_blocks).from_select(
    [column.name for column in _BLOCKS],
    select(
        _BLOCKS.namespace_id,
        _BLOCKS.node_id,
        bindparam("of_revision", type_=BigInteger),
        _BLOCKS.block_index,
        _BLOCKS.hash,
        _BLOCKS.size,
    ).where(
        _BLOCKS.namespace_id == bindparam("base_namespace"),
        _BLOCKS.node_id == bindparam("base_node"),
        _BLOCKS.revision == bindparam("base_revision"),
    ),
)
_TAKES_BLOCKS: Final = ("of_revision", "base_namespace", "base_node", "base_revision")
_TAKES_CUT: Final = ("base_namespace", "base_node", "base_revision", "of_namespace", "of_node", "of_revision")


class SqlCommit:
    """`ports.metadata_store.CommitTransaction`; made by `begin`."""

    def __init__(self, connection: AsyncConnection, head: Head) -> None:
        self._connection = connection
        self._head = head
        self._dialect = connection.dialect.name
        self._namespace: NamespaceId = head.namespace

    @classmethod
    async def begin(cls, connection: AsyncConnection, namespace: NamespaceId, user: UserId) -> SqlCommit:
        """Locks the namespace's row. Raises `NotFound` unless the user is a member."""
        rows = await connection.execute(head_query().with_for_update(of=namespaces), {"namespace": namespace, "user": user})
        row = rows.first()
        if row is None:
            raise NotFound(what="The namespace")
        return cls(connection, head_of(row))

    @property
    def head(self) -> Head:
        return self._head

    async def stored_answer(self, device: DeviceId, key: str) -> StoredAnswer | None:
        rows = await self._connection.execute(_STORED, {"namespace": self._namespace, "device": device, "key": key})
        row = rows.first()
        return None if row is None else StoredAnswer(body_hash=row[0], answer=row[1])

    async def nodes(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return await self._entries(trees.nodes_by_id(self._dialect), ids=as_json(ids)) if ids else []

    async def ancestors(self, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return await self._entries(trees.above(self._dialect), ids=as_json(ids)) if ids else []

    async def holders(self, places: Sequence[Place]) -> list[JournalEntry]:
        return await self._entries(trees.at_places(self._dialect), places=as_json(places)) if places else []

    async def below(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        return await self._entries(trees.below(self._dialect), ids=as_json(ids), limit=limit) if ids else []

    async def deleted_with(self, ids: Sequence[NodeId], limit: int) -> list[JournalEntry]:
        return await self._entries(trees.deleted_with(self._dialect), ids=as_json(ids), limit=limit) if ids else []

    async def child_counts(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        rows = await self._rows(trees.child_counts(self._dialect), ids=as_json(ids)) if ids else []
        return {NodeId(row[0]): row[1] for row in rows}

    async def heights(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        rows = await self._rows(trees.heights(self._dialect), ids=as_json(ids)) if ids else []
        return {NodeId(row[0]): row[1] for row in rows}

    async def held(self, hashes: Sequence[Digest]) -> dict[Digest, HeldBlock]:
        found: dict[Digest, HeldBlock] = {}
        for start in range(0, len(hashes), HASHES_AT_ONCE):
            rows = await self._rows(_HELD, hashes=blobs(hashes[start : start + HASHES_AT_ONCE]))
            found |= {Digest(row[0].hex()): HeldBlock(row[1], row[2] == "condemned") for row in rows}
        return found

    async def readable_elsewhere(self, user: UserId, hashes: Sequence[Digest]) -> dict[Digest, int]:
        found: dict[Digest, int] = {}
        for start in range(0, len(hashes), HASHES_AT_ONCE):
            rows = await self._rows(_ELSEWHERE, user=user, hashes=blobs(hashes[start : start + HASHES_AT_ONCE]))
            found |= {Digest(row[0].hex()): row[1] for row in rows}
        return found

    async def usage(self) -> Usage:
        usage = await usage_of(self._connection, self._head.owner)
        if usage is None:
            raise NotFound(what="The owner")
        return usage

    async def write(self, written: Written) -> None:
        if written.rows:
            await self._write_nodes(written)
            await self._write_revisions(written.revisions)
            await self._write_journal(written)
        await self._write_possession(written)
        stored = written.stored
        answer = (self._namespace, written.device, written.key, stored.body_hash, stored.answer, written.time_us)
        await insert_rows(
            self._connection, idempotency, ("namespace_id", "device_id", "key", "body_hash", "answer", "time_us"), [answer]
        )

    # -- Parts of a write -------------------------------------------------------------------------------------------------

    async def _write_nodes(self, written: Written) -> None:
        here = self._namespace
        await execute_many(self._connection, _VACATE, ("of_namespace", "of_node"), [(here, node) for node in written.vacated])
        new: list[Row] = []
        changed: list[Row] = []
        for row, key in zip(written.rows, written.keys, strict=True):
            values = row_of(row.entry)
            if row.entry.node_id in written.fresh:
                new.append((here, *values, key, None, None))
            else:
                changed.append((*values[:3], values[4], values[5], *values[7:], key, here, row.entry.node_id))
        await execute_many(self._connection, _CHANGE, (*_CHANGED, "name_key", "of_namespace", "of_node"), changed)
        await insert_rows(self._connection, nodes, ("namespace_id", *PLACED_STATE, "name_key", "mime_type", "description"), new)
        described = [(text.mime_type, text.description, here, text.node_id) for text in written.texts]
        await execute_many(self._connection, _DESCRIBE, ("mime_type", "description", "of_namespace", "of_node"), described)

    async def _write_revisions(self, born: list[NewRevision]) -> None:
        here = self._namespace
        await insert_rows(
            self._connection,
            revisions,
            ("namespace_id", *PLACED_STATE, "cut"),
            [(here, *row_of(revision.entry), revision.cut) for revision in born],
        )
        await insert_rows(
            self._connection,
            revision_blocks,
            ("namespace_id", "node_id", "revision", "block_index", "hash", "size"),
            [
                (here, revision.entry.node_id, revision.entry.revision, index, bytes.fromhex(block.hash), block.size)
                for revision in born
                for index, block in enumerate(revision.blocks or ())
            ],
        )
        based = [
            (revision.entry.node_id, revision.entry.revision, revision.based_on) for revision in born if revision.blocks is None
        ]
        blocks = [(number, here, node, base) for node, number, base in based]
        await execute_many(self._connection, _TAKE_BLOCKS, _TAKES_BLOCKS, blocks)
        cuts = [(here, node, base, here, node, number) for node, number, base in based]
        await execute_many(self._connection, _TAKE_CUT, _TAKES_CUT, cuts)

    async def _write_journal(self, written: Written) -> None:
        rows = [(self._namespace, *row_of(row.entry), bytes.fromhex(row.chain), bytes.fromhex(row.root)) for row in written.rows]
        await insert_rows(self._connection, journal, ("namespace_id", *PLACED_STATE, "chain", "root"), rows)
        last = written.rows[-1]
        await self._connection.execute(
            update(namespaces)
            .where(namespaces.c.namespace_id == self._namespace)
            .values(head_sequence=last.entry.sequence, chain=bytes.fromhex(last.chain), root=bytes.fromhex(last.root))
        )

    async def _write_possession(self, written: Written) -> None:
        acquired = [(self._namespace, bytes.fromhex(block.hash), block.size, "held", written.time_us) for block in written.acquired]
        await insert_rows(self._connection, namespace_blocks, ("namespace_id", "hash", "size", "state", "since_us"), acquired)
        if acquired:
            await self._connection.execute(
                update(namespaces)
                .where(namespaces.c.namespace_id == self._namespace)
                .values(used_bytes=namespaces.c.used_bytes + sum(block.size for block in written.acquired))
            )
        table = namespace_blocks.c
        for start in range(0, len(written.revived), HASHES_AT_ONCE):
            hashes = blobs(written.revived[start : start + HASHES_AT_ONCE])
            await self._connection.execute(
                update(namespace_blocks)
                .where(table.namespace_id == self._namespace, table.hash.in_(hashes))
                .values(state="held", since_us=written.time_us)
            )

    async def _rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        return (await self._connection.execute(statement, {"namespace": self._namespace, **parameters})).all()

    async def _entries(self, statement: Any, **parameters: Any) -> list[JournalEntry]:
        return [entry_of(row) for row in await self._rows(statement, **parameters) if row[0] is not None]
