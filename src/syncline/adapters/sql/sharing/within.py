"""What a commit asks about the caller's other namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, select

from syncline.adapters.sql.rows import as_json, fetch, listed, texts
from syncline.adapters.sql.schema import members, nodes
from syncline.model.ids import NamespaceId, NodeId, UserId, is_ulid

IDS_AT_ONCE: Final = 1000
_JOINED: Final = select(members.c.namespace_id).where(
    members.c.user_id == bindparam("user"), members.c.namespace_id.in_(bindparam("ids", expanding=True))
)


def joined(connection: Connection, user: UserId, namespaces: Sequence[NamespaceId]) -> list[NamespaceId]:
    found: list[NamespaceId] = []
    for start in range(0, len(namespaces), IDS_AT_ONCE):
        rows = fetch(connection, _JOINED, user=user, ids=list(namespaces[start : start + IDS_AT_ONCE]))
        found += [NamespaceId(row[0]) for row in rows]
    return found


@cache
def _elsewhere(dialect: str) -> Select[Any]:
    """Ids that were made together lie close together: a namespace that has none in their whole range is asked just that."""
    ranged = nodes.alias("ranged")
    has_any = (
        select(ranged.c.node_id)
        .where(ranged.c.namespace_id == members.c.namespace_id, ranged.c.node_id.between(bindparam("least"), bindparam("most")))
        .correlate(members)
        .exists()
    )
    return (
        select(nodes.c.node_id, nodes.c.namespace_id)
        .join(members, and_(members.c.namespace_id == nodes.c.namespace_id, members.c.user_id == bindparam("user")))
        .where(nodes.c.namespace_id != bindparam("here"), nodes.c.mount.is_(False))
        .where(nodes.c.node_id.in_(listed(texts(dialect, "ids"))), has_any)
    )


def elsewhere(connection: Connection, user: UserId, here: NamespaceId, ids: Sequence[NodeId]) -> dict[NodeId, NamespaceId]:
    ids = [node for node in ids if is_ulid(node)]  # Nothing has any other.
    if not ids:
        return {}
    statement = _elsewhere(connection.dialect.name)
    rows = fetch(connection, statement, user=user, here=here, ids=as_json(ids), least=min(ids), most=max(ids))
    return {NodeId(row[0]): NamespaceId(row[1]) for row in rows}
