"""The trash: deleted nodes by deletion, and their removal for good.

What is removed is looked at again under the namespace's row lock: a node goes only while it is still deleted by the row that was
seen. What lay inside goes before what it lay in, so that a removal cut short leaves whole entries in the trash.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, bindparam, delete, exists, insert, or_, select

from syncline.adapters.sql import trees
from syncline.adapters.sql.possession import condemn, lock
from syncline.adapters.sql.rows import as_json, listed, pairs, placed, texts
from syncline.adapters.sql.schema import bases, namespaces, nodes, revision_blocks, revisions, tombstones
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.past_store import Purged

NS: Final = trees.NAMESPACE
_GONE: Final = nodes.c.name_key.is_(None)
_ABOVE: Final = nodes.alias("above")
_TOP: Final = ~exists().where(
    _ABOVE.c.namespace_id == nodes.c.namespace_id,
    _ABOVE.c.node_id == nodes.c.parent_id,
    _ABOVE.c.name_key.is_(None),
    _ABOVE.c.changeset == nodes.c.changeset,
)
_NAMESPACES_AT_ONCE: Final = 1_000


@cache
def tops(*, below: bool) -> Any:
    """`namespace`, `limit` → placed states of top-most deleted nodes, newest deletion first; `below` a `time_us`, `sequence`."""
    found = select(*placed(nodes)).where(nodes.c.namespace_id == NS, _GONE, ~nodes.c.mount, _TOP)
    if below:
        earlier = and_(nodes.c.time_us == bindparam("time_us"), nodes.c.sequence < bindparam("sequence"))
        found = found.where(or_(nodes.c.time_us < bindparam("time_us"), earlier))
    return found.order_by(nodes.c.time_us.desc(), nodes.c.sequence.desc()).limit(bindparam("limit"))


def due(connection: Connection, before_us: int, limit: int) -> list[tuple[NamespaceId, NodeId, int]]:
    old = and_(_GONE, ~nodes.c.mount, nodes.c.time_us < before_us)
    some = exists().where(nodes.c.namespace_id == namespaces.c.namespace_id, old)
    spaces = select(namespaces.c.namespace_id).where(some).limit(_NAMESPACES_AT_ONCE)
    found: list[tuple[NamespaceId, NodeId, int]] = []
    for (namespace,) in connection.execute(spaces).all():
        rows = select(nodes.c.node_id, nodes.c.sequence).where(nodes.c.namespace_id == namespace, old)
        rows = rows.order_by(nodes.c.time_us, nodes.c.sequence).limit(limit - len(found))
        found += [(NamespaceId(namespace), NodeId(row[0]), row[1]) for row in connection.execute(rows)]
        if len(found) >= limit:
            break
    return found


def purge(connection: Connection, namespace: NamespaceId, wanted: Sequence[tuple[NodeId, int]], now_us: int) -> Purged:
    lock(connection, namespace)
    asked = pairs(connection.dialect.name, "wanted", numbers=True)
    still = and_(nodes.c.namespace_id == namespace, nodes.c.node_id == asked.c.a, nodes.c.sequence == asked.c.b, _GONE)
    statement = select(nodes.c.node_id, nodes.c.sequence, nodes.c.revision).select_from(asked.outerjoin(nodes, still))
    going = [row for row in connection.execute(statement, {"wanted": as_json(wanted)}) if row[0] is not None]
    if not going:
        return Purged()
    ids = as_json([row[0] for row in going])
    hashes = _named_by(connection, namespace, ids)
    for table in (revision_blocks, revisions, bases, tombstones, nodes):
        _delete(connection, table, namespace, ids)
    rows = [
        {"namespace_id": namespace, "node_id": row[0], "sequence": row[1], "revision": row[2], "purged_us": now_us} for row in going
    ]
    connection.execute(insert(tombstones), rows)
    return Purged(nodes=len(going), freed_bytes=condemn(connection, namespace, hashes, now_us))


def _named_by(connection: Connection, namespace: NamespaceId, ids: str) -> list[bytes]:
    table = revision_blocks.c
    wanted = listed(texts(connection.dialect.name, "ids"))
    found = select(table.hash).where(table.namespace_id == namespace, table.node_id.in_(wanted)).distinct()
    return list(connection.execute(found, {"ids": ids}).scalars())


def _delete(connection: Connection, table: Table, namespace: NamespaceId, ids: str) -> None:
    wanted = listed(texts(connection.dialect.name, "ids"))
    connection.execute(delete(table).where(table.c.namespace_id == namespace, table.c.node_id.in_(wanted)), {"ids": ids})
