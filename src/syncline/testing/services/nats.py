"""A NATS server with JetStream of a test run's own, from the wheel's binary; it can be killed and brought back on the same port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

READY_S: Final = 20.0


class Nats:
    """One server. Its store is kept from one `start` to the next."""

    def __init__(self, folder: Path, port: int, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = port
        self.options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Runs it, and returns once it answers."""
        command = [binary(), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "store"), *self.options]
        with (self.folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        if wait:
            self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while not _answers(self.port):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"NATS did not start: {(self.folder / 'nats.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As if the machine had gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def binary() -> str:
    """The wheel's binary, beside this Python or on the path. Raises `RuntimeError` where it is not installed."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise RuntimeError("nats-server is not installed: `make setup` brings it")
    return found


@contextmanager
def running(folder: Path) -> Iterator[Nats]:
    """A server in `folder`, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Nats(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def cluster(folder: Path, size: int = 3) -> Iterator[list[Nats]]:
    """Servers that keep each message `replicas` times among them; each can be killed and started by itself."""
    ports, routes = [free_port() for _ in range(size)], [free_port() for _ in range(size)]
    peers = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = []
    for number in range(size):
        home = folder / f"node-{number}"
        home.mkdir(parents=True, exist_ok=True)
        options = ("--name", f"node-{number}", "--cluster_name", "syncline", "--routes", peers)
        servers.append(Nats(home, ports[number], (*options, "--cluster", f"nats://127.0.0.1:{routes[number]}")))
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Whether a server says its first line: it does once it takes connections."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1)) as connection:
            return connection.recv(16).startswith(b"INFO")
    except OSError:
        return False
