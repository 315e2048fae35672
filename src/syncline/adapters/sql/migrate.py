"""Brings a database to the schema this program knows, before anything else opens it.

Fast path: where the version row already names the newest migration, nothing more happens. A new database gets the present tables at
once (a test holds them equal to what the migrations make); an older one is brought up by `upgrade`, in a process of its own. A
database from a newer Syncline is refused rather than guessed at.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine, event

from syncline.adapters.sql.database import translated
from syncline.adapters.sql.schema import metadata, write_statistics
from syncline.adapters.sql.sqlite import BUSY_TIMEOUT_S, create_private, tune
from syncline.model.errors import Corrupt, InvalidRequest, Unavailable

HEAD: Final = "0004"
"""The newest migration; a test compares it with the folder."""
_VERSION_TABLE: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def migrate(path: Path) -> None:
    """Creates the database where there is none. Blocks; call it in a thread. Raises as `open_stores` says."""
    create_private(path)
    version = stored_version(path)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise InvalidRequest(message=f"This database was written by a newer Syncline (schema {version}, this one knows {HEAD}).")
    if version is None:
        _create(path)
    else:
        _upgrade(path)


def stored_version(path: Path) -> str | None:
    """The migration a database stands at; None for a new one. Raises `Unavailable`, `Corrupt`."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    except sqlite3.OperationalError as error:
        raise Unavailable(what="The metadata database", reason=str(error)) from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(what="The metadata database", reason=str(error)) from error
    return str(row[0]) if row else None


def _create(path: Path) -> None:
    """In one exclusive transaction, so two processes that open a new database together do not both create it."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", lambda connection, _record: tune(connection))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    try:
        with translated(), engine.begin() as connection:
            if stored_version(path) is None:
                metadata.create_all(connection, checkfirst=False)
                write_statistics(connection)
                connection.exec_driver_sql(_VERSION_TABLE)
                connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    finally:
        engine.dispose()


def migrate_server(url: str) -> None:
    """The same for a PostgreSQL database, which must exist; all of it by migrations."""
    version = _server_version(url)
    if version is not None and version > HEAD:
        raise InvalidRequest(message=f"This database was written by a newer Syncline (schema {version}, this one knows {HEAD}).")
    if version != HEAD:
        _upgrade(url)


def _server_version(url: str) -> str | None:
    from syncline.adapters.sql.postgres import engine_at

    engine = engine_at(url)
    try:
        with translated(), engine.connect() as connection:
            if connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
                return None
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    finally:
        engine.dispose()


def _upgrade(where: Path | str) -> None:
    program = [sys.executable, "-m", "syncline.adapters.sql.upgrade", str(where)]
    done = subprocess.run(program, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        return
    try:
        said = json.loads(done.stdout)
        kind = {"Corrupt": Corrupt, "Unavailable": Unavailable}[said["error"]]
    except (ValueError, KeyError):
        raise Unavailable(what="The metadata database", reason=f"its upgrade ended with {done.returncode}") from None
    raise kind(what="The metadata database", reason=said["reason"])
