"""One commit's transaction on the database: what it reads under the namespace's row lock, and everything it writes.

On PostgreSQL the lock is the row's (`FOR UPDATE`); SQLite's writers are one at a time already. Writing is a handful of bulk
statements whatever the number of changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, and_, bindparam, exists, func, insert, null, select, update

from syncline.adapters.sql import trees
from syncline.adapters.sql.database import Transaction
from syncline.adapters.sql.heads import grants_query, head_by_grants, head_of, head_query, lock_query, usage_of
from syncline.adapters.sql.past.bases import keep_bases
from syncline.adapters.sql.possession import revive, revive_named
from syncline.adapters.sql.rows import Row, as_json, blobs, entry_of, execute, execute_all, execute_many, fetch, insert_rows, row_of
from syncline.adapters.sql.schema import (
    PLACED_STATE,
    block_copies,
    idempotency,
    journal,
    members,
    namespace_blocks,
    namespaces,
    nodes,
    packs,
    revision_blocks,
    revisions,
)
from syncline.adapters.sql.sharing import within
from syncline.adapters.sql.uploads.born import EARLIER, RAW_WAITS, write_raw
from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.model.paths import name_key
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
_OF_NODES: Final = (
    select(revision_blocks.c.hash)
    .where(revision_blocks.c.namespace_id == bindparam("namespace"))
    .where(revision_blocks.c.hash.in_(bindparam("hashes", expanding=True)))
    .where(revision_blocks.c.node_id.in_(bindparam("nodes", expanding=True)))
)
_SENT: Final = (
    select(block_copies.c.hash)
    .join(packs, packs.c.pack_id == block_copies.c.pack_id)
    .where(block_copies.c.hash.in_(bindparam("hashes", expanding=True)))
    .where(packs.c.namespace_id == bindparam("namespace"), packs.c.user_id == bindparam("user"), packs.c.state == "done")
)
_STORED: Final = select(idempotency.c.body_hash, idempotency.c.answer).where(
    idempotency.c.namespace_id == bindparam("namespace"),
    idempotency.c.device_id == bindparam("device"),
    idempotency.c.key == bindparam("key"),
)

_ADVANCE: Final = (
    update(namespaces)
    .where(namespaces.c.namespace_id == bindparam("of_namespace"))
    .values(head_sequence=bindparam("sequence"), chain=bindparam("new_chain"), root=bindparam("new_root"))
)
_THIS_NODE: Final = and_(nodes.c.namespace_id == bindparam("of_namespace"), nodes.c.node_id == bindparam("of_node"))
_VACATE: Final = update(nodes).where(_THIS_NODE).values(name_key=null())
_CHANGED: Final = tuple(name for name in PLACED_STATE if name not in ("node_id", "kind"))
_CHANGE: Final = (
    update(nodes)
    .where(_THIS_NODE)
    .values({name: bindparam(name) for name in _CHANGED} | {name: bindparam(name) for name in ("name_key", "search_key")})
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


def _locked(connection: Connection, namespace: NamespaceId, user: UserId) -> Head | None:
    rows = fetch(connection, head_query(locking=True), namespace=namespace, user=user)
    if rows:
        return head_of(rows[0])
    fetch(connection, lock_query(), namespace=namespace)
    return head_by_grants(fetch(connection, grants_query(), namespace=namespace, user=user))


class SqlCommit:
    """`ports.metadata_store.CommitTransaction`; made by `begin`."""

    def __init__(self, transaction: Transaction, dialect: str, head: Head, user: UserId) -> None:
        self._user = user
        self._transaction = transaction
        self._head = head
        self._dialect = dialect
        self._namespace: NamespaceId = head.namespace
        self.written_to = head.sequence
        """Where the head stands once the transaction has ended well."""

    @classmethod
    async def begin(cls, transaction: Transaction, dialect: str, namespace: NamespaceId, user: UserId) -> SqlCommit:
        """Locks the namespace's row. Raises `NotFound` unless the user is a member, or was granted a file in it."""
        head = await transaction.run(lambda connection: _locked(connection, namespace, user))
        if head is None:
            raise NotFound(what="The namespace")
        return cls(transaction, dialect, head, user)

    @property
    def head(self) -> Head:
        return self._head

    async def stored_answer(self, device: DeviceId, key: str) -> StoredAnswer | None:
        rows = await self._rows(_STORED, device=device, key=key)
        return StoredAnswer(body_hash=rows[0][0], answer=rows[0][1]) if rows else None

    async def chain_at(self, sequence: int) -> Digest | None:
        rows = await self._rows(trees.chains(self._dialect), user=self._user, positions=as_json([(self._namespace, sequence)]))
        return None if rows[0][2] is None else Digest(rows[0][2].hex())

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
        if self._head.only is not None:
            mine = await self._within_grants(self._head.only, list(found))
            found = {block: held for block, held in found.items() if block in mine}
        return found

    async def _within_grants(self, only: frozenset[NodeId], hashes: Sequence[Digest]) -> set[Digest]:
        """Those that make up a revision of the granted files, or that the user sent here. To name others would be to read them."""
        mine: set[Digest] = set()
        for start in range(0, len(hashes), HASHES_AT_ONCE):
            part = blobs(hashes[start : start + HASHES_AT_ONCE])
            rows = [*await self._rows(_OF_NODES, nodes=sorted(only), hashes=part)] if only else []
            rows += await self._rows(_SENT, user=self._user, hashes=part)
            mine |= {Digest(row[0].hex()) for row in rows}
        return mine

    async def joined(self, user: UserId, namespaces: Sequence[NamespaceId]) -> list[NamespaceId]:
        return await self._transaction.run(lambda connection: within.joined(connection, user, namespaces))

    async def elsewhere(self, user: UserId, ids: Sequence[NodeId]) -> dict[NodeId, NamespaceId]:
        return await self._transaction.run(lambda connection: within.elsewhere(connection, user, self._namespace, ids))

    async def readable_elsewhere(self, user: UserId, hashes: Sequence[Digest]) -> dict[Digest, int]:
        found: dict[Digest, int] = {}
        for start in range(0, len(hashes), HASHES_AT_ONCE):
            rows = await self._rows(_ELSEWHERE, user=user, hashes=blobs(hashes[start : start + HASHES_AT_ONCE]))
            found |= {Digest(row[0].hex()): row[1] for row in rows}
        return found

    async def raw_waits(self, node: NodeId, revision: int) -> bool:
        return bool(await self._rows(RAW_WAITS, node=node, revision=revision))

    async def earlier(self, node: NodeId, revision: int) -> JournalEntry | None:
        found = await self._entries(EARLIER, node=node, revision=revision)
        return found[0] if found else None

    async def usage(self) -> Usage:
        usage = await self._transaction.run(lambda connection: usage_of(connection, self._head.owner))
        if usage is None:
            raise NotFound(what="The owner")
        return usage

    async def revisions(self, refs: Sequence[tuple[NodeId, int]]) -> list[JournalEntry]:
        return await self._entries(trees.rows_by_ref(self._dialect), refs=as_json(refs))

    async def tombstones(self, ids: Sequence[NodeId]) -> dict[NodeId, int]:
        rows = await self._rows(trees.tombstones_by_id(self._dialect), ids=as_json(ids))
        return {NodeId(row[0]): row[1] for row in rows}

    async def write(self, written: Written) -> None:
        await self._transaction.run(lambda connection: self._write(connection, written))

    # -- Parts of a write -------------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, written: Written) -> None:
        if written.rows:
            states = {row.entry.node_id: row_of(row.entry) for row in written.rows}
            keep_bases(connection, self._head, [node for node in states if node not in written.fresh])
            self._write_nodes(connection, written, states)
            self._write_revisions(connection, written.revisions, states)
            self._write_journal(connection, written, states)
        self._write_possession(connection, written)
        write_raw(connection, self._namespace, written)
        stored = written.stored
        answer = (self._namespace, written.device, written.key, stored.body_hash, stored.answer, written.time_us)
        insert_rows(connection, idempotency, ("namespace_id", "device_id", "key", "body_hash", "answer", "time_us"), [answer])

    def _write_nodes(self, connection: Connection, written: Written, states: dict[NodeId, Row]) -> None:
        here = self._namespace
        execute_all(connection, _VACATE, ("of_namespace", "of_node"), [(here, node) for node in written.vacated])
        new: list[Row] = []
        changed: list[Row] = []
        for row, key in zip(written.rows, written.keys, strict=True):
            values = states[row.entry.node_id]
            search_key = None if key is None else name_key(row.entry.name)
            if row.entry.node_id in written.fresh:
                new.append((here, *values, key, None, None, search_key))
            else:
                changed.append((*values[:3], values[4], values[5], *values[7:], key, search_key, here, row.entry.node_id))
        execute_all(connection, _CHANGE, (*_CHANGED, "name_key", "search_key", "of_namespace", "of_node"), changed)
        insert_rows(connection, nodes, ("namespace_id", *PLACED_STATE, "name_key", "mime_type", "description", "search_key"), new)
        described = [(text.mime_type, text.description, here, text.node_id) for text in written.texts]
        execute_many(connection, _DESCRIBE, ("mime_type", "description", "of_namespace", "of_node"), described)

    def _write_revisions(self, connection: Connection, born: list[NewRevision], states: dict[NodeId, Row]) -> None:
        here = self._namespace
        insert_rows(
            connection,
            revisions,
            ("namespace_id", *PLACED_STATE, "cut"),
            [(here, *states[revision.entry.node_id], revision.cut) for revision in born],
        )
        insert_rows(
            connection,
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
        execute_all(connection, _TAKE_BLOCKS, _TAKES_BLOCKS, blocks)
        cuts = [(here, node, base, here, node, number) for node, number, base in based]
        execute_all(connection, _TAKE_CUT, _TAKES_CUT, cuts)

    def _write_journal(self, connection: Connection, written: Written, states: dict[NodeId, Row]) -> None:
        rows = [
            (self._namespace, *states[row.entry.node_id], bytes.fromhex(row.chain), bytes.fromhex(row.root)) for row in written.rows
        ]
        insert_rows(connection, journal, ("namespace_id", *PLACED_STATE, "chain", "root"), rows)
        last = written.rows[-1]
        self.written_to = last.entry.sequence
        head = {"sequence": last.entry.sequence, "new_chain": bytes.fromhex(last.chain), "new_root": bytes.fromhex(last.root)}
        execute(connection, _ADVANCE, of_namespace=self._namespace, **head)

    def _write_possession(self, connection: Connection, written: Written) -> None:
        acquired = [(self._namespace, bytes.fromhex(block.hash), block.size, "held", written.time_us) for block in written.acquired]
        insert_rows(connection, namespace_blocks, ("namespace_id", "hash", "size", "state", "since_us"), acquired)
        if acquired:
            connection.execute(
                update(namespaces)
                .where(namespaces.c.namespace_id == self._namespace)
                .values(used_bytes=namespaces.c.used_bytes + sum(block.size for block in written.acquired))
            )
        revive(connection, self._namespace, blobs(block.hash for block in written.revived), written.time_us)
        based = [(revision.entry.node_id, revision.based_on) for revision in written.revisions if revision.blocks is None]
        revive_named(connection, self._namespace, based, written.time_us)

    async def _rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        return await self._transaction.run(lambda connection: fetch(connection, statement, namespace=self._namespace, **parameters))

    async def _entries(self, statement: Any, **parameters: Any) -> list[JournalEntry]:
        return [entry_of(row) for row in await self._rows(statement, **parameters) if row[0] is not None]
