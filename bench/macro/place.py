"""Where the macro benchmarks run: PostgreSQL that keeps what it commits, servers on it, and what each of them costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from syncline.testing.services import postgres

OPTIONS: Final = (
    "listen_addresses=127.0.0.1",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "min_wal_size=2GB",
    "checkpoint_timeout=15min",
    "wal_compression=off",
    "max_connections=100",
)
"""What `docs/operations/postgresql.md` advises for a machine of this size; everything else as PostgreSQL comes."""
READY: Final = re.compile(r"listening on (http://\S+)")
READY_S: Final = 30.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def database(folder: Path) -> Iterator[postgres.Postgres]:
    """A PostgreSQL server in `folder`: a new one, or the one that an earlier run left there; it is stopped in order."""
    data = folder / "pg" / "data"
    if not data.exists():
        data.mkdir(parents=True)
        for place in (folder, folder.parent, folder / "pg"):
            place.chmod(place.stat().st_mode | 0o011)
        postgres.initialized(data)
    server = postgres.start(data, postgres.free_port(), OPTIONS)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@contextmanager
def serving(folder: Path, url: str, count: int, bus: str) -> Iterator[list[tuple[str, int]]]:
    """`count` servers on one database and one bus, with the same keys: the address and process of each. Each does everything that a
    server does, and has a data directory of its own; nothing of a commit lies there."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield [_served(folder, url, bus, number, running) for number in range(count)]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(READY_S)


def _served(folder: Path, url: str, bus: str, number: int, running: list[subprocess.Popen[bytes]]) -> tuple[str, int]:
    data, log = folder / f"server-{number}", folder / f"server-{number}.log"
    if not (folder / "keys").exists():
        made = [sys.executable, "-m", "syncline.cli.main", "admin", "keys", str(folder / "keys")]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    config = folder / f"server-{number}.toml"
    bus_table = f'[bus]\nkind = "nats"\nservers = ["{bus}"]\n'
    config.write_text(f'data = "{data}"\ndatabase = "{url}"\nkeys = "{folder / "keys"}"\n{bus_table}')
    log.unlink(missing_ok=True)
    program = [sys.executable, "-m", "syncline.cli.main", "serve", "--data", str(data), "--config", str(config)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*program, "--listen", "127.0.0.1:0"], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    running.append(process)
    deadline = time.monotonic() + READY_S
    while True:
        said = log.read_text(errors="replace")
        if found := READY.search(said):
            return found[1], process.pid
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {said[-2000:]}")
        time.sleep(0.05)


def cpu_s(pids: Sequence[int]) -> float:
    """What these processes and their children have taken of the processor, user and system, ended children included."""
    total = 0
    children: dict[int, list[int]] = {}
    fields: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parts = stat[stat.rindex(")") + 2 :].split()
            fields[int(entry.name)] = parts
            children.setdefault(int(parts[1]), []).append(int(entry.name))
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in fields:
            total += sum(map(int, fields[pid][11:15]))
            waiting += children.get(pid, [])
    return total / _TICKS
