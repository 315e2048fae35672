"""`Database` on PostgreSQL: lanes, each a thread with a connection of its own; some write, some read.

Isolation is READ COMMITTED: a commit's first statement locks its namespace's row, so what it reads afterwards stays true. Laws:
every connection, statement, wait for a lock and idle transaction has a time limit that the server keeps; a transaction that the
server gave up for another's sake (deadlock, serialization) is run again where it is one closure, a bounded number of times with
jittered exponential backoff, and otherwise told as `TooBusy`; a connection that broke is thrown away, and what only reads is asked
once more on a new one. Connections that write have each statement planned once for all its parameters: planning took longer than
most of a commit's questions, and they go by keys, whose plan is the same whatever is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine, exc
from sqlalchemy.engine import make_url

from syncline.adapters.sql.database import Database, Transaction, transacted, translated, undone
from syncline.adapters.threads import Threads
from syncline.model.errors import TooBusy, Unavailable
from syncline.model.ids import NamespaceId
from syncline.ports.clock import Chance
from syncline.ports.freshness import RETRY_AFTER_S

T = TypeVar("T")

WRITERS: Final = 8
READERS: Final = 4
WAITING_MAX: Final = 1000
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 0.02
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 30
LOCK_TIMEOUT_S: Final = 10
_GIVEN_UP: Final = frozenset(("40001", "40P01"))
"""Serialization failure and deadlock: the same transaction may well succeed at once."""
_LATER: Final = _GIVEN_UP | {"55P03"}
"""And a lock that was waited for too long."""


class PostgresDatabase(Database):
    """The database at a URL such as `postgresql://user@host/name`."""

    def __init__(self, url: str, chance: Chance, *, writers: int = WRITERS, readers: int = READERS) -> None:
        self._engine = engine_at(url, plan_cache_mode="force_generic_plan")
        self._reading = engine_at(url).execution_options(isolation_level="AUTOCOMMIT")
        self._chance = chance
        self._writers = Lanes(self._engine, writers, "writer")
        self._readers = Lanes(self._reading, readers, "reader")
        self._closed = False

    @property
    def dialect(self) -> str:
        return "postgresql"

    async def read(self, work: Callable[[Connection], T], *, of: NamespaceId | None = None) -> T:
        self._check_open()
        async with self._readers.lent() as lane:
            try:
                return await lane.run(work)
            except _Broken:
                return await told(lane, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        async with self._writers.lent() as lane:
            for attempt in range(ATTEMPTS - 1):
                try:
                    return await told(lane, lambda connection: transacted(connection, work))
                except _GivenUp:
                    await asyncio.sleep(FIRST_PAUSE_S * 2**attempt * (0.5 + self._chance.fraction()))
            return await told(lane, lambda connection: transacted(connection, work))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._check_open()
        async with self._writers.lent() as lane:
            transaction = Transaction(lambda work: told(lane, work))
            try:
                yield transaction
                await transaction.commit()
            except BaseException:
                await asyncio.shield(lane.undo())
                raise

    async def close(self) -> None:
        self._closed = True
        await self._writers.close()
        await self._readers.close()
        self._engine.dispose()
        self._reading.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(what="The metadata database", reason="it was closed")


class Unreachable(Unavailable):
    """{what} cannot be reached now; it will be tried again."""


class _Broken(Unavailable):
    """{what} cannot be reached now; it will be tried again."""


class _GivenUp(TooBusy):
    """The server is busy; it will be tried again."""


class Lanes:
    """Lanes, the one used last lent first, so that few connections are warm rather than many cold."""

    def __init__(self, engine: Engine, count: int, name: str) -> None:
        self._all = [Lane(engine, f"{name}-{number}") for number in range(count)]
        self._idle: asyncio.LifoQueue[Lane] = asyncio.LifoQueue()
        for lane in self._all:
            self._idle.put_nowait(lane)
        self._waiting = 0

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Lane]:
        if self._waiting >= WAITING_MAX:
            raise TooBusy(retry_after=1)
        self._waiting += 1
        try:
            lane = await self._idle.get()
        finally:
            self._waiting -= 1
        try:
            yield lane
        finally:
            self._idle.put_nowait(lane)

    async def close(self) -> None:
        """When all have come home."""
        for _ in self._all:
            await self._idle.get()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for lane in self._all:
            lane.close()


class Lane:
    """One thread and its connection, opened at its first use and again after it broke."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = Threads(1, name)
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives. Raises `_Broken`, `_GivenUp` and what `translated` says."""
        return await self._thread.run(lambda: self._run(work))

    async def undo(self) -> None:
        """Whatever was begun is undone; a connection that cannot even do that is thrown away."""
        await self._thread.run(self._undo)

    def close(self) -> None:
        self._thread.close()
        self._drop()

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            with translated():
                if self._connection is None:
                    self._connection = self._engine.connect()
                return work(self._connection)
        except Unavailable as error:
            cause = error.__cause__
            state = getattr(getattr(cause, "orig", None), "sqlstate", None)
            if state in _LATER:
                raise (_GivenUp(retry_after=1) if state in _GIVEN_UP else TooBusy(retry_after=1)) from cause
            # Undoing what broke with its connection fails as well, and hides what broke it.
            broke = isinstance(cause, exc.DBAPIError) and cause.connection_invalidated
            if self._connection is None or self._connection.invalidated or broke:
                self._drop()
                raise _Broken(what="The metadata database", reason=error.fields.get("reason", "")) from cause
            raise

    def _undo(self) -> None:
        if self._connection is not None:
            try:
                undone(self._connection)
            except exc.DBAPIError:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


async def told(lane: Lane, work: Callable[[Connection], T]) -> T:
    """`lane.run`, with a broken connection as whoever asked should hear of it."""
    try:
        return await lane.run(work)
    except _Broken as error:
        raise Unreachable(**error.fields, retry_after=RETRY_AFTER_S) from error


def engine_at(url: str, **settings: str) -> Engine:
    """An engine whose every connection has time limits, and these settings of the server. Raises `Unavailable` for what is no
    address of a PostgreSQL database."""
    limits: dict[str, object] = {
        "statement_timeout": STATEMENT_TIMEOUT_S * 1000,
        "lock_timeout": LOCK_TIMEOUT_S * 1000,
        "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_S * 1000,
        **settings,
    }
    try:
        place = make_url(url).set(drivername="postgresql+psycopg")
    except exc.ArgumentError as error:
        raise Unavailable(what="The metadata database", reason="its address is no URL") from error
    return create_engine(
        place,
        poolclass=NullPool,
        paramstyle="format",
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "syncline",
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        },
    )
