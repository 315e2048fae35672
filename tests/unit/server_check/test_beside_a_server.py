"""A check beside a running server: what is committed meanwhile is never taken for damage, and nothing is written."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.synced_world import SyncedWorld, noise

from syncline.app.checking import check_server
from syncline.app.home import Link
from syncline.server.check.findings import Finding


async def test_what_is_committed_meanwhile_is_no_damage(synced: SyncedWorld, tmp_path: Path) -> None:
    for part in ("data", "home", "folder"):
        shutil.copytree(synced.root / part, tmp_path / part)
    world = SyncedWorld(tmp_path)
    world.home.save_link(Link(folder=str(world.folder), remote="/", root_id=world.home.link().root_id))
    found: list[Finding] = []
    checks = 0

    async def write() -> None:
        for round_ in range(4):
            for number in range(20):
                (world.folder / f"{number}.txt").write_bytes(noise(f"{round_} {number}", 2_000))
            if round_:
                (world.folder / f"{round_}.txt").unlink()
            await world.sync()

    async with world.served():
        writing = asyncio.create_task(write())
        while not writing.done():
            hops = [hop async for hop in check_server(world.data, deep=True, tell=found.append, show=lambda _: None)]
            assert hops[-1].hop == "content"
            checks += 1
        await writing
    assert found == []
    assert checks > 3
