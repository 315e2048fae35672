"""The outbox: namespaces whose head moved past what was published, and how far each was.

The mark lies in the row that commits lock. On PostgreSQL a row that a commit holds right now is passed over, so that marking many
never waits for one long commit while it holds the others: it is found unpublished again, and published once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, text, update

from syncline.adapters.sql.rows import as_json, execute_many, fetch
from syncline.adapters.sql.schema import namespaces
from syncline.model.ids import NamespaceId

_UNPUBLISHED: Final = (
    select(namespaces.c.namespace_id, namespaces.c.head_sequence)
    .where(namespaces.c.head_sequence > namespaces.c.published_sequence)
    .limit(bindparam("limit"))
)
_MARK: Final = (
    update(namespaces)
    .where(namespaces.c.namespace_id == bindparam("of_namespace"), namespaces.c.published_sequence < bindparam("below"))
    .values(published_sequence=bindparam("published"))
)
_MARK_THE_FREE: Final = text(
    """WITH given AS MATERIALIZED (
        SELECT value ->> 0 AS namespace_id, CAST(value ->> 1 AS bigint) AS sequence
        FROM jsonb_array_elements(CAST(:heads AS jsonb))
    ), free AS MATERIALIZED (
        SELECT namespaces.namespace_id, given.sequence
        FROM namespaces JOIN given ON given.namespace_id = namespaces.namespace_id
        WHERE namespaces.published_sequence < given.sequence
        FOR NO KEY UPDATE OF namespaces SKIP LOCKED
    )
    UPDATE namespaces SET published_sequence = free.sequence FROM free
    WHERE namespaces.namespace_id = free.namespace_id"""
)


def unpublished(connection: Connection, limit: int) -> list[tuple[NamespaceId, int]]:
    return [(NamespaceId(row[0]), row[1]) for row in fetch(connection, _UNPUBLISHED, limit=limit)]


def mark(connection: Connection, heads: Sequence[tuple[NamespaceId, int]]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_MARK_THE_FREE, {"heads": as_json(heads)})
        return
    rows = [(sequence, namespace, sequence) for namespace, sequence in heads]
    execute_many(connection, _MARK, ("published", "of_namespace", "below"), rows)
