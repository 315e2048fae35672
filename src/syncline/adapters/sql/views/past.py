"""Questions about a namespace's past: where its journal stood, what changed last in a window, how nodes stood as of a sequence.

A state as of a sequence is the node's last journal row up to there, found by the index by node; where that row is no longer kept,
the node's present row if it is as old, else the base that pruning left of it. Paths go up level by level, one question a level for
all nodes asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, and_, bindparam, func, select

from syncline.adapters.sql.rows import as_json, entry_of, fetch, pairs, placed
from syncline.adapters.sql.schema import bases, journal, members, namespaces, nodes
from syncline.adapters.sql.trees import NAMESPACE
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import EMPTY_CHAIN, JournalEntry
from syncline.model.limits import DEPTH_MAX
from syncline.ports.view_store import AsOf, Folded, Position

LOOKED_AT_ONCE: Final = 20_000
"""Journal rows that one question looks at: a node that changed often costs a glance for each row."""

_HEAD: Final = select(namespaces.c.head_sequence, namespaces.c.pruned_sequence, namespaces.c.chain).where(
    namespaces.c.namespace_id == NAMESPACE
)
_ROW: Final = select(journal.c.time_us, journal.c.chain).where(
    journal.c.namespace_id == NAMESPACE, journal.c.sequence == bindparam("sequence")
)
_later: Final = journal.alias("later")
_FOLDED: Final = (
    select(*placed(journal))
    .where(journal.c.namespace_id == NAMESPACE, journal.c.sequence > bindparam("after"), journal.c.sequence <= bindparam("looked"))
    .where(
        journal.c.sequence
        == select(func.max(_later.c.sequence))
        .where(_later.c.namespace_id == NAMESPACE, _later.c.node_id == journal.c.node_id, _later.c.sequence <= bindparam("upto"))
        .correlate(journal)
        .scalar_subquery()
    )
    .order_by(journal.c.sequence)
    .limit(bindparam("limit"))
)
NODE_ROWS: Final = (
    select(*placed(journal))
    .where(journal.c.namespace_id == NAMESPACE, journal.c.node_id == bindparam("node"), journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
    .limit(bindparam("limit"))
)
ROWS: Final = (
    select(*placed(journal))
    .where(journal.c.namespace_id == NAMESPACE, journal.c.sequence > bindparam("after"), journal.c.sequence <= bindparam("upto"))
    .order_by(journal.c.sequence)
    .limit(bindparam("limit"))
)
HOMES: Final = (
    select(nodes.c.namespace_id)
    .join(members, and_(members.c.namespace_id == nodes.c.namespace_id, members.c.user_id == bindparam("user")))
    .where(nodes.c.node_id == bindparam("node"))
)
_down: Final = (
    select(nodes.c.node_id.label("id"))
    .where(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == bindparam("folder"), nodes.c.name_key.is_not(None))
    .cte("down", recursive=True)
)
_DOWN: Final = _down.union(
    select(nodes.c.node_id).where(nodes.c.namespace_id == NAMESPACE, nodes.c.parent_id == _down.c.id, nodes.c.name_key.is_not(None))
)
UNCHANGED_BELOW: Final = (
    select(*placed(nodes))
    .where(nodes.c.namespace_id == NAMESPACE, nodes.c.node_id.in_(select(_DOWN.c.id)), nodes.c.node_id > bindparam("after"))
    .where(nodes.c.sequence <= bindparam("since"))
    .order_by(nodes.c.node_id)
    .limit(bindparam("limit"))
)


def position_at(connection: Connection, namespace: NamespaceId, time_us: int) -> Position | None:
    """By halving: the rows' times go up with their sequences as long as the server's clock does."""
    rows = fetch(connection, _HEAD, namespace=namespace)
    if not rows:
        return None
    head, pruned, chain = rows[0]
    low, high = pruned, head
    found = Digest(chain.hex()) if pruned == head else None
    while low < high:
        middle = (low + high + 1) // 2
        row = fetch(connection, _ROW, namespace=namespace, sequence=middle)
        if not row:
            return None
        if row[0][0] <= time_us:
            low, found = middle, Digest(row[0][1].hex())
        else:
            high = middle - 1
    if low == 0:
        return Position(0, EMPTY_CHAIN)
    return None if low == pruned else Position(low, found or EMPTY_CHAIN)


def folded(connection: Connection, namespace: NamespaceId, after: int, upto: int, limit: int) -> Folded:
    looked = min(upto, after + LOOKED_AT_ONCE)
    rows = fetch(connection, _FOLDED, namespace=namespace, after=after, looked=looked, upto=upto, limit=limit)
    entries = list(map(entry_of, rows))
    return Folded(entries, entries[-1].sequence if len(entries) == limit else looked)


@cache
def _states(dialect: str) -> Select[Any]:
    """`wanted` (node, sequence) → those, and the node's last journal row up to there; NULLs where there is none."""
    wanted, earlier = pairs(dialect, "wanted", numbers=True), journal.alias("earlier")
    last = (
        select(func.max(earlier.c.sequence))
        .where(earlier.c.namespace_id == NAMESPACE, earlier.c.node_id == wanted.c.a, earlier.c.sequence <= wanted.c.b)
        .correlate(wanted)
        .scalar_subquery()
    )
    here = and_(journal.c.namespace_id == NAMESPACE, journal.c.sequence == last)
    return select(wanted.c.a, wanted.c.b, *placed(journal)).select_from(wanted.outerjoin(journal, here))


@cache
def _as_old(dialect: str, table: Table) -> Select[Any]:
    """`wanted` (node, sequence) → those, and the node's row in `table` where it is as old; NULLs where it is not."""
    wanted = pairs(dialect, "wanted", numbers=True)
    here = and_(table.c.namespace_id == NAMESPACE, table.c.node_id == wanted.c.a, table.c.sequence <= wanted.c.b)
    return select(wanted.c.a, wanted.c.b, *placed(table)).select_from(wanted.outerjoin(table, here))


def states(connection: Connection, namespace: NamespaceId, wanted: Iterable[AsOf]) -> dict[AsOf, JournalEntry]:
    asked, dialect = sorted(set(wanted)), connection.dialect.name
    found: dict[AsOf, JournalEntry] = {}
    for statement in (_states(dialect), _as_old(dialect, nodes), _as_old(dialect, bases)):
        missing = [one for one in asked if one not in found]
        if not missing:
            break
        rows = fetch(connection, statement, namespace=namespace, wanted=as_json(missing))
        found |= {(NodeId(row[0]), row[1]): entry_of(row[2:]) for row in rows if row[2] is not None}
    return found


def lineages(connection: Connection, namespace: NamespaceId, wanted: Sequence[AsOf]) -> dict[AsOf, list[JournalEntry]]:
    known: dict[AsOf, JournalEntry] = {}
    frontier = set(wanted)
    for _ in range(DEPTH_MAX + 1):
        if not frontier:
            break
        found = states(connection, namespace, frontier)
        known |= found
        above = {(entry.parent_id, as_of) for (_, as_of), entry in found.items() if entry.parent_id != NodeId(namespace)}
        frontier = above - known.keys()
    return {one: list(_upwards(known, one)) for one in set(wanted) if one in known}


def _upwards(known: dict[AsOf, JournalEntry], start: AsOf) -> Iterable[JournalEntry]:
    node, as_of = start
    for _ in range(DEPTH_MAX + 1):
        entry = known.get((node, as_of))
        if entry is None:
            return
        yield entry
        node = entry.parent_id
