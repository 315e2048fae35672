"""A primary database and a replica that follows it: which of the two is asked, and what the replica is believed.

Laws. Writes go to the primary alone. What is read of one namespace in bulk (`read_behind`) goes to the replica once that shows at
least the head which the primary has: compared in the very snapshot that is read, so no lag that anybody tells is relied on, and
nobody is shown a tree older than what was committed before they asked. While the primary cannot be reached, requests that may be
behind (`ports.freshness`) are answered by the replica and say as of when; not below a head that this process has seen, and
everything else is refused until the primary is back. It is tried again every `AWAY_S` by whoever comes first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, select, text

from syncline.adapters.sql.database import Database, Transaction, transacted
from syncline.adapters.sql.postgres import Lanes, PostgresDatabase, Unreachable, engine_at, told
from syncline.adapters.sql.rows import fetch
from syncline.adapters.sql.schema import namespaces
from syncline.model.errors import Retryable, Unavailable
from syncline.model.ids import NamespaceId
from syncline.ports import freshness
from syncline.ports.clock import Clock
from syncline.ports.freshness import RETRY_AFTER_S

T = TypeVar("T")

AWAY_S: Final = 1.0
READERS: Final = 4
SEEN_MAX: Final = 100_000
"""How many namespaces' heads are remembered, against being shown less later."""
_HEAD: Final = select(namespaces.c.head_sequence).where(namespaces.c.namespace_id == bindparam("namespace"))
_AS_OF: Final = text(
    "SELECT CAST(extract(epoch FROM CASE WHEN pg_is_in_recovery() THEN"
    " coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()) ELSE clock_timestamp() END) * 1000000 AS bigint)"
)


class Behind(Unavailable):
    """{what} cannot be reached now; it will be tried again."""


class Replica:
    """A read-only follower at a URL. Each reading sees one snapshot."""

    def __init__(self, url: str) -> None:
        self._engine = engine_at(url).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._lanes = Lanes(self._engine, READERS, "replica")

    async def read(self, work: Callable[[Connection], T], of: NamespaceId | None, at_least: int) -> tuple[T, int]:
        """What `work` reads, and as of when (microseconds). Raises `Behind` where the namespace `of` has not come to the sequence
        `at_least` yet, `Unavailable`, `TooBusy`."""

        def snapshot(connection: Connection) -> tuple[T, int]:
            if of is not None and _head(connection, of) < at_least:
                raise Behind(what="The newest state of this namespace", retry_after=RETRY_AFTER_S)
            return work(connection), int(connection.execute(_AS_OF).scalar_one())

        async with self._lanes.lent() as lane:
            return await told(lane, lambda connection: transacted(connection, snapshot))

    async def close(self) -> None:
        await self._lanes.close()
        self._engine.dispose()


class ReplicatedDatabase(Database):
    def __init__(self, primary: PostgresDatabase, replica: Replica, clock: Clock) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._away_until = float("-inf")
        self._replica_away_until = float("-inf")
        self._seen: OrderedDict[NamespaceId, int] = OrderedDict()

    @property
    def dialect(self) -> str:
        return self._primary.dialect

    async def read(self, work: Callable[[Connection], T], *, of: NamespaceId | None = None) -> T:
        if not self._is_away():
            try:
                return await self._primary.read(work)
            except Unreachable:
                self._lose()
                if not freshness.may_be_behind():
                    raise
        if not freshness.may_be_behind():
            raise _away()
        result, as_of_us = await self._replica.read(work, of, self._seen.get(of, 0) if of is not None else 0)
        freshness.note(as_of_us)
        return result

    async def read_behind(self, work: Callable[[Connection], T], *, of: NamespaceId) -> T:
        if not self._is_away() and self._clock.monotonic_s() >= self._replica_away_until:
            head = await self.read(lambda connection: _head(connection, of), of=of)
            if not self._is_away():
                self.saw(of, head)
                try:
                    return (await self._replica.read(work, of, head))[0]
                except Unreachable:
                    self._replica_away_until = self._clock.monotonic_s() + AWAY_S
                except Retryable:
                    # Behind, or in the way of what it replays: the primary knows it in any case.
                    return await self.read(work, of=of)
        return await self.read(work, of=of)

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._check_there()
        try:
            return await self._primary.write(work)
        except Unreachable:
            self._lose()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._check_there()
        try:
            async with self._primary.transaction() as transaction:
                yield transaction
        except Unreachable:
            self._lose()
            raise

    def saw(self, namespace: NamespaceId, sequence: int) -> None:
        seen = self._seen
        seen[namespace] = max(sequence, seen.get(namespace, 0))
        seen.move_to_end(namespace)
        while len(seen) > SEEN_MAX:
            seen.popitem(last=False)

    async def close(self) -> None:
        await asyncio.gather(self._primary.close(), self._replica.close())

    def _is_away(self) -> bool:
        return self._clock.monotonic_s() < self._away_until

    def _lose(self) -> None:
        self._away_until = self._clock.monotonic_s() + AWAY_S

    def _check_there(self) -> None:
        if self._is_away():
            raise _away()


def _away() -> Unavailable:
    return Unreachable(what="The metadata database", reason="its primary does not answer", retry_after=RETRY_AFTER_S)


def _head(connection: Connection, namespace: NamespaceId) -> int:
    rows: Any = fetch(connection, _HEAD, namespace=namespace)
    return int(rows[0][0]) if rows else 0
