"""A database seen from around its calls: how many have or want a connection, how long they wait for one, and each statement.

Statements are told by their first word alone: what they are about stays in the database.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, event

from syncline.adapters.observed.calls import FAILED, outcome_of
from syncline.adapters.sql.database import Database, Transaction
from syncline.model.ids import NamespaceId
from syncline.ports.clock import Clock
from syncline.ports.meter import Meter
from syncline.ports.metrics import DATABASE_ERRORS, DATABASE_OPEN, DATABASE_WAIT_SECONDS, STATEMENT_SECONDS
from syncline.ports.tracer import NO_TRACER, Tracer

T = TypeVar("T")
READ: Final = "read"
WRITE: Final = "write"
COMMIT: Final = "transaction"
_KINDS: Final = frozenset(("select", "insert", "update", "delete", "with"))
_BEGAN: Final = "syncline.began"


def observe_database(database: Database, clock: Clock, meter: Meter, tracer: Tracer = NO_TRACER) -> None:
    """From now on the database's own calls are seen."""
    seen = _Seen(database, clock, meter, tracer)
    for name in ("read", "read_behind", "write", "transaction"):
        setattr(database, name, getattr(seen, name))


class _Seen:
    """The calls of a `Database`, around its own."""

    def __init__(self, database: Database, clock: Clock, meter: Meter, tracer: Tracer) -> None:
        self._read: Callable[..., Any] = database.read
        self._read_behind: Callable[..., Any] = database.read_behind
        self._write: Callable[..., Any] = database.write
        self._transaction: Callable[[], AbstractAsyncContextManager[Transaction]] = database.transaction
        self._clock = clock
        self._meter = meter
        self._tracer = tracer
        self._listening: WeakSet[Connection] = WeakSet()
        self._lock = threading.Lock()

    async def read(self, work: Callable[[Connection], T], *, of: NamespaceId | None = None) -> T:
        return await self._call(READ, partial(self._read, of=of), work)

    async def read_behind(self, work: Callable[[Connection], T], *, of: NamespaceId) -> T:
        """Only its statements, wherever they are asked: what goes to the primary is seen as `read` anyway."""

        def heard(connection: Connection) -> T:
            self._listen(connection)
            return work(connection)

        result: T = await self._read_behind(heard, of=of)
        return result

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._call(WRITE, self._write, work)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        since = self._clock.monotonic_s()
        close = self._tracer.begin("database.transaction")
        self._meter.add(DATABASE_OPEN, 1, COMMIT)
        failure: BaseException | None = None
        try:
            async with self._transaction() as transaction:
                self._meter.observe(DATABASE_WAIT_SECONDS, self._clock.monotonic_s() - since, COMMIT)
                yield _SeenTransaction(transaction, self._listen)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._ended(COMMIT, failure)
            close(failure)

    async def _call(self, way: str, inner: Callable[..., Any], work: Callable[[Connection], T]) -> T:
        since = self._clock.monotonic_s()

        def had(connection: Connection) -> T:
            self._meter.observe(DATABASE_WAIT_SECONDS, self._clock.monotonic_s() - since, way)
            self._listen(connection)
            return work(connection)

        close = self._tracer.begin(f"database.{way}")
        self._meter.add(DATABASE_OPEN, 1, way)
        failure: BaseException | None = None
        try:
            result: T = await inner(had)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._ended(way, failure)
            close(failure)
        return result

    def _ended(self, way: str, failure: BaseException | None) -> None:
        self._meter.add(DATABASE_OPEN, -1, way)
        if outcome_of(failure) == FAILED:
            self._meter.add(DATABASE_ERRORS, 1, way)

    def _listen(self, connection: Connection) -> None:
        """Hears of each of a connection's statements; runs in the connection's own thread."""
        if connection in self._listening:
            return
        with self._lock:
            self._listening.add(connection)
        event.listen(connection, "before_cursor_execute", self._begin_statement)
        event.listen(connection, "after_cursor_execute", self._end_statement)

    def _begin_statement(self, connection: Connection, *_: Any) -> None:
        connection.info[_BEGAN] = self._clock.monotonic_s()

    def _end_statement(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        kind = statement.lstrip()[:6].split(None, 1)[0].lower() if statement else ""
        took_s = self._clock.monotonic_s() - connection.info[_BEGAN]
        self._meter.observe(STATEMENT_SECONDS, took_s, kind if kind in _KINDS else "other")


class _SeenTransaction(Transaction):
    """A transaction whose connection is listened to."""

    def __init__(self, inner: Transaction, listen: Callable[[Connection], None]) -> None:
        self._inner = inner
        self._listen = listen

    async def run(self, work: Callable[[Connection], T]) -> T:
        def heard(connection: Connection) -> T:
            self._listen(connection)
            return work(connection)

        return await self._inner.run(heard)

    async def commit(self) -> None:
        await self._inner.commit()

    async def undo(self) -> None:
        await self._inner.undo()
