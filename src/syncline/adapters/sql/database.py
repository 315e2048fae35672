"""The database's connections: one that writes, a few that read, and what each must be told when it opens.

SQLite: WAL, `synchronous=FULL`, foreign keys, and a busy timeout, so that another process (`syncline admin`) may write in between.
Transactions are ours to begin: a writer's with `BEGIN IMMEDIATE`, so it never fails half-way for want of the lock; readers are
in autocommit, where each statement sees one snapshot. Database errors leave here as `Unavailable` or `Corrupt`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from syncline.model.errors import Corrupt, TooBusy, Unavailable

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Stored")

READERS: Final = 4
BUSY_TIMEOUT_S: Final = 15.0
WRITERS_WAITING_MAX: Final = 1000
_DAMAGE: Final = ("malformed", "not a database", "disk image")


class Database:
    """An opened database; `write()` and `read()` lend connections."""

    def __init__(self, path: Path) -> None:
        create_private(path)
        url = URL.create("sqlite+aiosqlite", database=str(path))
        self._writer = _engine(url, pool_size=1)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        self._readers = _engine(url, pool_size=READERS, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def dialect(self) -> str:
        return self._writer.dialect.name

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, undone when it raises. Raises `TooBusy` beyond the queue's bound."""
        self._check_open()
        if self._waiting >= WRITERS_WAITING_MAX:
            raise TooBusy(retry_after=1)
        self._waiting += 1
        try:
            async with self._turn:
                self._check_open()
                with translated():
                    async with self._writer.begin() as connection:
                        yield connection
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self._check_open()
        with translated():
            async with self._readers.connect() as connection:
                yield connection

    async def finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Does `work` to its end even if the caller goes away: a connection torn out of a statement must be thrown away."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Forgets a task, and looks at its error, so that one nobody waits for any more is not complained about."""
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(what="The metadata database", reason="it was closed")

    async def close(self) -> None:
        """Waits for what is under way; whatever comes after is refused."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        async with self._turn:
            await self._writer.dispose()
            await self._readers.dispose()


class Stored:
    """What the stores share: their database. Their public calls are marked `whole`."""

    def __init__(self, database: Database) -> None:
        self._database = database


def whole(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Lets a store's call go on to its end even if its caller goes away."""

    @wraps(method)
    async def call(self: S, /, *args: P.args, **options: P.kwargs) -> T:
        return await self._database.finished(method(self, *args, **options))

    return call


@contextmanager
def translated() -> Iterator[None]:
    """Database errors become ours; a broken constraint stays what it is, since only a defect of ours breaks one."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except exc.DatabaseError as error:
        reason = str(error.orig)
        if any(word in reason for word in _DAMAGE):
            raise Corrupt(what="The metadata database", reason=reason) from error
        raise Unavailable(what="The metadata database", reason=reason) from error
    except exc.TimeoutError as error:
        raise Unavailable(what="The metadata database", reason="every connection is in use") from error


def tune(connection: Any, _record: Any) -> None:
    """What every SQLite connection is told first; `connection` is the driver's."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute("PRAGMA cache_size = -8000")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _engine(url: URL, **options: Any) -> AsyncEngine:
    engine = create_async_engine(url, max_overflow=0, pool_timeout=BUSY_TIMEOUT_S, **options)
    event.listen(engine.sync_engine, "connect", tune)
    return engine


def create_private(path: Path) -> None:
    """The file, readable by its owner only; SQLite gives its companions the same mode."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
