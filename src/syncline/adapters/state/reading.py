"""Reading a device's state file without being its writer: in one read-only transaction, so that nothing of it is touched, not even
its log; an engine may run or start beside it. For checks, which must see what was left and not what opening it would make of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from syncline.adapters.state import rows
from syncline.adapters.state.schema import APPLICATION_ID, MIGRATIONS
from syncline.adapters.state.sqlite import BUSY_TIMEOUT_S
from syncline.model.errors import Corrupt, NeedsDecision
from syncline.ports.tree_store import Remembered

T = TypeVar("T")


def read_remembered(path: Path) -> Remembered:
    """What `TreeStore.load` gives; nothing where there is no file yet. Raises `Corrupt` for a damaged or foreign file,
    `NeedsDecision` for one of another version."""
    if not path.exists() or not path.stat().st_size:
        return Remembered(remote=[], local=[], synced=[], cursors=[], inflight=[], meta={})
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("BEGIN")
            _check_version(path, connection)
            return _read(connection)
    except (sqlite3.DatabaseError, ValueError, IndexError, msgspec.DecodeError) as error:
        raise Corrupt(what=f"The state file {path}", reason=str(error), path=str(path)) from error


def written_ns(path: Path) -> int | None:
    """When the file was last written (wall clock); None where there is none. A log without content was written by nobody."""
    instants = []
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            found = each.stat()
        except FileNotFoundError:
            continue
        if found.st_size:
            instants.append(found.st_mtime_ns)
    return max(instants, default=None)


def _check_version(path: Path, connection: sqlite3.Connection) -> None:
    (application,), (version,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if application != APPLICATION_ID:
        raise Corrupt(what=f"The state file {path}", reason="it is another program's database", path=str(path))
    if version != len(MIGRATIONS):
        raise NeedsDecision(message=f"{path} is of schema {version}, this Syncline's is {len(MIGRATIONS)}: sync once, then check.")


def _read(connection: sqlite3.Connection) -> Remembered:
    def every(query: str, make: Callable[[rows.Row], T]) -> list[T]:
        return [make(row) for row in connection.execute(query)]

    return Remembered(
        remote=every(f"SELECT {rows.REMOTE_COLUMNS} FROM remote", rows.remote_node),
        local=every(f"SELECT {rows.LOCAL_COLUMNS} FROM local", rows.local_node),
        synced=every(f"SELECT {rows.SYNCED_COLUMNS} FROM synced", rows.synced_node),
        cursors=every(f"SELECT {rows.CURSOR_COLUMNS} FROM cursor", rows.cursor_from),
        inflight=every("SELECT id, kind, fields FROM inflight", rows.inflight_from),
        meta=dict(connection.execute("SELECT key, value FROM meta")),
    )
