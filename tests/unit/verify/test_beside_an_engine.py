"""A check beside a running engine: what is found wrong in its memory is named, and healed without a byte lost."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.e2e.world import tree
from tests.synced_world import SyncedWorld
from tests.unit.verify.conftest import left, named

from syncline.app import verifying
from syncline.app.device import Device
from syncline.client.engine import Engine
from syncline.client.status import State
from syncline.client.verify.report import Report
from syncline.model.errors import Unavailable
from syncline.model.ids import NamespaceId, NodeId

HOUR_US = 3_600_000_000


class Running:
    def __init__(self, world: SyncedWorld, device: Device) -> None:
        self.world = world
        self.device = device
        self.engine: Engine = device._engine  # To damage its memory, which nothing but a fault could do.
        self.trees = self.engine.parts.trees

    def node(self, path: str) -> NodeId:
        found = self.trees.remote.find(path, self.trees.root)
        assert found is not None
        return found

    async def verify(self, *, deep: bool = False) -> Report:
        """As if the last full scan were young, and everything on the disk old."""
        self.engine.lookout.scanned_us = self.engine.parts.clock.now_us() + HOUR_US
        return await self.device.verify(deep=deep, only=())

    async def settle(self) -> None:
        assert await self.device.wait(30)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    world = SyncedWorld(tmp_path)
    await world._make()
    async with world.served(), _engine(world) as running:
        await running.settle()
        before = tree(world.folder)
        yield running
        await running.settle()
        assert tree(world.folder) == before
        assert (await running.verify(deep=True)).findings == []


@asynccontextmanager
async def _engine(world: SyncedWorld) -> AsyncIterator[Running]:
    with world.home.lock():
        device = await Device.open(world.home)
        task = asyncio.create_task(device.run())
        try:
            yield Running(world, device)
        finally:
            device.stop()
            await task
            await device.close()


async def test_a_sound_engine_has_no_findings(running: Running) -> None:
    report = await running.verify(deep=True)
    assert (report.findings, report.pending, report.lost, report.healing) == ([], [], None, False)
    assert running.device.verify_progress().files_total == 0


async def test_a_remote_tree_that_drifted_is_taken_anew(running: Running) -> None:
    node = running.trees.remote[running.node("docs/plan.md")]
    running.trees.remote.put(replace(node, name="drifted.md"))
    report = await running.verify()
    assert named(report) == {
        "verify.claim_false": {"docs/plan.md"},
        "verify.remote_differs": {"docs/plan.md"},
    }
    assert report.healing
    await running.settle()
    assert running.trees.remote[node.id] == node


async def test_a_remote_node_that_was_lost_deletes_nothing_here(running: Running) -> None:
    node = running.trees.remote[running.node("docs/plan.md")]
    running.trees.remote.remove(node.id)
    report = await running.verify()
    assert named(report)["verify.remote_missing"] == {"docs/plan.md"}
    await running.settle()
    assert running.trees.remote[node.id] == node


async def test_nor_while_the_server_cannot_be_asked_again(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check still reached it; the engine, which is to take its tree anew, does not: until then the lack is no deletion."""
    puller = running.engine.parts.puller

    async def unreachable(namespace: NamespaceId) -> bool:
        raise Unavailable(what="The server")

    with monkeypatch.context() as patched:
        patched.setattr(puller, "pull", unreachable)
        running.trees.remote.remove(running.node("docs/plan.md"))
        assert named(await running.verify())["verify.remote_missing"] == {"docs/plan.md"}
        for _ in range(3):
            await running.engine.between(lambda: None)
        assert running.device.status().state is State.OFFLINE
        assert (running.world.folder / "docs" / "plan.md").exists()
    running.device.resume()


async def test_a_local_node_that_was_lost_deletes_nothing_there(running: Running) -> None:
    node = running.node("docs/plan.md")
    running.trees.local.remove(node)
    report = await running.verify()
    assert named(report)["verify.not_in_tree"] == {"docs/plan.md"}
    await running.settle()
    assert running.trees.local.get(node) is not None
    assert running.trees.remote.get(node) is not None


async def test_a_local_folder_that_was_lost_finds_what_lies_in_it_again(running: Running) -> None:
    docs, film = running.node("docs"), running.node("docs/deep/film.bin")
    running.trees.local.remove(docs)
    report = await running.verify()
    assert named(report)["verify.not_in_tree"] == {"docs"}
    await running.settle()
    assert running.trees.local_path(film) == "docs/deep/film.bin"


async def test_a_base_that_was_lost_is_agreed_on_anew(running: Running) -> None:
    node = running.node("letter.txt")
    base = running.trees.synced.remove(node)
    report = await running.verify()
    assert named(report) == {"verify.claim_false": {"letter.txt"}}
    assert "synced tree lacks it" in report.findings[0].message
    await running.settle()
    assert running.trees.synced.get(node) == base


async def test_roots_that_are_not_kept_in_step_are_named(running: Running) -> None:
    running.engine.parts.puller.roots.replace(None, running.trees.remote[running.node("letter.txt")])
    report = await running.verify()
    assert named(report) == {"verify.root_differs": {""}}
    await running.settle()


async def test_a_busy_engine_is_accused_of_nothing(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "QUIET_CAP_S", 2.0)
    checks = 0
    working = asyncio.create_task(asyncio.to_thread(_work, running.world.folder / "busy"))
    while not working.done():
        running.engine.refresh()
        report = await running.device.verify(deep=True, only=())
        assert report.findings == []
        checks += 1
    await working
    assert checks > 3
    shutil.rmtree(running.world.folder / "busy")


def _work(folder: Path) -> None:
    """Makes, changes, moves and deletes for some seconds."""
    for number in range(40):
        place = folder / str(number % 7)
        place.mkdir(parents=True, exist_ok=True)
        (place / "kept.txt").write_bytes(b"%d" % number)
        (place / f"{number}.txt").write_bytes(b"%d" % number * 1000)
        if number % 3 == 0:
            (place / f"{number}.txt").rename(folder / f"moved {number}.txt")
        if number % 5 == 4:
            place.rename(folder / f"{number % 7} of {number}")
        if number % 11 == 10:
            shutil.rmtree(folder / f"{(number - 1) % 7}", ignore_errors=True)
        time.sleep(0.1)  # A person's pace: the engine has something to do all along.


async def test_a_pause_leaves_what_happens_meanwhile_to_be_done(running: Running) -> None:
    running.device.pause()
    (running.world.folder / "new.txt").write_bytes(b"new")
    report = await running.device.verify(deep=True, only=())
    assert (report.findings, left(report)) == ([], {"verify.new": {"new.txt"}})
    (running.world.folder / "new.txt").unlink()
    running.device.resume()
