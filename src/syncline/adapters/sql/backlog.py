"""`ports.backlog.BacklogStore` on a SQL database: a few bounded counts over indexes.

None of them knows a namespace beforehand, so on a sharded database each asks every shard: once every so often, not once a request.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Select, and_, func, select

from syncline.adapters.sql.database import Stored
from syncline.adapters.sql.schema import journal, namespaces, raw_contents
from syncline.adapters.sql.tables.uploads import uploads
from syncline.ports.backlog import Backlog
from syncline.ports.upload_store import OPEN_STATES

COUNTED_MAX: Final = 10_000


def _counted(statement: Select[str]) -> Select[int]:
    return select(func.count()).select_from(statement.limit(COUNTED_MAX).subquery())


_UPLOADS: Final = _counted(select(uploads.c.upload_id).where(uploads.c.state.in_(OPEN_STATES)))
_INGEST: Final = _counted(select(raw_contents.c.node_id).where(raw_contents.c.state == "waiting"))
_INGEST_OLDEST: Final = select(func.min(raw_contents.c.due_us)).where(raw_contents.c.state == "waiting")
_BEHIND: Final = namespaces.c.head_sequence > namespaces.c.published_sequence
_RELAY: Final = _counted(select(namespaces.c.namespace_id).where(_BEHIND))
_SOME: Final = select(namespaces.c.namespace_id, namespaces.c.published_sequence).where(_BEHIND).limit(COUNTED_MAX).subquery()
_RELAY_OLDEST: Final = select(func.min(journal.c.time_us)).select_from(
    _SOME.join(
        journal,
        and_(journal.c.namespace_id == _SOME.c.namespace_id, journal.c.sequence == _SOME.c.published_sequence + 1),
    )
)


class SqlBacklog(Stored):
    async def look(self, *, relay: bool) -> Backlog:
        return await self._database.read(lambda connection: _look(connection, relay))


def _look(connection: Connection, relay: bool) -> Backlog:
    return Backlog(
        uploads_open=connection.scalar(_UPLOADS) or 0,
        ingest_waiting=connection.scalar(_INGEST) or 0,
        ingest_oldest_us=connection.scalar(_INGEST_OLDEST),
        relay_waiting=(connection.scalar(_RELAY) or 0) if relay else 0,
        relay_oldest_us=connection.scalar(_RELAY_OLDEST) if relay else None,
    )
