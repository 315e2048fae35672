"""Ten thousand who wait on one server: what they cost idle, and how long a change takes to reach them.

The load comes from this process, the server is another one, `syncline serve` as anybody runs it, on SQLite with its syncs to disk.
A time is from before the commit is sent to when the hint is here, so the commit's own time is in it. Prints what it
does as it goes, and one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import uvloop

from bench.wakeups.crowd import Crowd, Running, Seat, body, gathered
from bench.wakeups.lines import HttpLine, Line, SocketLine
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.model.ids import NamespaceId
from syncline.ports.clock import Ids

AT_ONCE = 64
SETTLE_S = 5.0
ROUNDS = 3
ALONE = 40
WAIT_S = 120.0
_IDS = Ids(MachineClock(), MachineChance())
L = TypeVar("L", bound=Line)


class Bench:
    def __init__(self, crowd: Crowd, server: Running) -> None:
        self.crowd = crowd
        self.server = server
        self.owner: HttpLine | None = None

    async def line(self, kind: type[L]) -> L:
        _, protocol = await asyncio.get_running_loop().create_connection(kind, "127.0.0.1", self.server.port)
        return protocol

    async def commit(self, namespace: NamespaceId) -> float:
        """A new folder; the instant before it was sent."""
        if self.owner is None or self.owner.lost:
            self.owner = await self.line(HttpLine)
        change = {"op": "create", "node_id": _IDS.fresh(), "parent_id": namespace, "name": _IDS.fresh(), "kind": "dir"}
        content = body({"namespace": namespace, "changes": [change]})
        began, count = time.monotonic(), len(self.owner.heard)
        self.owner.ask("POST", "/v1/files/commit", self.crowd.owner, content, f"idempotency-key: {_IDS.fresh()}\r\n")
        await self.owner.until(count + 1)
        return began

    async def sockets(self, seats: Sequence[Seat]) -> list[SocketLine]:
        async def one(seat: Seat) -> SocketLine:
            line = await self.line(SocketLine)
            await line.begin(seat)
            return line

        return await _paced([lambda seat=seat: one(seat) for seat in seats])  # type: ignore[misc]

    async def wake(self, lines: Sequence[Line], namespace: NamespaceId) -> list[float]:
        """Seconds until each heard of a change."""
        counts = [len(line.heard) for line in lines]
        began = await self.commit(namespace)
        async with asyncio.timeout(WAIT_S):
            for line, count in zip(lines, counts, strict=True):
                await line.until(count + 1)
        return [line.heard[count] - began for line, count in zip(lines, counts, strict=True)]

    async def poll(self, lines: Sequence[HttpLine], seats: Sequence[Seat], cursors: Sequence[Sequence[str]]) -> None:
        """Every line asks, and waits at the server."""
        for number, (line, seat, known) in enumerate(zip(lines, seats, cursors, strict=True)):
            line.ask("POST", "/v1/notifications/poll", seat.token, body({"cursors": list(known), "timeout": 480}))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0.05)


async def _paced(work: list) -> list:  # type: ignore[type-arg]
    """Some at a time; results in order."""
    found: list = [None] * len(work)  # type: ignore[type-arg]
    todo = iter(range(len(work)))

    async def worker() -> None:
        for number in todo:
            found[number] = await work[number]()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return found


def quantile_ms(times: Sequence[float], share: float) -> float:
    return round(1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))], 1)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def measured(count: int, people: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="syncline-wakeups-") as folder:
        say(f"making {people} people with {count // people} devices each")
        crowd = await gathered(Path(folder) / "data", people, count // people)
        server = Running(crowd.data)
        try:
            await server.ready()
            return await _figures(Bench(crowd, server))
        finally:
            server.end()


async def _figures(bench: Bench) -> dict[str, object]:
    figures: dict[str, object] = {"sockets": len(bench.crowd.seats)}
    await _one(bench, figures)
    await _hundred(bench, figures)
    await _many_sockets(bench, figures)
    await _many_polls(bench, figures)
    return figures


async def _one(bench: Bench, figures: dict[str, object]) -> None:
    (alone,) = await bench.sockets([bench.crowd.alone])
    times = []
    for _ in range(ALONE):
        times += await bench.wake([alone], bench.crowd.private)
        await asyncio.sleep(0.25)
    alone.close()
    figures |= {"one_p50_ms": quantile_ms(times, 0.5), "one_p99_ms": quantile_ms(times, 0.99)}
    say(f"one watcher: {figures['one_p50_ms']} ms, at worst {figures['one_p99_ms']} ms")


async def _hundred(bench: Bench, figures: dict[str, object]) -> None:
    few = await bench.sockets(bench.crowd.few)
    times = []
    for _ in range(10):
        times += await bench.wake(few, bench.crowd.small)
        await asyncio.sleep(0.25)
    for line in few:
        line.close()
    figures |= {"hundred_p50_ms": quantile_ms(times, 0.5), "hundred_p99_ms": quantile_ms(times, 0.99)}
    say(f"a folder of {len(few)} people: {figures['hundred_p50_ms']} ms, p99 {figures['hundred_p99_ms']} ms")


async def _many_sockets(bench: Bench, figures: dict[str, object]) -> None:
    await asyncio.sleep(1)
    before, cpu, began = bench.server.resident_kib(), bench.server.cpu_s(), time.monotonic()
    lines = await bench.sockets(bench.crowd.seats)
    took = time.monotonic() - began
    say(f"{len(lines)} sockets opened in {took:.1f} s, {bench.server.cpu_s() - cpu:.1f} s of the server's CPU")
    await bench.server.rests()
    grown = bench.server.resident_kib() - before
    cpu, began = bench.server.cpu_s(), time.monotonic()
    await asyncio.sleep(2 * SETTLE_S)
    figures |= {
        "idle_kib": round(grown / len(lines), 1),
        "idle_cpu_share": round((bench.server.cpu_s() - cpu) / (time.monotonic() - began), 3),
        "resident_mib": round((before + grown) / 1024, 1),
    }
    say(f"idle: {figures['idle_kib']} KiB a socket, {figures['idle_cpu_share']} of a core")
    times, cpu = [], bench.server.cpu_s()
    for _ in range(ROUNDS):
        times += await bench.wake(lines, bench.crowd.folder)
        await asyncio.sleep(1)
    figures |= {
        "wake_p50_ms": quantile_ms(times, 0.5),
        "wake_p99_ms": quantile_ms(times, 0.99),
        "wake_cpu_s": round((bench.server.cpu_s() - cpu) / ROUNDS, 2),
    }
    say(f"woken: p50 {figures['wake_p50_ms']} ms, p99 {figures['wake_p99_ms']} ms, {figures['wake_cpu_s']} s of the server's CPU")
    for line in lines:
        line.close()
    await asyncio.sleep(SETTLE_S)


async def _many_polls(bench: Bench, figures: dict[str, object]) -> None:
    seats = bench.crowd.seats
    # Where the folder stands by now, each person's own cursor.
    asking = await bench.line(HttpLine)
    latest: dict[str, str] = {}
    for seat in seats:
        if seat.cursors[1] not in latest:
            count = len(asking.heard)
            asking.ask("GET", f"/v1/changes/latest?namespace={bench.crowd.folder}", seat.token)
            await asking.until(count + 1)
            latest[seat.cursors[1]] = json.loads(asking.said[-1])["cursor"]
    lines = await _paced([lambda: bench.line(HttpLine) for _ in seats])
    cpu = bench.server.cpu_s()
    await bench.poll(lines, seats, [[latest[seat.cursors[1]]] for seat in seats])
    say(f"{len(lines)} polls sent")
    await bench.server.rests()
    early = sum(1 for line in lines if line.heard)
    say(f"they wait, {early} were answered already, {bench.server.cpu_s() - cpu:.1f} s of the server's CPU")
    cpu = bench.server.cpu_s()
    times = await bench.wake([line for line in lines if not line.heard], bench.crowd.folder)
    figures |= {
        "polls": len(times),
        "polls_p50_ms": quantile_ms(times, 0.5),
        "polls_p99_ms": quantile_ms(times, 0.99),
        "polls_cpu_s": round(bench.server.cpu_s() - cpu, 2),
    }
    say(f"polls answered: p50 {figures['polls_p50_ms']} ms, p99 {figures['polls_p99_ms']} ms, {figures['polls_cpu_s']} s of CPU")
    for line in lines:
        line.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wakeups", description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000, help="how many wait (default: %(default)s)")
    parser.add_argument("--people", type=int, default=500, help="whose devices they are (default: %(default)s)")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = uvloop.run(measured(options.sockets, options.people))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
