"""Brings a database to the schema this program knows, before anything else opens it.

Fast path: where the version row already names the newest migration, Alembic is not even imported. Otherwise its migrations run in
one exclusive transaction, so two processes that open a new database together do not both create it. A database from a newer
Syncline is refused rather than guessed at.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from syncline.adapters.sql.database import BUSY_TIMEOUT_S
from syncline.model.errors import InvalidRequest

HEAD: Final = "0001"
"""The newest migration; a test compares it with the folder."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(path: Path) -> None:
    """Blocks; call it in a thread."""
    version = stored_version(path)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise InvalidRequest(message=f"This database was written by a newer Syncline (schema {version}, this one knows {HEAD}).")
    _upgrade(path)


def stored_version(path: Path) -> str | None:
    """The migration a database stands at; None for a new one."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else None


def _upgrade(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import URL, create_engine, event

    from syncline.adapters.sql.database import tune

    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", tune)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    config = Config(attributes={})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
