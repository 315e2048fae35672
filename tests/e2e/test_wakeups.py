"""The benchmark of wake-ups, in small: its people are let in, its sockets and polls are told what it waits for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.wakeups.__main__ import Bench
from bench.wakeups.crowd import Running, gathered
from bench.wakeups.lines import HttpLine

from tests.server import running_server

WAIT_S = 30.0


@dataclass
class Here:
    """A server in this process, as far as the benchmark asks for one."""

    port: int


async def test_everybody_of_the_crowd_hears(tmp_path: Path) -> None:
    crowd = await gathered(tmp_path / "data", 3, 2)
    async with running_server(tmp_path) as server:
        bench = Bench(crowd, cast(Running, Here(int(server.url.rpartition(":")[2]))))
        lines: list[Any] = await bench.sockets(crowd.seats)
        polls = [await bench.line(HttpLine) for _ in crowd.few]
        await bench.poll(polls, crowd.few, [[seat.cursors[0]] for seat in crowd.few])
        await asyncio.sleep(0.2)
        async with asyncio.timeout(WAIT_S):
            assert len(await bench.wake(lines, crowd.folder)) == 6
            assert len(await bench.wake(polls, crowd.small)) == 3
        for line in (*lines, *polls, bench.owner):
            line.close()
