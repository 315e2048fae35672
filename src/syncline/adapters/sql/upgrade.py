"""A database's upgrade, in a process of its own: `python -m syncline.adapters.sql.upgrade DATABASE`, a path or a
PostgreSQL URL.

It happens once in a release and Alembic weighs as much as a whole connection pool, so `migrate` does not load it into the server.
Exits 0 when the database stands at the newest migration; else says on stdout why, as `{"error": class, "reason": text}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, event

from syncline.adapters.sql.database import translated
from syncline.adapters.sql.sqlite import tune
from syncline.model.errors import Corrupt, Unavailable

MIGRATIONS: Final = Path(__file__).parent / "migrations"


POSTGRES_LOCK: Final = 0x53594E43
"""The advisory lock that one upgrade of a PostgreSQL database holds."""


def upgrade(where: Path | str) -> None:
    """Runs what is missing in one exclusive transaction, so two processes that open a new database together do not both create
    it. Raises `Unavailable`, `Corrupt`."""
    engine = _sqlite(where) if isinstance(where, Path) else _postgres(where)
    config = Config(attributes={})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with translated(), engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _sqlite(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", lambda connection, _record: tune(connection))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN EXCLUSIVE"))
    return engine


def _postgres(url: str) -> Engine:
    from syncline.adapters.sql.postgres import engine_at

    engine = engine_at(url)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({POSTGRES_LOCK})"))
    return engine


def main() -> int:
    try:
        upgrade(sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1]))
    except (Unavailable, Corrupt) as error:
        sys.stdout.write(json.dumps({"error": type(error).__name__, "reason": str(error.fields["reason"])}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
