"""`ports.content_store.ContentStore` on a SQL database.

Where a byte lies in a long block list is found by sums over groups of blocks, so neither the list nor a prefix of it is ever held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, and_, bindparam, cast, func, literal_column, select

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.rows import as_json, fetch, listed, pairs, texts
from syncline.adapters.sql.schema import members, namespaces, nodes, revision_blocks, revisions
from syncline.adapters.sql.tables.uploads import raw_contents
from syncline.adapters.sql.trees import NAMESPACE
from syncline.model.blocks import Block
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId
from syncline.ports.content_store import Content, ContentRef

GROUP_BLOCKS: Final = 1024
_BLOCKS: Final = revision_blocks.c
_OF_REVISION: Final = and_(
    _BLOCKS.namespace_id == NAMESPACE, _BLOCKS.node_id == bindparam("node"), _BLOCKS.revision == bindparam("revision")
)
_GROUP: Final = _BLOCKS.block_index // literal_column(str(GROUP_BLOCKS), BigInteger)
"""By a number in the text: PostgreSQL takes two parameters for two numbers, and what is selected for none of what is grouped by."""
_GROUPS: Final = (
    select(_GROUP, func.count(), cast(func.sum(_BLOCKS.size), BigInteger)).where(_OF_REVISION).group_by(_GROUP).order_by(_GROUP)
)
_PAGE: Final = (
    select(_BLOCKS.hash, _BLOCKS.size)
    .where(_OF_REVISION, _BLOCKS.block_index >= bindparam("first"))
    .order_by(_BLOCKS.block_index)
    .limit(bindparam("limit"))
)
_NODE: Final = (nodes.c.namespace_id, nodes.c.node_id, nodes.c.name, nodes.c.mime_type, nodes.c.revision, nodes.c.name_key)
_ONE: Final = select(*_NODE).where(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id == bindparam("node"))


@cache
def _seen_by(dialect: str) -> Select[Any]:
    """`ids`, `user` → the nodes of these ids in the user's namespaces, those of their own root first."""
    mine = members.join(namespaces, namespaces.c.namespace_id == members.c.namespace_id).join(
        nodes, nodes.c.namespace_id == members.c.namespace_id
    )
    own_root = and_(namespaces.c.is_root, namespaces.c.owner_id == members.c.user_id)
    return (
        select(*_NODE)
        .select_from(mine)
        .where(members.c.user_id == bindparam("user"), nodes.c.node_id.in_(listed(texts(dialect, "ids"))))
        .order_by(own_root.desc(), nodes.c.namespace_id)
    )


@cache
def _revisions(dialect: str) -> Select[Any]:
    """`refs` (node, revision) → (node, revision, content hash, size, mtime, raw object); NULLs where there is none."""
    wanted = pairs(dialect, "refs", numbers=True)
    here = and_(revisions.c.namespace_id == NAMESPACE, revisions.c.node_id == wanted.c.a, revisions.c.revision == wanted.c.b)
    raw = and_(
        raw_contents.c.namespace_id == NAMESPACE,
        raw_contents.c.node_id == wanted.c.a,
        raw_contents.c.revision == wanted.c.b,
        raw_contents.c.state.not_in(("settled", "rejected")),
    )
    return select(
        wanted.c.a, wanted.c.b, revisions.c.content_hash, revisions.c.size, revisions.c.mtime_us, raw_contents.c.object_key
    ).select_from(wanted.outerjoin(revisions, here).outerjoin(raw_contents, raw))


class SqlContents(Stored):
    async def find(self, user: UserId, refs: Sequence[ContentRef]) -> list[Content | None]:
        if not refs:
            return []
        ids = as_json(sorted({ref.node_id for ref in refs}))
        dialect = self._database.dialect

        def work(connection: Connection) -> list[Content | None]:
            by_id: dict[str, list[Any]] = defaultdict(list)
            for row in fetch(connection, _seen_by(dialect), user=user, ids=ids):
                by_id[row[1]].append(row)
            return _contents(connection, [(_chosen(by_id[ref.node_id], ref.namespace), ref.revision) for ref in refs])

        return await self._database.read(work)

    async def content(self, namespace: NamespaceId, node: NodeId, revision: int | None) -> Content | None:
        def work(connection: Connection) -> Content | None:
            rows = fetch(connection, _ONE, namespace=namespace, node=node)
            return _contents(connection, [(_chosen(rows, namespace), revision)])[0]

        return await self._database.read_behind(work, of=namespace)

    async def locate(self, content: Content, position: int) -> tuple[int, int]:
        of = {"namespace": content.namespace, "node": content.node_id, "revision": content.revision}

        def work(connection: Connection) -> tuple[int, int]:
            index = offset = 0
            for _, count, size in fetch(connection, _GROUPS, **of):
                if position < offset + size:
                    for _, one in fetch(connection, _PAGE, **of, first=index, limit=count):
                        if position < offset + one:
                            return index, offset
                        index, offset = index + 1, offset + one
                index, offset = index + count, offset + size
            return index, offset

        return await self._database.read_behind(work, of=content.namespace)

    async def blocks(self, content: Content, first: int, limit: int) -> list[Block]:
        of = {"namespace": content.namespace, "node": content.node_id, "revision": content.revision}

        def work(connection: Connection) -> list[Block]:
            return [Block(Digest(row[0].hex()), row[1]) for row in fetch(connection, _PAGE, **of, first=first, limit=limit)]

        return await self._database.read_behind(work, of=content.namespace)


def _chosen(rows: Sequence[Any], namespace: NamespaceId | None) -> Any | None:
    return next((row for row in rows if namespace in (None, row[0])), None)


def _contents(connection: Connection, wanted: Sequence[tuple[Any | None, int | None]]) -> list[Content | None]:
    """The contents of these (node row, revision), by the namespaces they lie in."""
    refs: dict[str, set[tuple[str, int]]] = defaultdict(set)
    keys: list[tuple[str, str, int] | None] = []
    for row, revision in wanted:
        key = None
        # A deleted node has no name key: only a revision of it that is named is given.
        if row is not None and (revision is not None or row[5] is not None):
            key = (row[0], row[1], row[4] if revision is None else revision)
            refs[key[0]].add(key[1:])
        keys.append(key)
    found: dict[tuple[str, str, int], Any] = {}
    statement = _revisions(connection.dialect.name)
    for namespace, some in refs.items():
        for row in fetch(connection, statement, namespace=namespace, refs=as_json(sorted(some))):
            found[namespace, row[0], row[1]] = row
    return [
        None if key is None or node is None else _content(node, found.get(key)) for (node, _), key in zip(wanted, keys, strict=True)
    ]


def _content(node: Any, revision: Any | None) -> Content | None:
    """None where there is no such revision, or neither a hash nor an object of it."""
    if revision is None or revision[3] is None or (revision[2] is None and revision[5] is None):
        return None
    return Content(
        namespace=NamespaceId(node[0]),
        node_id=NodeId(node[1]),
        revision=revision[1],
        name=node[2],
        size=revision[3],
        content_hash=None if revision[2] is None else Digest(revision[2].hex()),
        mime_type=node[3],
        mtime_us=revision[4],
        raw_key=revision[5] if revision[2] is None else None,
    )
