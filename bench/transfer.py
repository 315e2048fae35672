"""Sending and receiving through a real server: how long files take from disk to store and back, and what the client pays for it.

`python -m bench.transfer [small|large …] [--folder DIR]`: 10,000 small files, one file of 1 GiB of random bytes (default: both);
the server is a process of its own. Making 10,000 files costs what the disk asks for: on ext4 without a journal, where many were
deleted in the last minutes, several times as much; `/dev/shm` shows the client alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.http import HttpRemote, Tokens, login
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.app.accounts import with_people
from syncline.client.receive.fetched import Fetched, Wanted
from syncline.client.receive.receiver import Receiver
from syncline.client.send.jobs import Prepared, SendJob
from syncline.client.send.sender import Sender
from syncline.model.entries import Kind
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX, MIB
from syncline.ports.clock import Ids
from syncline.protocol.changes import to_time
from syncline.protocol.commits import Change, CommitRequest, Op

SMALL_COUNT = 10_000
LARGE_MIB = 1024
WHO = ("bench@example.org", "correct horse battery staple")


class Device:
    def __init__(self, folder: Path, remote: HttpRemote) -> None:
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.files = LinuxFiles(self.root)
        self.store = SqliteTreeStore(folder / "state.db")
        self.remote = remote
        self.sender = Sender(self.files, remote, self.store, folder / "spool", MachineClock(), MachineChance(), lambda _: False)
        self.receiver = Receiver(self.files, remote, self.store, MachineClock(), MachineChance(), lambda _: None)


async def gather(work: Callable[[], Any], take: Callable[[], Any], count: int) -> list[Any]:
    """Runs a pipeline until it gave `count` results."""
    task = asyncio.create_task(work())
    results: list[Any] = []
    while len(results) < count:
        got = await take()
        results += got if isinstance(got, list) else [got]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return results


async def measure(name: str, one: Device, two: Device, home: NamespaceId, paths: Iterable[str]) -> None:
    ids = Ids(MachineClock(), MachineChance())
    jobs = []
    for path in paths:
        signature = one.files.stat(path).signature
        jobs.append(SendJob(node=NodeId(ids.fresh()), namespace=home, path=path, signature=signature, size=signature.size))
    total = sum(job.size for job in jobs) / MIB
    began, cpu, asked = time.perf_counter(), time.process_time(), one.remote.traffic.requests
    for job in jobs:
        await one.sender.submit(job)
    done: list[Prepared] = await gather(one.sender.run, one.sender.results.get, len(jobs))
    report(f"{name} send", began, cpu, len(jobs), total, one.remote.traffic.requests - asked)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(done), BATCH_MAX):
        changes = [create(result, home) for result in done[start : start + BATCH_MAX]]
        await one.remote.commit(CommitRequest(namespace=home, changes=changes), key=ids.fresh())
    report(f"{name} commit", began, cpu, len(jobs), total, -(-len(done) // BATCH_MAX))
    wanted = [
        Wanted(
            node=result.node,
            namespace=home,
            revision=1,
            content_hash=result.content_hash,
            size=result.size,
            executable=False,
            mtime_us=1,
        )
        for result in done
    ]
    began, cpu, asked = time.perf_counter(), time.process_time(), two.remote.traffic.requests
    await two.receiver.submit(wanted)
    got = await gather(two.receiver.run, two.receiver.results.get, len(wanted))
    assert all(isinstance(result, Fetched) for result in got)
    report(f"{name} receive", began, cpu, len(jobs), total, two.remote.traffic.requests - asked)


def report(what: str, began: float, cpu: float, count: int, total_mib: float, requests: int) -> None:
    took, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rate = f"{count / took:7.0f} files/s {total_mib / took:6.0f} MiB/s"
    print(f"{what:15} {took:6.2f} s  cpu {cpu_s:5.2f} s  {rate}  {requests:4} requests  peak {rss} MiB", flush=True)


def create(done: Prepared, home: NamespaceId) -> Change:
    return Change(
        op=Op.CREATE,
        node_id=done.node,
        parent_id=NodeId(home),
        name=done.node,
        kind=Kind.FILE,
        content_hash=done.content_hash,
        size=done.size,
        mtime=to_time(1),
        blocks=done.blocks,
        cut=done.cut,
    )


def small(root: Path) -> list[str]:
    paths = [f"d{number // 100}/f{number}" for number in range(SMALL_COUNT)]
    for number, path in enumerate(paths):
        if number % 100 == 0:
            (root / path).parent.mkdir()
        (root / path).write_bytes(os.urandom(200 + number % 4000))
    return paths


def large(root: Path) -> list[str]:
    with open(root / "large", "wb") as file:
        for _ in range(LARGE_MIB):
            file.write(os.urandom(MIB))
    return ["large"]


async def run(url: str, folder: Path, names: list[str]) -> None:
    tokens, me = await login(url, *WHO, "bench", MachineClock(), MachineChance())
    session = Tokens(refresh_token=tokens.refresh_token, access_token=tokens.access_token)
    for name in names:
        remote = HttpRemote(url, session, lambda _: None, MachineClock(), MachineChance())
        one, two = Device(folder / name / "one", remote), Device(folder / name / "two", remote)
        paths = {"small": small, "large": large}[name](one.root)
        await measure(name, one, two, me.root_namespace, paths)
        await remote.close()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=["small", "large", []], default=[])
    parser.add_argument("--folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        asyncio.run(with_people(folder / "data", lambda people: people.add(*WHO)))
        command = [sys.executable, "-m", "syncline.cli.main", "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().rpartition(" ")[2].strip()
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(run(url, folder, asked.names or ["small", "large"]))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
