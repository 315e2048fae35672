"""Where the kept journal begins for each node that it changes: the state in which the pruned part had left it.

A node that no kept row changes needs none, since its own row says it. So a base is written at two instants: when a row is pruned
and a later one is kept, and when a node whose last row was pruned is changed again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select

from syncline.adapters.sql.rows import as_json, listed, placed, texts
from syncline.adapters.sql.schema import PLACED_STATE, bases, journal, nodes
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.metadata_store import Head

_COLUMNS = ["namespace_id", *PLACED_STATE]


def keep_bases(connection: Connection, head: Head, ids: Sequence[NodeId]) -> None:
    """Before these nodes are changed: those whose last row was pruned leave it here."""
    if head.pruned_sequence == 0 or not ids:
        return
    pruned = and_(
        nodes.c.namespace_id == head.namespace,
        nodes.c.node_id.in_(listed(texts(connection.dialect.name, "ids"))),
        nodes.c.sequence <= bindparam("pruned"),
    )
    given = {"ids": as_json(ids), "pruned": head.pruned_sequence}
    older = select(nodes.c.node_id).where(pruned)
    connection.execute(delete(bases).where(bases.c.namespace_id == head.namespace, bases.c.node_id.in_(older)), given)
    connection.execute(insert(bases).from_select(_COLUMNS, select(nodes.c.namespace_id, *placed(nodes)).where(pruned)), given)


def save_bases(connection: Connection, namespace: NamespaceId, kept: int) -> None:
    """Before the rows below sequence `kept` are pruned: the last of each node that later rows change takes the base's place."""
    going = and_(journal.c.namespace_id == namespace, journal.c.sequence < kept)
    ids = select(journal.c.node_id).where(going)
    connection.execute(delete(bases).where(bases.c.namespace_id == namespace, bases.c.node_id.in_(ids)))
    last = select(func.max(journal.c.sequence)).where(going).group_by(journal.c.node_id)
    changed = and_(nodes.c.namespace_id == journal.c.namespace_id, nodes.c.node_id == journal.c.node_id, nodes.c.sequence >= kept)
    rows = select(journal.c.namespace_id, *placed(journal)).join(nodes, changed)
    rows = rows.where(journal.c.namespace_id == namespace, journal.c.sequence.in_(last))
    connection.execute(insert(bases).from_select(_COLUMNS, rows))
