"""The journal by time and by cause: what was changed since an instant, and what became of what one device did.

A position is the last row written at an instant or before: clocks may jump, sequences do not. What is found is read in one state
of the database, together with the head it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import CTE, Connection, Select, and_, func, literal_column, select

from syncline.adapters.sql import trees
from syncline.adapters.sql.rows import entry_of, placed
from syncline.adapters.sql.schema import PLACED_STATE, bases, journal, namespaces, nodes, tombstones
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.ports.past_store import Acts, Since, Stories, Story, Touched

_NS = trees.NAMESPACE
_WIDTH = len(PLACED_STATE)
_NODE = journal.c.node_id.concat(literal_column("''"))
"""The bare column would tempt the planner to walk the whole namespace by node, where the window is a range of the primary key."""


def since(connection: Connection, namespace: NamespaceId, time_us: int, limit: int) -> Since | None:
    with one_state(connection):
        head = _head(connection, namespace)
        position = _position(connection, namespace, time_us, head.pruned_sequence)
        if position is None:
            return None
        touched = _after(position, limit)
        given = {"namespace": namespace}
        before = {row[0]: entry_of(row[1:]) for row in connection.execute(_before(touched, position), given) if row[1] is not None}
        seen = list(connection.execute(_present(touched), given))
        rest = {row[0]: _base(row, position) for row in connection.execute(_bases(touched), given)}
    found = [
        Touched(NodeId(row[0]), before.get(row[0]) or rest.get(row[0]), _entry(row[1 : 1 + _WIDTH]), row[-1] is not None)
        for row in seen
    ]
    return Since(sequence=head.head_sequence, chain=Digest(head.chain.hex()), position=position, touched=found)


def acts(connection: Connection, namespace: NamespaceId, wanted: Acts, limit: int) -> Stories | None:
    with one_state(connection):
        head = _head(connection, namespace)
        found = _range(connection, namespace, wanted, head.pruned_sequence)
        if found is None:
            return None
        start, end = found
        which = and_(journal.c.sequence > start, journal.c.sequence <= end)
        if wanted.device is not None:
            which = and_(which, journal.c.device == wanted.device)
        first = (
            select(_NODE.label("id"), func.min(journal.c.sequence).label("first"))
            .where(journal.c.namespace_id == _NS, which)
            .group_by(_NODE)
            .cte("touched")
        )
        given = {"namespace": namespace}
        rows = _grouped(connection.execute(_from_first(first, limit), given))
        before = {row[0]: entry_of(row[1:]) for row in connection.execute(_before(first, None), given) if row[1] is not None}
        seen = list(connection.execute(_present(first), given))
        rest = {row[0]: entry_of(row[1:]) for row in connection.execute(_bases(first), given)}
    stories = [
        Story(
            NodeId(row[0]),
            before.get(row[0]) or rest.get(row[0]),
            rows.get(row[0], []),
            _entry(row[1 : 1 + _WIDTH]),
            row[-1] is not None,
        )
        for row in seen
    ]
    return Stories(sequence=head.head_sequence, chain=Digest(head.chain.hex()), start=start, end=end, stories=stories)


@contextmanager
def one_state(connection: Connection) -> Iterator[None]:
    """Several statements of a reading connection, which otherwise each see a state of their own."""
    repeatable = " ISOLATION LEVEL REPEATABLE READ" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"BEGIN{repeatable}")
    try:
        yield
    finally:
        connection.exec_driver_sql("COMMIT")


def _head(connection: Connection, namespace: NamespaceId) -> Any:
    columns = (namespaces.c.head_sequence, namespaces.c.chain, namespaces.c.pruned_sequence, namespaces.c.is_root)
    return connection.execute(select(*columns).where(namespaces.c.namespace_id == namespace)).one()


def _position(connection: Connection, namespace: NamespaceId, time_us: int, pruned: int) -> int | None:
    """The last sequence written at `time_us` or before, found from the newest row backwards; None where it is not kept."""
    rows = select(journal.c.sequence).where(journal.c.namespace_id == namespace, journal.c.time_us <= time_us)
    found = connection.scalar(rows.order_by(journal.c.sequence.desc()).limit(1))
    if found is not None:
        return int(found)
    return None if pruned else 0


def _range(connection: Connection, namespace: NamespaceId, wanted: Acts, pruned: int) -> tuple[int, int] | None:
    """The sequences between which the acts lie; none at all for an unknown changeset."""
    if wanted.changeset is not None:
        rows = select(journal.c.sequence).where(journal.c.namespace_id == namespace).order_by(journal.c.sequence.desc()).limit(1)
        last = connection.scalar(rows.where(journal.c.changeset == wanted.changeset)) or 0
        # A changeset's rows follow one another.
        other = connection.scalar(rows.where(journal.c.changeset != wanted.changeset, journal.c.sequence < last)) or 0
        return min(other, last), last
    start = _position(connection, namespace, wanted.since_us - 1, pruned)
    end = _position(connection, namespace, wanted.until_us, pruned)
    if start is None or end is None:
        return None
    return start, end


def _after(position: int, limit: int) -> CTE:
    """`id`s of the nodes that rows after the position name, and the sequence after which they do."""
    ids = select(_NODE.label("id"), func.min(journal.c.sequence).label("first"))
    return ids.where(journal.c.namespace_id == _NS, journal.c.sequence > position).group_by(_NODE).limit(limit + 1).cte("touched")


def _before(touched: CTE, position: int | None) -> Select[Any]:
    """(id, its last kept row at the position; or, without one, below its first row); NULLs where there is none."""
    older = journal.alias("older")
    bound = older.c.sequence <= position if position is not None else older.c.sequence < touched.c.first
    last = (
        select(older.c.sequence)
        .where(older.c.namespace_id == _NS, older.c.node_id == touched.c.id, bound)
        .order_by(older.c.sequence.desc())
        .limit(1)
        .correlate(touched)
        .scalar_subquery()
    )
    here = and_(journal.c.namespace_id == _NS, journal.c.sequence == last)
    return select(touched.c.id, *placed(journal)).select_from(touched.outerjoin(journal, here))


def _bases(touched: CTE) -> Select[Any]:
    here = and_(bases.c.namespace_id == _NS, bases.c.node_id == touched.c.id)
    return select(touched.c.id, *placed(bases)).select_from(touched.join(bases, here))


def _present(touched: CTE) -> Select[Any]:
    """(id, its present row, its tombstone's sequence); NULLs where there is none."""
    here = and_(nodes.c.namespace_id == _NS, nodes.c.node_id == touched.c.id)
    gone = and_(tombstones.c.namespace_id == _NS, tombstones.c.node_id == touched.c.id)
    joined = touched.outerjoin(nodes, here).outerjoin(tombstones, gone)
    return select(touched.c.id, *placed(nodes), tombstones.c.sequence).select_from(joined)


def _from_first(first: CTE, limit: int) -> Select[Any]:
    here = and_(journal.c.namespace_id == _NS, journal.c.node_id == first.c.id, journal.c.sequence >= first.c.first)
    rows = select(*placed(journal)).select_from(first.outerjoin(journal, here))
    return rows.order_by(first.c.id, journal.c.sequence).limit(limit + 1)


def _grouped(rows: Any) -> dict[str, list[JournalEntry]]:
    found: dict[str, list[JournalEntry]] = {}
    for row in rows:
        entry = entry_of(row)
        found.setdefault(entry.node_id, []).append(entry)
    return found


def _entry(row: Sequence[Any]) -> JournalEntry | None:
    return None if row[0] is None else entry_of(row)


def _base(row: Sequence[Any], position: int) -> JournalEntry | None:
    entry = entry_of(row[1:])
    return entry if entry.sequence <= position else None
