"""A folder becomes a namespace: its rows change the namespace they belong to, set by set, and no bytes move."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, and_, bindparam, insert, select, update

from syncline.adapters.sql.rows import as_json, entry_of, execute_many, fetch, insert_rows, listed, placed, row_of, texts
from syncline.adapters.sql.schema import (
    PLACED_STATE,
    grants,
    journal,
    members,
    namespaces,
    nodes,
    raw_contents,
    revision_blocks,
    revisions,
)
from syncline.adapters.sql.sharing.sources import give_up, take_over
from syncline.model.entries import Access, Kind
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry, root_text
from syncline.ports.share_store import Conversion

_HERE: Final[Any] = bindparam("namespace")
_NODES: Final = nodes.c
_RENEWED: Final = ("sequence", "changeset", "op", "actor", "device", "time_us")
_MOVE_NODE: Final = (
    update(nodes)
    .where(nodes.c.namespace_id == bindparam("of_namespace"), nodes.c.node_id == bindparam("of_node"))
    .values({"namespace_id": bindparam("to_namespace")} | {name: bindparam(name) for name in _RENEWED})
)


@cache
def _children(dialect: str, *, live: bool) -> Select[Any]:
    """`ids` → placed states of what lies directly in these folders, by one of the two indexes that know."""
    here = (_NODES.namespace_id == _HERE, _NODES.parent_id.in_(listed(texts(dialect, "ids"))))
    return select(*placed(nodes)).where(*here, _NODES.name_key.is_not(None) if live else _NODES.name_key.is_(None))


def tree(connection: Connection, namespace: NamespaceId, folder: NodeId, limit: int) -> list[JournalEntry]:
    """Parents before children, a level at a time."""
    found: list[JournalEntry] = []
    above = [folder]
    while above and len(found) < limit:
        level = [
            entry_of(row)
            for live in (True, False)
            for row in fetch(connection, _children(connection.dialect.name, live=live), namespace=namespace, ids=as_json(above))
        ]
        found += level
        above = [entry.node_id for entry in level if entry.kind is Kind.DIR]
    return found[:limit]


def convert(connection: Connection, conversion: Conversion) -> None:
    made = NamespaceId(conversion.folder)
    _make(connection, made, conversion)
    rows = {row.entry.node_id: row_of(row.entry) for row in conversion.rows}
    moved = [(made, row[0], row[1], row[2], row[14], row[15], row[16], conversion.source, row[3]) for row in rows.values()]
    execute_many(connection, _MOVE_NODE, ("to_namespace", *_RENEWED, "of_namespace", "of_node"), moved)
    ids = as_json(list(rows))
    # No journal row of the new namespace made them.
    _follow(connection, revisions, conversion.source, made, ids, sequence=0)
    for table in (revision_blocks, grants, raw_contents):
        _follow(connection, table, conversion.source, made, ids)
    journaled = [(made, *rows[row.entry.node_id], bytes.fromhex(row.chain), bytes.fromhex(row.root)) for row in conversion.rows]
    insert_rows(connection, journal, ("namespace_id", *PLACED_STATE, "chain", "root"), journaled)
    take_over(connection, conversion.source, made, list(rows), conversion.time_us)
    give_up(connection, conversion.source, made)


def _make(connection: Connection, made: NamespaceId, conversion: Conversion) -> None:
    last = conversion.rows[-1] if conversion.rows else None
    connection.execute(
        insert(namespaces).values(
            namespace_id=made,
            owner_id=conversion.owner,
            name=conversion.name,
            is_root=False,
            epoch=conversion.epoch,
            head_sequence=len(conversion.rows),
            published_sequence=0,
            pruned_sequence=0,
            chain=bytes.fromhex(EMPTY_CHAIN if last is None else last.chain),
            root=bytes.fromhex(root_text(0) if last is None else last.root),
            name_key_version=conversion.name_key_version,
            used_bytes=0,
            created_us=conversion.time_us,
        )
    )
    connection.execute(
        insert(members).values(namespace_id=made, user_id=conversion.owner, access=Access.OWNER.value, since_us=conversion.time_us)
    )


def _follow(connection: Connection, table: Table, source: NamespaceId, made: NamespaceId, ids: str, **values: Any) -> None:
    mine = and_(
        table.c.namespace_id == bindparam("source"),
        table.c.node_id.in_(listed(texts(connection.dialect.name, "ids"))),
    )
    moved = update(table).where(mine).values(namespace_id=bindparam("made"), **values)
    connection.execute(moved, {"source": source, "made": made, "ids": ids})
