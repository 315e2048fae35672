"""Forgetting: stored answers and journal rows past their time, a bounded number a call, in one transaction.

Nobody asks for it on a namespace's behalf, so it goes across namespaces; what it leaves of each still starts and ends with whole
changesets, and the last one always stays, so that the chain can be checked.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from syncline.adapters.sql.past.bases import save_bases
from syncline.adapters.sql.rows import execute_many
from syncline.adapters.sql.schema import idempotency, journal, namespaces
from syncline.model.ids import NamespaceId


def prune_answers(connection: Connection, before_us: int, limit: int) -> int:
    table = idempotency.c
    old = select(table.namespace_id, table.device_id, table.key).where(table.time_us < before_us).order_by(table.time_us)
    rows = connection.execute(old.limit(limit)).all()
    one = delete(idempotency).where(
        table.namespace_id == bindparam("of_namespace"),
        table.device_id == bindparam("of_device"),
        table.key == bindparam("of_key"),
    )
    execute_many(connection, one, ("of_namespace", "of_device", "of_key"), [tuple(row) for row in rows])
    return len(rows)


_PLACES: Final = select(namespaces.c.pruned_sequence, namespaces.c.head_sequence).with_for_update()


def prune_journals(connection: Connection, before_us: int, limit: int) -> int:
    """Namespace by namespace: whole changesets, the old ones, and never a namespace's last. One that has only its last is left
    out, or those that rest would be all that is ever looked at. Another process may be at it too: each namespace is locked, and
    looked at again, before anything goes."""
    last = journal.alias("last")
    first = and_(journal.c.namespace_id == namespaces.c.namespace_id, journal.c.sequence == namespaces.c.pruned_sequence + 1)
    newest = and_(last.c.namespace_id == namespaces.c.namespace_id, last.c.sequence == namespaces.c.head_sequence)
    stale = (
        select(namespaces.c.namespace_id, namespaces.c.pruned_sequence, namespaces.c.head_sequence)
        .join(journal, first)
        .join(last, and_(newest, last.c.changeset != journal.c.changeset))
    )
    pruned = 0
    for namespace, seen, _ in (connection.execute(stale.where(journal.c.time_us < before_us).limit(limit))).all():
        if pruned >= limit:
            break
        before, head = connection.execute(_PLACES.where(namespaces.c.namespace_id == namespace)).one()
        if before != seen:
            continue
        kept = _first_kept(connection, NamespaceId(namespace), before_us, before + limit - pruned, head)
        here = journal.c.namespace_id == namespace
        save_bases(connection, NamespaceId(namespace), kept)
        pruned += (connection.execute(delete(journal).where(here, journal.c.sequence < kept))).rowcount
        moved = update(namespaces).where(namespaces.c.namespace_id == namespace).values(pruned_sequence=kept - 1)
        connection.execute(moved)
    return pruned


def _first_kept(connection: Connection, namespace: NamespaceId, before_us: int, last: int, head: int) -> int:
    """The first sequence that stays when about the rows up to `last` go: always where a changeset begins, since a changeset's
    rows all have one time."""
    rows = select(journal.c.sequence).where(journal.c.namespace_id == namespace)
    changeset = select(journal.c.changeset).where(journal.c.namespace_id == namespace)
    newest = connection.scalar(changeset.where(journal.c.sequence == head))
    backwards = rows.where(journal.c.sequence < head, journal.c.changeset != newest).order_by(journal.c.sequence.desc())
    bound = connection.execute(backwards.limit(1)).scalar_one() + 1
    young = rows.where(journal.c.sequence < bound, journal.c.time_us >= before_us).order_by(journal.c.sequence)
    bound = connection.scalar(young.limit(1)) or bound
    if last + 1 >= bound:
        return int(bound)
    current = connection.scalar(changeset.where(journal.c.sequence == last))
    onwards = rows.where(journal.c.sequence > last, journal.c.changeset != current).order_by(journal.c.sequence)
    return int(connection.scalar(onwards.limit(1)) or bound)
