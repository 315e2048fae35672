"""`ports.leases.Leases` in the database, by the database's clock where many machines share it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from syncline.adapters.sql.database import Database, Stored
from syncline.ports.clock import Clock

# One that ends later than any may was taken by a clock that has been set back since: it would bind for as long as that was.
_NOW: Final = {"sqlite": ":now", "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"}
_HOLD: Final = {
    dialect: text(
        f"""INSERT INTO leases (name, holder, expires_us) VALUES (:name, :holder, {now} + :ttl)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_us = excluded.expires_us
        WHERE leases.holder = excluded.holder OR leases.expires_us <= {now} OR leases.expires_us > {now} + :ttl"""
    )
    for dialect, now in _NOW.items()
}
_RELEASE: Final = text("DELETE FROM leases WHERE name = :name AND holder = :holder")


class SqlLeases(Stored):
    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self._clock = clock

    async def hold(self, name: str, holder: str, ttl_s: float) -> bool:
        dialect = self._database.dialect
        given = {"name": name, "holder": holder, "ttl": int(ttl_s * 1e6)}
        if dialect == "sqlite":
            given["now"] = self._clock.now_us()

        def held(connection: Connection) -> bool:
            return connection.execute(_HOLD[dialect], given).rowcount == 1

        return await self._database.write(held)

    async def release(self, name: str, holder: str) -> None:
        await self._database.write(lambda connection: connection.execute(_RELEASE, {"name": name, "holder": holder}))
