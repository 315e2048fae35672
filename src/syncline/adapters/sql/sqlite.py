"""`Database` on SQLite: one connection that writes, a few that read, each in a thread of its own, and what they are told first.

WAL, `synchronous=FULL` (one fsync a transaction), foreign keys, and a busy timeout, so that another process
(`syncline admin`) may write in between. Writers begin with `BEGIN IMMEDIATE`, so they never fail half-way for want of the lock;
readers are in autocommit, where each statement sees one snapshot. Database errors leave here as `Unavailable` or `Corrupt`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from syncline.adapters.sql.database import Database, Transaction, transacted, translated
from syncline.adapters.threads import Threads
from syncline.model.errors import TooBusy, Unavailable
from syncline.model.ids import NamespaceId

T = TypeVar("T")

READERS: Final = 3
BUSY_TIMEOUT_S: Final = 15.0
WRITERS_WAITING_MAX: Final = 1000
WRITER_CACHE_KIB: Final = 8192
READER_CACHE_KIB: Final = 2048
CHECKPOINT_PAGES: Final = 8192
"""The log is written back at 32 MiB: a burst of commits does not pay for it every time."""
LOG_KEPT_BYTES: Final = 64 << 20


class SqliteDatabase(Database):
    """The database in one file."""

    def __init__(self, path: Path) -> None:
        create_private(path)
        url = URL.create("sqlite", database=str(path))
        self._engine = _engine(url, WRITER_CACHE_KIB)
        event.listen(self._engine, "begin", _begin_immediate)
        self._reading = _engine(url, READER_CACHE_KIB, isolation_level="AUTOCOMMIT")
        self._writer = Threads(1, "writer")
        self._readers = Threads(READERS, "reader")
        self._mine = threading.local()
        self._opened: list[Connection] = []
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed = False

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    async def read(self, work: Callable[[Connection], T], *, of: NamespaceId | None = None) -> T:
        """What `work` reads."""
        self._check_open()
        return await self._readers.run(lambda: self._with(self._reading, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, in a transaction: committed when it returns, undone when it raises. Raises `TooBusy` beyond the
        queue's bound."""
        async with self._queued():
            return await self._writer.run(lambda: self._with(self._engine, lambda connection: transacted(connection, work)))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction in several questions: committed when the block ends, undone when it raises."""
        async with self._queued():
            transaction = Transaction(lambda work: self._writer.run(lambda: self._with(self._engine, work)))
            try:
                yield transaction
                await transaction.commit()
            except BaseException:
                # Also where the commit itself fails: it would stay open, and in the way of every later one.
                await asyncio.shield(transaction.undo())
                raise

    async def close(self) -> None:
        """Waits for what is under way; whatever comes after is refused."""
        self._closed = True
        async with self._turn:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.close()
        for connection in self._opened:
            connection.close()
        self._engine.dispose()
        self._reading.dispose()

    @asynccontextmanager
    async def _queued(self) -> AsyncIterator[None]:
        """The writer's turn."""
        self._check_open()
        if self._waiting >= WRITERS_WAITING_MAX:
            raise TooBusy(retry_after=1)
        self._waiting += 1
        try:
            async with self._turn:
                self._check_open()
                yield
        finally:
            self._waiting -= 1

    def _with(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        """`work` with this thread's own connection, opened at its first use."""
        with translated():
            connection: Connection | None = getattr(self._mine, "connection", None)
            if connection is None:
                connection = self._mine.connection = engine.connect()
                self._opened.append(connection)
            return work(connection)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(what="The metadata database", reason="it was closed")


def tune(connection: Any, cache_kib: int = READER_CACHE_KIB) -> None:
    """What every SQLite connection is told first; `connection` is the driver's."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute(f"PRAGMA cache_size = -{cache_kib}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    cursor.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _engine(url: URL, cache_kib: int, **options: Any) -> Engine:
    engine = create_engine(url, poolclass=NullPool, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", lambda connection, _record: tune(connection, cache_kib))
    return engine


def create_private(path: Path) -> None:
    """The file, readable by its owner only; SQLite gives its companions the same mode."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
