"""Old versions, and what nothing names any more: read page by page across namespaces, removed under each one's row lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, tuple_, update

from syncline.adapters.sql.possession import condemn, lock, sweep_page
from syncline.adapters.sql.rows import as_json, execute_many, pairs
from syncline.adapters.sql.schema import namespace_blocks, nodes, revision_blocks, revisions, server
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.past_store import Purged, Swept, VersionRow

_REVISIONS: Final = revisions.c
_LATER: Final = tuple_(_REVISIONS.namespace_id, _REVISIONS.node_id) > tuple_(bindparam("after_namespace"), bindparam("after_node"))
_PRESENT: Final = and_(nodes.c.namespace_id == _REVISIONS.namespace_id, nodes.c.node_id == _REVISIONS.node_id)
_ROWS: Final = (
    select(
        _REVISIONS.namespace_id,
        _REVISIONS.node_id,
        _REVISIONS.revision,
        _REVISIONS.time_us,
        nodes.c.revision == _REVISIONS.revision,
        _REVISIONS.content_hash.is_not(None),
    )
    .select_from(revisions.join(nodes, _PRESENT))
    .order_by(_REVISIONS.namespace_id, _REVISIONS.node_id, _REVISIONS.revision)
)
_PAGE: Final = _ROWS.where(_LATER).limit(bindparam("limit"))
_OF_NODE: Final = _ROWS.where(_REVISIONS.namespace_id == bindparam("namespace"), _REVISIONS.node_id == bindparam("node"))
_DROP_BLOCKS: Final = delete(revision_blocks).where(
    revision_blocks.c.namespace_id == bindparam("of_namespace"),
    revision_blocks.c.node_id == bindparam("of_node"),
    revision_blocks.c.revision == bindparam("of_revision"),
)
_DROP: Final = delete(revisions).where(
    _REVISIONS.namespace_id == bindparam("of_namespace"),
    _REVISIONS.node_id == bindparam("of_node"),
    _REVISIONS.revision == bindparam("of_revision"),
)


def version_rows(connection: Connection, after: tuple[str, str], limit: int) -> list[VersionRow]:
    given = {"after_namespace": after[0], "after_node": after[1], "limit": limit}
    rows = list(connection.execute(_PAGE, given))
    if len(rows) == limit:
        # The last node may go on beyond the page: it is read whole.
        namespace, node = rows[-1][:2]
        rows = [row for row in rows if tuple(row[:2]) != (namespace, node)]
        rows += connection.execute(_OF_NODE, {"namespace": namespace, "node": node}).all()
    return [VersionRow(NamespaceId(row[0]), NodeId(row[1]), row[2], row[3], bool(row[4]), bool(row[5])) for row in rows]


def drop(connection: Connection, namespace: NamespaceId, refs: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
    lock(connection, namespace)
    asked = pairs(connection.dialect.name, "refs", numbers=True)
    kept = and_(_REVISIONS.namespace_id == namespace, _REVISIONS.node_id == asked.c.a, _REVISIONS.revision == asked.c.b)
    old = and_(nodes.c.namespace_id == namespace, nodes.c.node_id == asked.c.a, nodes.c.revision != asked.c.b)
    found = asked.outerjoin(revisions, kept).outerjoin(nodes, old)
    rows = connection.execute(
        select(_REVISIONS.node_id, _REVISIONS.revision, nodes.c.node_id).select_from(found), {"refs": as_json(refs)}
    )
    going = [(row[0], row[1]) for row in rows if row[0] is not None and row[2] is not None]
    blocks = revision_blocks.c
    named = and_(blocks.namespace_id == namespace, blocks.node_id == asked.c.a, blocks.revision == asked.c.b)
    hashes = select(blocks.hash).select_from(asked.outerjoin(revision_blocks, named)).distinct()
    freed = [block for block in connection.execute(hashes, {"refs": as_json(going)}).scalars() if block is not None]
    for statement in (_DROP_BLOCKS, _DROP):
        execute_many(connection, statement, ("of_namespace", "of_node", "of_revision"), [(namespace, *ref) for ref in going])
    return Purged(nodes=len(going), freed_bytes=condemn(connection, namespace, freed, now_us))


def sweep(connection: Connection, after: str, limit: int, *, abandoned_us: int, removed_us: int, now_us: int) -> Swept:
    """A place reads `namespace/hash`."""
    at, _, seen = after.partition("/")
    if not seen:
        beyond = select(namespace_blocks.c.namespace_id).where(namespace_blocks.c.namespace_id > at)
        found = connection.scalar(beyond.order_by(namespace_blocks.c.namespace_id).limit(1))
        if found is None:
            return Swept(None, 0)
        at = found
    namespace = NamespaceId(at)
    lock(connection, namespace)
    last, removed = sweep_page(
        connection,
        namespace,
        bytes.fromhex(seen),
        limit,
        abandoned_us=abandoned_us,
        removed_us=removed_us,
        now_us=now_us,
    )
    return Swept(namespace if last is None else f"{namespace}/{last.hex()}", removed)


def remembered(connection: Connection, key: str) -> str:
    return connection.scalar(select(server.c.value).where(server.c.key == key)) or ""


def remember(connection: Connection, key: str, value: str) -> None:
    if not connection.execute(update(server).where(server.c.key == key).values(value=value)).rowcount:
        connection.execute(insert(server).values(key=key, value=value))
