"""`ports.metadata_store.MetadataStore` on a SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, bindparam, select

from syncline.adapters.sql import outbox, trees
from syncline.adapters.sql.commits import SqlCommit
from syncline.adapters.sql.database import Database, Stored, Transaction
from syncline.adapters.sql.heads import head_of, head_query, member_heads, usage_of
from syncline.adapters.sql.prune import prune_answers, prune_journals
from syncline.adapters.sql.rows import as_json, entry_of, fetch, placed
from syncline.adapters.sql.schema import PLACED_STATE, journal, namespaces, nodes, revisions
from syncline.model.errors import NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import CommitTransaction, Head, JournalPage, Place, Pruned, RevisionBlocks, Usage
from syncline.protocol.blocks import RevisionRef

T = TypeVar("T")

NAMESPACE: Final = trees.NAMESPACE
_JOURNAL: Final = (
    select(*placed(journal), journal.c.chain, journal.c.root)
    .where(journal.c.namespace_id == NAMESPACE, journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
)
_VERSION: Final = select(namespaces.c.chain, namespaces.c.pruned_sequence, namespaces.c.head_sequence).where(
    namespaces.c.namespace_id == NAMESPACE
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
_CHAIN_AND_ROOT: Final = len(PLACED_STATE), len(PLACED_STATE) + 1


class SqlMetadata(Stored):
    def __init__(self, database: Database, server_id: str) -> None:
        super().__init__(database)
        self._server_id = server_id

    async def server_id(self) -> str:
        return self._server_id

    @asynccontextmanager
    async def commit(self, namespace: NamespaceId, user: UserId) -> AsyncIterator[CommitTransaction]:
        async with self._database.transaction() as transaction:
            commit = await SqlCommit.begin(transaction, self._database.dialect, namespace, user)
            yield commit
        self._database.saw(namespace, commit.written_to)

    async def decided(self, namespace: NamespaceId, user: UserId, decide: Callable[[CommitTransaction], Awaitable[T]]) -> T:
        async def work(transaction: Transaction) -> tuple[T, int]:
            commit = await SqlCommit.begin(transaction, self._database.dialect, namespace, user)
            return await decide(commit), commit.written_to

        result, written_to = await self._database.whole(work)
        self._database.saw(namespace, written_to)
        return result

    async def heads(self, user: UserId) -> list[Head]:
        heads = [head_of(row) for row in await self._rows(member_heads(), user=user)]
        return sorted(heads, key=lambda head: (not (head.is_root and head.owner == user), head.namespace))

    async def head(self, user: UserId, namespace: NamespaceId) -> Head | None:
        rows = await self._rows(head_query(), of=namespace, user=user, namespace=namespace)
        if not rows:
            return None
        head = head_of(rows[0])
        self._database.saw(namespace, head.sequence)
        return head

    async def chains(self, user: UserId, positions: Sequence[tuple[NamespaceId, int]]) -> dict[tuple[NamespaceId, int], Digest]:
        if not positions:
            return {}
        statement = trees.chains(self._database.dialect)
        rows = await self._rows(statement, user=user, positions=as_json(positions))
        return {(NamespaceId(row[0]), row[1]): Digest(row[2].hex()) for row in rows if row[2] is not None}

    async def version_of(self, namespace: NamespaceId) -> str | None:
        rows = await self._rows(_VERSION, of=namespace, namespace=namespace)
        if not rows:
            return None
        chain, pruned, sequence = rows[0]
        # What is read under this version is no older than it, whichever copy of the database it is read from.
        self._database.saw(namespace, sequence)
        return f"{chain.hex()}:{pruned}"

    async def journal(self, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
        return await self._database.read_behind(lambda connection: _page(connection, namespace, after, limit), of=namespace)

    async def live(self, namespace: NamespaceId, after: NodeId | None, limit: int) -> list[JournalEntry]:
        given = {"namespace": namespace, "after": after or "", "limit": limit}
        return await self._database.read_behind(lambda connection: _entries(connection, _LIVE, given), of=namespace)

    async def nodes(self, namespace: NamespaceId, ids: Sequence[NodeId]) -> list[JournalEntry]:
        return await self._entries(trees.nodes_by_id(self._database.dialect), namespace=namespace, ids=as_json(ids))

    async def ancestors(self, namespace: NamespaceId, node: NodeId) -> list[JournalEntry]:
        return await self._entries(trees.above(self._database.dialect), namespace=namespace, ids=as_json([node]))

    async def child(self, namespace: NamespaceId, place: Place) -> JournalEntry | None:
        found = await self._entries(_CHILD, namespace=namespace, folder=place[0], key=place[1])
        return found[0] if found else None

    async def children(
        self, namespace: NamespaceId, folder: NodeId, after_key: str | None, limit: int
    ) -> list[tuple[str, JournalEntry]]:
        given = {"namespace": namespace, "folder": folder, "after": after_key or "", "limit": limit}
        rows = await self._database.read_behind(lambda connection: fetch(connection, _CHILDREN, **given), of=namespace)
        return [(row[-1], entry_of(row)) for row in rows]

    async def versions(self, namespace: NamespaceId, node: NodeId, limit: int) -> list[JournalEntry]:
        given = {"namespace": namespace, "node": node, "limit": limit}
        return await self._database.read_behind(lambda connection: _entries(connection, _VERSIONS, given), of=namespace)

    async def revision_blocks(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        return await self._described(namespace, refs, _manifests)

    async def revisions(self, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> list[RevisionBlocks]:
        return await self._described(namespace, refs, _bare)

    async def _described(self, namespace: NamespaceId, refs: Sequence[RevisionRef], ask: _Ask) -> list[RevisionBlocks]:
        if not refs:
            return []
        wanted = sorted({(ref.node_id, ref.revision) for ref in refs})
        manifests = await self._database.read_behind(lambda connection: ask(connection, namespace, wanted), of=namespace)
        return [
            manifests.get((ref.node_id, ref.revision)) or RevisionBlocks(node_id=ref.node_id, revision=ref.revision) for ref in refs
        ]

    async def usage(self, user: UserId) -> Usage:
        usage = await self._database.read(lambda connection: usage_of(connection, user))
        if usage is None:
            raise NotFound(what="The user")
        return usage

    async def unpublished(self, limit: int) -> list[tuple[NamespaceId, int]]:
        return await self._database.read(lambda connection: outbox.unpublished(connection, limit))

    async def mark_published(self, heads: Sequence[tuple[NamespaceId, int]]) -> None:
        if heads:
            await self._database.write(lambda connection: outbox.mark(connection, heads))

    async def prune(self, *, journal_before_us: int, answers_before_us: int, limit: int) -> Pruned:
        def work(connection: Connection) -> Pruned:
            answers = prune_answers(connection, answers_before_us, limit)
            rows = prune_journals(connection, journal_before_us, limit)
            return Pruned(journal_rows=rows, answers=answers, more=rows >= limit or answers >= limit)

        return await self._database.write(work)

    async def _rows(self, statement: Any, *, of: NamespaceId | None = None, **parameters: Any) -> Sequence[Any]:
        return await self._database.read(lambda connection: fetch(connection, statement, **parameters), of=of)

    async def _entries(self, statement: Any, namespace: NamespaceId, **parameters: Any) -> list[JournalEntry]:
        given = {"namespace": namespace, **parameters}
        return await self._database.read(lambda connection: _entries(connection, statement, given), of=namespace)


def _entries(connection: Connection, statement: Any, parameters: dict[str, Any]) -> list[JournalEntry]:
    return list(map(entry_of, fetch(connection, statement, **parameters)))


def _page(connection: Connection, namespace: NamespaceId, after: int, limit: int) -> JournalPage:
    rows = list(fetch(connection, _PAGE, namespace=namespace, after=after, limit=limit + 1))
    has_more = len(rows) > limit
    if has_more:
        beyond = rows.pop()
        if beyond.changeset == rows[-1].changeset:
            last = rows[-1].sequence
            end = fetch(connection, _NEXT_CHANGESET, namespace=namespace, after=last, changeset=beyond.changeset)
            if end:
                rows += fetch(connection, _UP_TO, namespace=namespace, after=last, before=end[0][0])
                if rows[-1].sequence + 1 != end[0][0]:
                    # The rest of the changeset was pruned between two statements: so were the rows before it.
                    return JournalPage([], None, None, False)
            else:
                rows += fetch(connection, _JOURNAL, namespace=namespace, after=last)
            has_more = bool(end)
    if not rows:
        return JournalPage([], None, None, False)
    chain, root = (rows[-1][index].hex() for index in _CHAIN_AND_ROOT)
    return JournalPage([entry_of(row) for row in rows], Digest(chain), root, has_more)


_Manifests: TypeAlias = dict[tuple[str, int], RevisionBlocks]
_Ask: TypeAlias = Callable[[Connection, NamespaceId, Sequence[tuple[NodeId, int]]], _Manifests]


def _bare(connection: Connection, namespace: NamespaceId, wanted: Sequence[tuple[NodeId, int]]) -> _Manifests:
    """Manifests without their blocks."""
    parameters = {"namespace": namespace, "refs": as_json(wanted)}
    return {
        (row[0], row[1]): RevisionBlocks(
            node_id=NodeId(row[0]),
            revision=row[1],
            content_hash=Digest("" if row[2] is None else row[2].hex()),
            size=row[3],
            cut=row[4],
            blocks=None if row[2] is None else [],
            raw=row[2] is None,
        )
        for row in fetch(connection, trees.revisions_by_ref(connection.dialect.name), **parameters)
        if row[3] is not None
    }


def _manifests(connection: Connection, namespace: NamespaceId, wanted: Sequence[tuple[NodeId, int]]) -> _Manifests:
    manifests = _bare(connection, namespace, wanted)
    parameters = {"namespace": namespace, "refs": as_json(wanted)}
    dialect = connection.dialect.name
    for node, revision, block, size in fetch(connection, trees.blocks_by_ref(dialect), **parameters):
        manifest = manifests.get((node, revision))
        if block is not None and manifest is not None and manifest.blocks is not None:
            manifest.blocks.append((Digest(block.hex()), size))
    return manifests
