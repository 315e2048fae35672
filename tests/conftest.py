"""Real services, started once a test process where a test first asks for one; and what the property tests draw from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from syncline.adapters.sql.migrate import migrate_server
from syncline.adapters.sql.schema import metadata
from syncline.testing.services import kafka, nats, postgres, redis
from tests.seaweed import Seaweed, binary, running_seaweed
from tests.statements import Walk

# A commit passes or fails for what is in it: the same cases each time. HYPOTHESIS_PROFILE=default searches among new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


_walk = Walk()
_walk.listen()


@pytest.fixture(autouse=True)
def _every_statement_says_whose_rows_it_touches() -> Iterator[None]:
    yield
    astray = list(_walk.astray())
    assert not astray, f"no namespace is named, and no reason is given for it (tests/statements.py): {astray}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    # Not below pytest's own folder: every other run of pytest closes that to everybody but its owner, and as root the server runs
    # as somebody else.
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder, postgres.running(Path(folder) / "server") as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_database(postgres_server: postgres.Postgres) -> str:
    url = postgres_server.create("syncline")
    migrate_server(url)
    return url


@pytest.fixture
def postgres_url(_postgres_database: str) -> Iterator[str]:
    """A PostgreSQL database with our tables, empty but for the server's id."""
    import psycopg

    yield _postgres_database
    tables = [table.name for table in reversed(metadata.sorted_tables) if table.name != "server"]
    with psycopg.connect(_postgres_database, autocommit=True) as connection:
        connection.execute(";".join(f"DELETE FROM {name}" for name in tables).encode())


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One S3 server for all tests of this process."""
    program = binary()
    if program is None:
        pytest.skip("SeaweedFS is not installed, so nothing is known of S3: `make setup` brings it")
    with running_seaweed(tmp_path_factory.mktemp("seaweed"), program) as running:
        yield running


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nats.Nats]:
    """One NATS server with JetStream for all tests of this process; each takes a stream of its own."""
    with nats.running(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[kafka.Kafka]:
    """One mock cluster for all tests of this process; each takes a topic of its own."""
    with kafka.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_server() -> Iterator[redis.Redis]:
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder, redis.running(Path(folder) / "redis") as server:
        yield server


@pytest.fixture
def redis_service(redis_server: redis.Redis) -> redis.Redis:
    """A Redis that answers, and holds nothing."""
    redis_server.go_on()
    if redis_server.process.poll() is not None:
        redis_server.restart()
    redis_server.flush()
    return redis_server
