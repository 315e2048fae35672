"""Opens the database and hands out its stores. The only way in."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Connection, select, text

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.accounts import SqlAccounts
from syncline.adapters.sql.audience import SqlAudience
from syncline.adapters.sql.content.contents import SqlContents
from syncline.adapters.sql.database import Database
from syncline.adapters.sql.leases import SqlLeases
from syncline.adapters.sql.links.store import SqlLinks
from syncline.adapters.sql.metadata import SqlMetadata
from syncline.adapters.sql.migrate import migrate, migrate_server
from syncline.adapters.sql.packs import SqlPacks
from syncline.adapters.sql.past.store import SqlPast
from syncline.adapters.sql.schema import server
from syncline.adapters.sql.sharing.store import SqlShares
from syncline.adapters.sql.sqlite import SqliteDatabase
from syncline.adapters.sql.uploads.raw import SqlRaws
from syncline.adapters.sql.uploads.store import SqlUploads
from syncline.adapters.sql.views.store import SqlViews
from syncline.model.errors import InvalidRequest
from syncline.ports.clock import Clock, Ids


class Stores:
    """The stores of one database; close it when done."""

    def __init__(self, database: Database, server_id: str, clock: Clock, ids: Ids) -> None:
        self.database = database
        self.metadata = SqlMetadata(database, server_id)
        self.accounts = SqlAccounts(database, server_id, clock, ids)
        self.packs = SqlPacks(database)
        self.uploads = SqlUploads(database)
        self.raws = SqlRaws(database)
        self.contents = SqlContents(database)
        self.shares = SqlShares(database)
        self.past = SqlPast(database)
        self.links = SqlLinks(database)
        self.views = SqlViews(database)
        self.audience = SqlAudience(database)
        self.leases = SqlLeases(database, clock)

    async def close(self) -> None:
        """Waits for a transaction under way, then lets go of every connection."""
        await self.database.close()


async def open_stores(
    where: Path | str, *, replica: str | None = None, clock: Clock | None = None, ids: Ids | None = None
) -> Stores:
    """Creates or upgrades the database as needed and opens it: SQLite's at a path, PostgreSQL's at a URL, where it must exist and
    may be empty; `replica` is the URL of one that follows it. Another process may have it open too.

    Raises `Unavailable` when it cannot be reached or is locked for longer than the busy timeout, `Corrupt` when it is no database,
    `InvalidRequest` when a newer Syncline wrote it.
    """
    clock = clock or MachineClock()
    ids = ids or Ids(clock, MachineChance())
    database = await _opened(where, replica, clock)
    try:
        return Stores(database, await _server_id(database, ids), clock, ids)
    except BaseException:
        await database.close()
        raise


async def _opened(where: Path | str, replica: str | None, clock: Clock) -> Database:
    if isinstance(where, Path):
        await asyncio.to_thread(migrate, where)
        return SqliteDatabase(where)
    if find_spec("psycopg") is None:
        raise InvalidRequest(message='database needs the driver of PostgreSQL: pip install "syncline[scale]"')
    from syncline.adapters.sql.postgres import PostgresDatabase

    await asyncio.to_thread(migrate_server, where)
    primary = PostgresDatabase(where, MachineChance())
    if replica is None:
        return primary
    from syncline.adapters.sql.replica import Replica, ReplicatedDatabase

    return ReplicatedDatabase(primary, Replica(replica), clock)


async def _server_id(database: Database, ids: Ids) -> str:
    """The ULID drawn when the database was created."""

    def known(connection: Connection) -> str | None:
        return connection.scalar(select(server.c.value).where(server.c.key == "server_id"))

    def drawn(connection: Connection) -> str:
        value = known(connection)
        if value is None:
            value = ids.fresh()
            # Where another process drew one first, that one counts.
            connection.execute(
                text("INSERT INTO server (key, value) VALUES ('server_id', :value) ON CONFLICT DO NOTHING"), {"value": value}
            )
            value = known(connection) or value
        return value

    value = await database.read(known)
    return await database.write(drawn) if value is None else value
