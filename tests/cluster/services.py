"""The services under a cluster, each real, each to be killed and brought back: PostgreSQL with a replica that follows it,
SeaweedFS, three nodes of JetStream, Redis."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from syncline.testing.services import nats, postgres, redis
from tests.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, binary, running_seaweed


class Database:
    """A PostgreSQL server that comes back on its data and port."""

    def __init__(self, server: postgres.Postgres) -> None:
        self._server = server

    def kill(self) -> None:
        self._server.kill()

    def start(self) -> None:
        again = postgres.start(self._server.data, self._server.port)
        self._server.process = again.process


@dataclass(frozen=True)
class Victim:
    """Something to be killed and brought back."""

    kill: Callable[[], None]
    start: Callable[[], None]


@dataclass(frozen=True)
class Services:
    """`variables`: where they are, for the environment of a server."""

    variables: dict[str, str]
    victims: dict[str, Victim]


@contextmanager
def services(root: Path) -> Iterator[Services]:
    """All of them, until the block ends."""
    program = binary()
    if program is None:
        raise RuntimeError("SeaweedFS is not installed: `make setup` brings it")
    with ExitStack() as held:
        primary = held.enter_context(postgres.running(root / "primary"))
        database = primary.create("cluster")
        replica = held.enter_context(postgres.following(primary, root / "replica"))
        (root / "seaweed").mkdir()
        store: Seaweed = held.enter_context(running_seaweed(root / "seaweed", program))
        nodes = held.enter_context(nats.cluster(root / "nats"))
        cache = held.enter_context(redis.running(root / "redis"))
        credentials = root / "s3.toml"
        credentials.write_text(f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n')
        os.chmod(credentials, 0o600)
        victims: dict[str, Victim] = {
            "postgres": Victim(Database(primary).kill, Database(primary).start),
            "replica": Victim(Database(replica).kill, Database(replica).start),
            "seaweed": Victim(store.kill, store.start),
            **{f"nats-{number}": Victim(node.kill, node.start) for number, node in enumerate(nodes, start=1)},
            "redis": Victim(cache.kill, cache.restart),
        }
        yield Services(
            {
                "DATABASE": database,
                "DATABASE_REPLICA": replica.url("cluster"),
                "OBJECTS_KIND": "s3",
                "OBJECTS_BUCKET": "cluster",
                "OBJECTS_ENDPOINT": store.endpoint,
                "OBJECTS_CREDENTIALS_FILE": str(credentials),
                "BUS_KIND": "nats",
                "BUS_SERVERS": ",".join(node.url for node in nodes),
                "BUS_REPLICAS": "3",
                "REDIS": cache.url,
            },
            victims,
        )
