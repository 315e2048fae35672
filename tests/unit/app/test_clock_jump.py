"""A whole device against a real server while the clock of both is set: sessions, grants, quiet windows and the poll go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.server import PASSWORD, running_server

from syncline.adapters.machine import MachineClock
from syncline.app.device import Device
from syncline.app.home import Home, Link
from syncline.app.session import sign_in
from syncline.client.status import State

DAY_US = 86_400_000_000
EMAIL = "ann@example.org"


async def linked(folder: Path, server: str, name: str) -> tuple[Home, Path]:
    home, root = Home(folder / f"home-{name}"), folder / f"root-{name}"
    home.save_credentials(await sign_in(server, EMAIL, PASSWORD, name))
    (root / ".syncline").mkdir(parents=True)
    marker = f"01ARZ3NDEKTSV4RRFFQ69G5FA{'AB'.index(name)}"
    (root / ".syncline/root-id").write_text(marker + "\n")
    home.save_link(Link(folder=str(root), remote="/", root_id=marker))
    return home, root


@pytest.mark.timeout(120)
async def test_both_clocks_set_back_and_forward_while_files_are_under_way(tmp_path: Path, monkeypatch: Any) -> None:
    real = MachineClock.now_us
    async with running_server(tmp_path) as server:
        await server.add_user(EMAIL)
        places = [await linked(tmp_path, server.url, name) for name in "AB"]
        devices = [await Device.open(home) for home, _ in places]
        running = [asyncio.create_task(device.run()) for device in devices]
        (_, one), (_, other) = places
        for turn, jump_us in enumerate((0, DAY_US, -DAY_US, 3 * DAY_US, 0)):
            for number in range(40):
                (one / f"a{turn}-{number}").write_bytes(b"%d %d" % (turn, number) * 1000)
                (other / f"b{turn}-{number}").write_bytes(b"%d-%d" % (turn, number) * 1000)
            await asyncio.sleep(0.02 * turn)
            monkeypatch.setattr(MachineClock, "now_us", lambda clock, by=jump_us: real(clock) + by)
            for _ in range(2):
                assert await devices[0].wait(40)
                assert await devices[1].wait(40)
            names = [{path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} for _, root in places]
            assert names[0] == names[1]
            assert len(names[0]) == 80 * (turn + 1)
            for device in devices:
                status = device.status()
                assert not [problem for problem in status.problems if problem.code != "skipped.special"]
                assert status.state in (State.IN_SYNC, State.SYNCING)
        for device, task in zip(devices, running, strict=True):
            device.stop()
            await task
            await device.close()
