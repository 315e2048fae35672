"""`ports.metadata_store.MetadataStore` on a SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncline.adapters.sql import trees
from syncline.adapters.sql.commits import SqlCommit
from syncline.adapters.sql.database import Database, Stored, whole
from syncline.adapters.sql.heads import head_of, head_query, member_heads, usage_of
from syncline.adapters.sql.rows import as_json, entry_of, execute_many, placed
from syncline.adapters.sql.schema import PLACED_STATE, idempotency, journal, namespaces, nodes, revisions
from syncline.model.errors import NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction, Head, JournalPage, Place, Pruned, RevisionBlocks, Usage
from syncline.protocol.blocks import RevisionRef

NAMESPACE: Final = trees.NAMESPACE
_JOURNAL: Final = (
    select(*placed(journal), journal.c.chain, journal.c.root)
    .where(journal.c.namespace_id == NAMESPACE, journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
)
_PAGE: Final = _JOURNAL.limit(bindparam("limit"))
_NEXT_CHANGESET: Final = (
    select(journal.c.sequence)
    .where(journal.c.namespace_id == NAMESPACE, journal.c.sequence > bindparam("after"))
    .where(journal.c.changeset != bindparam("changeset"))
    .order_by(journal.c.sequence)
    .limit(1)
)
_UP_TO: Final = _JOURNAL.where(journal.c.sequence < bindparam("before"))
_LIVE: Final = (
    select(*placed(nodes))
    .where(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id > bindparam("after"), nodes.c.name_key.is_not(None))
    .order_by(nodes.c.node_id)
    .limit(bindparam("limit"))
)
_CHILDREN: Final = (
    select(*placed(nodes), nodes.c.name_key)
    .where(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == bindparam("folder"), nodes.c.name_key > bindparam("after"))
    .order_by(nodes.c.name_key)
    .limit(bindparam("limit"))
)
_CHILD: Final = select(*placed(nodes)).where(
    nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == bindparam("folder"), nodes.c.name_key == bindparam("key")
)
_VERSIONS: Final = (
    select(*placed(revisions))
    .where(revisions.c.namespace_id == NAMESPACE, revisions.c.node_id == bindparam("node"))
    .order_by(revisions.c.revision.desc())
    .limit(bindparam("limit"))
)
_UNPUBLISHED: Final = (
    select(namespaces.c.namespace_id, namespaces.c.head_sequence)
    .where(namespaces.c.head_sequence > namespaces.c.published_sequence)
    .limit(bindparam("limit"))
)
_PUBLISH: Final = (
    update(namespaces)
    .where(namespaces.c.namespace_id == bindparam("of_namespace"), namespaces.c.published_sequence < bindparam("below"))
    .values(published_sequence=bindparam("published"))
)
_CHAIN_AND_ROOT: Final = len(PLACED_STATE), len(PLACED_STATE) + 1


class SqlMetadata(Stored):
    def __init__(self, database: Database, server_id: str) -> None:
        super().__init__(database)
        self._server_id = server_id

    async def server_id(self) -> str:
        return self._server_id

    @asynccontextmanager
    async def commit(self, namespace: NamespaceId, user: UserId) -> AsyncIterator[CommitTransaction]:
        async with self._database.write() as connection:
            yield await SqlCommit.begin(connection, namespace, user)

    @whole
    async def heads(self, user: UserId) -> list[Head]:
        heads = [head_of(row) for row in await self._rows(member_heads(), user=user)]
        return sorted(heads, key=lambda head: (not (head.is_root and head.owner == user), head.namespace))

    @whole
    async def head(self, user: UserId, namespace: NamespaceId) -> Head | None:
        rows = await self._rows(head_query(), user=user, namespace=namespace)
        return head_of(rows[0]) if rows else None

    @whole
    async def chains(self, user: UserId, positions: Sequence[tuple[NamespaceId, int]]) -> dict[tuple[NamespaceId, int], Digest]:
        if not positions:
            return {}
        statement = trees.chains(self._database.dialect)
        rows = await self._rows(statement, user=user, positions=as_json(positions))
        return {(NamespaceId(row[0]), row[1]): Digest(row[2].hex()) for row in rows if row[2] is not None}

    @whole
    async def journal(self, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
        async with self._database.read() as connection:
            found = await connection.execute(_PAGE, {"namespace": namespace, "after": after, "limit": limit + 1})
            rows = list(found.all())
            has_more = len(rows) > limit
            if has_more:
                beyond = rows.pop()
                if beyond.changeset == rows[-1].changeset:
                    here = {"namespace": namespace, "after": rows[-1].sequence}
                    end = await connection.scalar(_NEXT_CHANGESET, here | {"changeset": beyond.changeset})
                    rest = _JOURNAL if end is None else _UP_TO
                    rows += (await connection.execute(rest, here if end is None else here | {"before": end})).all()
                    has_more = end is not None
        if not rows:
            return JournalPage([], None, None, False)
        chain, root = (rows[-1][index].hex() for index in _CHAIN_AND_ROOT)
        return JournalPage([entry_of(row) for row in rows], Digest(chain), root, has_more)

    @whole
    async def live(self, namespace: NamespaceId, after: NodeId | None, limit: int) -> list[JournalEntry]:
        return await self._entries(_LIVE, namespace=namespace, after=after or "", limit=limit)

    @whole
    async def nodes(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return await self._entries(trees.nodes_by_id(self._database.dialect), namespace=namespace, ids=as_json(ids))

    @whole
    async def ancestors(self, namespace: NamespaceId, node: NodeId) -> list[JournalEntry]:
        return await self._entries(trees.above(self._database.dialect), namespace=namespace, ids=as_json([node]))

    @whole
    async def child(self, namespace: NamespaceId, place: Place) -> JournalEntry | None:
        found = await self._entries(_CHILD, namespace=namespace, folder=place[0], key=place[1])
        return found[0] if found else None

    @whole
    async def children(
        self, namespace: NamespaceId, folder: NodeId, after_key: str | None, limit: int
    ) -> list[tuple[str, JournalEntry]]:
        rows = await self._rows(_CHILDREN, namespace=namespace, folder=folder, after=after_key or "", limit=limit)
        return [(row[-1], entry_of(row)) for row in rows]

    @whole
    async def versions(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[JournalEntry]:
        return await self._entries(_VERSIONS, namespace=namespace, node=node, limit=limit)

    @whole
    async def revision_blocks(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        if not refs:
            return []
        wanted = sorted({(ref.node_id, ref.revision) for ref in refs})
        parameters = {"namespace": namespace, "refs": as_json(wanted)}
        dialect = self._database.dialect
        async with self._database.read() as connection:
            found = (await connection.execute(trees.revisions_by_ref(dialect), parameters)).all()
            blocks = (await connection.execute(trees.blocks_by_ref(dialect), parameters)).all()
        manifests: dict[tuple[str, int], RevisionBlocks] = {
            (row[0], row[1]): RevisionBlocks(
                node_id=NodeId(row[0]),
                revision=row[1],
                content_hash=Digest(row[2].hex()),
                size=row[3],
                cut=row[4],
                blocks=[],
            )
            for row in found
            if row[2] is not None
        }
        for node, revision, block, size in blocks:
            manifest = manifests.get((node, revision))
            if block is not None and manifest is not None and manifest.blocks is not None:
                manifest.blocks.append((Digest(block.hex()), size))
        return [
            manifests.get((ref.node_id, ref.revision)) or RevisionBlocks(node_id=ref.node_id, revision=ref.revision) for ref in refs
        ]

    @whole
    async def usage(self, user: UserId) -> Usage:
        async with self._database.read() as connection:
            usage = await usage_of(connection, user)
        if usage is None:
            raise NotFound(what="The user")
        return usage

    @whole
    async def unpublished(self, limit: int) -> list[tuple[NamespaceId, int]]:
        return [(NamespaceId(row[0]), row[1]) for row in await self._rows(_UNPUBLISHED, limit=limit)]

    @whole
    async def mark_published(self, heads: Sequence[tuple[NamespaceId, int]]) -> None:
        async with self._database.write() as connection:
            rows = [(sequence, namespace, sequence) for namespace, sequence in heads]
            await execute_many(connection, _PUBLISH, ("published", "of_namespace", "below"), rows)

    @whole
    async def prune(self, *, journal_before_us: int, answers_before_us: int, limit: int) -> Pruned:
        async with self._database.write() as connection:
            answers = await self._prune_answers(connection, answers_before_us, limit)
            rows = await self._prune_journals(connection, journal_before_us, limit)
        return Pruned(journal_rows=rows, answers=answers, more=rows >= limit or answers >= limit)

    async def _prune_answers(self, connection: AsyncConnection, before_us: int, limit: int) -> int:
        table = idempotency.c
        old = select(table.namespace_id, table.device_id, table.key).where(table.time_us < before_us).order_by(table.time_us)
        rows = (await connection.execute(old.limit(limit))).all()
        one = delete(idempotency).where(
            table.namespace_id == bindparam("of_namespace"),
            table.device_id == bindparam("of_device"),
            table.key == bindparam("of_key"),
        )
        await execute_many(connection, one, ("of_namespace", "of_device", "of_key"), [tuple(row) for row in rows])
        return len(rows)

    async def _prune_journals(self, connection: AsyncConnection, before_us: int, limit: int) -> int:
        """Namespace by namespace: whole changesets, the old ones, and never a namespace's last."""
        first = and_(journal.c.namespace_id == namespaces.c.namespace_id, journal.c.sequence == namespaces.c.pruned_sequence + 1)
        stale = select(namespaces.c.namespace_id, namespaces.c.pruned_sequence, namespaces.c.head_sequence).join(journal, first)
        pruned = 0
        for namespace, before, head in (await connection.execute(stale.where(journal.c.time_us < before_us).limit(limit))).all():
            if pruned >= limit:
                break
            kept = await _first_kept(connection, NamespaceId(namespace), before_us, before + limit - pruned, head)
            here = journal.c.namespace_id == namespace
            pruned += (await connection.execute(delete(journal).where(here, journal.c.sequence < kept))).rowcount
            moved = update(namespaces).where(namespaces.c.namespace_id == namespace).values(pruned_sequence=kept - 1)
            await connection.execute(moved)
        return pruned

    async def _rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        async with self._database.read() as connection:
            return (await connection.execute(statement, parameters)).all()

    async def _entries(self, statement: Any, **parameters: Any) -> list[JournalEntry]:
        return [entry_of(row) for row in await self._rows(statement, **parameters)]


async def _first_kept(connection: AsyncConnection, namespace: NamespaceId, before_us: int, last: int, head: int) -> int:
    """The first sequence that stays when about the rows up to `last` go: always where a changeset begins, since a changeset's
    rows all have one time."""
    rows = select(journal.c.sequence).where(journal.c.namespace_id == namespace)
    changeset = select(journal.c.changeset).where(journal.c.namespace_id == namespace)
    newest = await connection.scalar(changeset.where(journal.c.sequence == head))
    backwards = rows.where(journal.c.sequence < head, journal.c.changeset != newest).order_by(journal.c.sequence.desc())
    bound = (await connection.scalar(backwards.limit(1)) or 0) + 1
    young = rows.where(journal.c.sequence < bound, journal.c.time_us >= before_us).order_by(journal.c.sequence)
    bound = await connection.scalar(young.limit(1)) or bound
    if last + 1 >= bound:
        return int(bound)
    current = await connection.scalar(changeset.where(journal.c.sequence == last))
    onwards = rows.where(journal.c.sequence > last, journal.c.changeset != current).order_by(journal.c.sequence)
    return int(await connection.scalar(onwards.limit(1)) or bound)
