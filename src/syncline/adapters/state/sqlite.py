"""`ports.tree_store.TreeStore` in one SQLite file: what a device remembers between runs.

Write-ahead log, `synchronous=FULL`: a transaction is on disk when `write` returns. One connection writes, under a lock; readers of
transfer threads have connections of their own and never wait for it. The file and its two companions are readable by their owner
alone. Everything here can be rebuilt from the disk and the server, so a damaged file costs a new comparison and no user bytes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from syncline.adapters.state import rows
from syncline.adapters.state.schema import APPLICATION_ID, MIGRATIONS
from syncline.content.manifest import pack_manifest, unpack_manifest
from syncline.model.blocks import Manifest
from syncline.model.errors import Corrupt, DiskFull, LocalIo, NeedsDecision, SynclineError
from syncline.model.ids import Digest
from syncline.model.limits import BATCH_MAX, MIB
from syncline.ports.tree_store import BlockSource, Changes, Remembered, SpoolRow

BUSY_TIMEOUT_S: Final = 5.0
CACHE_BYTES: Final = 4 * MIB
JOURNAL_KEPT_BYTES: Final = 16 * MIB
IN_MAX: Final = 500
"""Values in one `IN (…)`; SQLite's own bound was 999 for long."""

_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT))
_UNHELD: Final = """
SELECT id, packed FROM manifests WHERE id <= ? AND content_hash NOT IN (
  SELECT content_hash FROM local WHERE content_hash IS NOT NULL
  UNION SELECT content_hash FROM synced WHERE content_hash IS NOT NULL
  UNION SELECT content_hash FROM remote WHERE content_hash IS NOT NULL) LIMIT ?
"""

T = TypeVar("T")


class SqliteTreeStore:
    """The state file at `path`, made when missing, brought to the newest schema when older.

    Raises `Corrupt` for a damaged or foreign file, `NeedsDecision` for one of a newer Syncline, `DiskFull`, `LocalIo`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        with self._answering():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            os.chmod(path, 0o600)
            self._writer = self._connect()
            try:
                self._prepare()
                self._settled = self._newest_manifest()
            except BaseException:
                self._writer.close()
                raise

    # -- the trees ---------------------------------------------------------------------------------------------------------------

    def load(self) -> Remembered:
        """Everything but manifests and the spool."""
        with self._lock, self._answering():
            try:
                return Remembered(
                    remote=self._all(f"SELECT {rows.REMOTE_COLUMNS} FROM remote", rows.remote_node),
                    local=self._all(f"SELECT {rows.LOCAL_COLUMNS} FROM local", rows.local_node),
                    synced=self._all(f"SELECT {rows.SYNCED_COLUMNS} FROM synced", rows.synced_node),
                    cursors=self._all(f"SELECT {rows.CURSOR_COLUMNS} FROM cursor", rows.cursor_from),
                    inflight=self._all("SELECT id, kind, fields FROM inflight", rows.inflight_from),
                    meta=dict(self._writer.execute("SELECT key, value FROM meta")),
                    conflicts=self._all("SELECT copy, fields FROM conflicts", rows.conflict_from),
                )
            except (ValueError, IndexError, msgspec.DecodeError) as error:
                raise self._corrupt(str(error)) from error

    def write(self, changes: Changes) -> None:
        """One durable transaction."""
        with self._transaction() as connection:
            many = connection.executemany
            for table, ids in (
                ("remote", changes.remote_remove),
                ("local", changes.local_remove),
                ("synced", changes.synced_remove),
                ("inflight", changes.inflight_remove),
            ):
                if ids:
                    many(f"DELETE FROM {table} WHERE id = ?", rows.key_rows(ids))
            if changes.conflict_remove:
                many("DELETE FROM conflicts WHERE copy = ?", rows.key_rows(changes.conflict_remove))
            if changes.cursor_remove:
                many("DELETE FROM cursor WHERE namespace = ?", rows.key_rows(changes.cursor_remove))
            _put(connection, "remote", rows.REMOTE_COLUMNS, map(rows.remote_row, changes.remote_put))
            _put(connection, "local", rows.LOCAL_COLUMNS, map(rows.local_row, changes.local_put))
            _put(connection, "synced", rows.SYNCED_COLUMNS, map(rows.synced_row, changes.synced_put))
            _put(connection, "cursor", rows.CURSOR_COLUMNS, map(rows.cursor_row, changes.cursor_put))
            _put(connection, "inflight", "id, kind, fields", map(rows.inflight_row, changes.inflight_put))
            _put(connection, "conflicts", "copy, fields", map(rows.conflict_row, changes.conflict_put))
            _put(connection, "meta", "key, value", changes.meta_put.items())
            for manifest in changes.manifest_put:
                _put_manifest(connection, manifest)

    # -- manifests and blocks ----------------------------------------------------------------------------------------------------

    def manifest(self, content_hash: Digest) -> Manifest | None:
        """The manifest of a content, if one is kept; any thread may ask."""
        with self._reading() as reader:
            row = reader.execute("SELECT packed FROM manifests WHERE content_hash = ?", (bytes.fromhex(content_hash),)).fetchone()
        if row is None:
            return None
        try:
            return unpack_manifest(row[0])
        except SynclineError as error:
            raise self._corrupt(str(error)) from error

    def block_sources(self, hashes: Sequence[Digest]) -> dict[Digest, BlockSource]:
        """Where these blocks lie in files that the local tree says this disk holds; any thread may ask.

        Of several holders the newest is named. A whole small file is its own only block.
        """
        found: dict[Digest, BlockSource] = {}
        wanted = iter(dict.fromkeys(hashes))
        with self._reading() as reader:
            while some := [bytes.fromhex(text) for text in islice(wanted, IN_MAX)]:
                marks = ",".join("?" * len(some))
                whole = f"SELECT content_hash, content_hash, 0, size FROM local WHERE content_hash IN ({marks}) AND size > 0"
                inside = f"""SELECT b.hash, m.content_hash, b.offset, b.size
                    FROM local_blocks b JOIN manifests m ON m.id = b.manifest
                    WHERE b.hash IN ({marks}) AND EXISTS (SELECT 1 FROM local l WHERE l.content_hash = m.content_hash)
                    ORDER BY b.manifest"""
                for query in (whole, inside):
                    for block, content, offset, size in reader.execute(query, some):
                        found[Digest(block.hex())] = BlockSource(Digest(content.hex()), offset, size)
        return found

    def prune(self, limit: int = BATCH_MAX) -> int:
        """Forgets manifests (at most `limit`) of contents that no tree names any more; how many. Call it now and then.

        A manifest must have been there at the call before: one just written may belong to a transfer whose node is not yet put.
        """
        with self._transaction() as connection:
            unheld = connection.execute(_UNHELD, (self._settled, limit)).fetchall()
            for number, packed in unheld:
                try:
                    hashes = {block.hash for block in unpack_manifest(packed).blocks}
                except SynclineError as error:
                    raise self._corrupt(str(error)) from error
                blocks = [(bytes.fromhex(name), number) for name in hashes]
                connection.executemany("DELETE FROM local_blocks WHERE hash = ? AND manifest = ?", blocks)
            connection.executemany("DELETE FROM manifests WHERE id = ?", [(number,) for number, _ in unheld])
            if len(unheld) < limit:
                self._settled = self._newest_manifest()
        return len(unheld)

    # -- the spool ---------------------------------------------------------------------------------------------------------------

    def spooled(self) -> list[SpoolRow]:
        with self._lock, self._answering():
            return self._all(
                "SELECT file_name, namespace, offer, pack_id FROM spool ORDER BY file_name",
                lambda row: SpoolRow(file_name=row[0], namespace=row[1], offer=row[2], pack_id=row[3]),
            )

    def spool_put(self, rows: Sequence[SpoolRow]) -> None:
        with self._transaction() as connection:
            values = [(row.file_name, row.namespace, row.offer, row.pack_id) for row in rows]
            _put(connection, "spool", "file_name, namespace, offer, pack_id", values)

    def spool_remove(self, file_names: Sequence[str]) -> None:
        with self._transaction() as connection:
            connection.executemany("DELETE FROM spool WHERE file_name = ?", [(name,) for name in file_names])

    # -- care --------------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Reads the whole file; raises `Corrupt` unless every page and index is sound. Takes seconds for large trees."""
        with self._lock, self._answering():
            (verdict,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self._corrupt(str(verdict))

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                for reader in self._readers:
                    reader.close()
                self._readers.clear()
                self._writer.close()

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            for setting in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", f"cache_size=-{CACHE_BYTES >> 10}"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute(f"PRAGMA journal_size_limit={JOURNAL_KEPT_BYTES}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        """Runs the migrations the file has not run yet, each in a transaction of its own."""
        ask = self._writer.execute
        (application,), (version,) = ask("PRAGMA application_id").fetchone(), ask("PRAGMA user_version").fetchone()
        (tables,) = ask("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION_ID and (application or version or tables):
            raise self._corrupt("it is another program's database")
        if version > len(MIGRATIONS):
            raise NeedsDecision(message=f"{self._path} was written by a newer Syncline (schema {version}): install that one again.")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
            self._writer.executescript(f"BEGIN IMMEDIATE; {script} {marks} COMMIT;")

    def _newest_manifest(self) -> int:
        (newest,) = self._writer.execute("SELECT coalesce(max(id), 0) FROM manifests").fetchone()
        return int(newest)

    def _all(self, query: str, make: Callable[[rows.Row], T]) -> list[T]:
        return [make(row) for row in self._writer.execute(query)]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._answering():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread's read: an idle one, or one more. There are never more than threads that read at once."""
        with self._answering():
            with self._lock:
                if self._closed:
                    raise sqlite3.ProgrammingError("the state file is closed")
                reader = self._readers.pop() if self._readers else None
            if reader is None:
                reader = self._connect()
                reader.execute("PRAGMA query_only=ON")
            try:
                yield reader
            finally:
                with self._lock:
                    if self._closed:
                        reader.close()
                    else:
                        self._readers.append(reader)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """SQLite's and the system's errors as ours, naming the file."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            raise self._typed(error) from error
        except OSError as error:
            raise LocalIo(path=str(self._path), reason=error.strerror or str(error)) from error

    def _typed(self, error: sqlite3.DatabaseError) -> SynclineError:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary == sqlite3.SQLITE_FULL:
            return DiskFull(path=str(self._path))
        if primary in _DAMAGED:
            return self._corrupt(str(error))
        if primary == sqlite3.SQLITE_BUSY:
            return LocalIo(path=str(self._path), reason="another Syncline process is using it")
        return LocalIo(path=str(self._path), reason=str(error))

    def _corrupt(self, reason: str) -> Corrupt:
        advice = (
            "Stop Syncline, move this file (with its -wal and -shm) away and start again: no file is lost, all are compared anew"
        )
        return Corrupt(what=f"The state file {self._path}", reason=f"{reason}. {advice}", path=str(self._path))


def _put(connection: sqlite3.Connection, table: str, columns: str, values: Iterable[rows.Row]) -> None:
    marks = ",".join("?" * (columns.count(",") + 1))
    connection.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", values)


def _put_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Keeps a manifest and where its blocks lie; nothing to do for one that is kept already."""
    insert = "INSERT OR IGNORE INTO manifests (content_hash, packed) VALUES (?, ?)"
    done = connection.execute(insert, (bytes.fromhex(manifest.content_hash), pack_manifest(manifest)))
    if done.rowcount != 1:
        return
    places: list[rows.Row] = []
    offset = 0
    for block in manifest.blocks:
        places.append((bytes.fromhex(block.hash), done.lastrowid, offset, block.size))
        offset += block.size
    connection.executemany("INSERT OR IGNORE INTO local_blocks (hash, manifest, offset, size) VALUES (?, ?, ?, ?)", places)
