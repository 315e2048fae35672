"""Looking without a loop that runs: what was just done is seen, what must be read is read, and the guard says what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.client.devices import Device, settle

from syncline.client.plan.steps import Merge, Push
from syncline.model.errors import NeedsDecision
from syncline.protocol.commits import Op
from syncline.testing.journal_remote import JournalRemote


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path, "A", JournalRemote(checks_blocks=True))


async def test_deletions_are_seen_and_those_the_guard_holds_are_told(device: Device) -> None:
    for number in range(60):
        device.write(f"{number}", b"%d\n" % number)
    await device.sync()
    for number in range(60):
        (device.root / f"{number}").unlink()
    looked = await device.start().look()
    assert {(step.op) for step in looked.steps if isinstance(step, Push)} == {Op.DELETE}
    assert looked.held == looked.steps
    assert looked.guard is not None
    assert looked.guard.code == "delete.guard"
    assert len([row for row in device.remote.nodes.values() if not row.deleted]) == 60, "looking changes nothing"


async def test_one_deletion_is_not_held(device: Device) -> None:
    for number in range(9):
        device.write(f"{number}", b"%d\n" % number)
    await device.sync()
    (device.root / "0").unlink()
    looked = await device.start().look()
    assert (len(looked.steps), looked.held, looked.guard) == (1, [], None)


async def test_what_a_decision_needs_is_read(device: Device, tmp_path: Path) -> None:
    other = Device(tmp_path, "B", device.remote, merging=True)
    device.write("f", b"base\n")
    await settle(device, other)
    device.write("f", b"there\n")
    await device.sync()
    other.write("f", b"here\n")
    (step,) = (await other.start().look()).steps
    assert isinstance(step, Merge)
    assert other.read("f") == b"here\n"


async def test_without_its_folder_nothing_is_said(device: Device, tmp_path: Path) -> None:
    engine = device.start()
    device.root.rename(tmp_path / "away")
    with pytest.raises(NeedsDecision):
        await engine.look()
    with pytest.raises(NeedsDecision):
        await engine.errand(lambda: None)


async def test_an_errand_runs_between_rounds_and_answers_whoever_asked(device: Device) -> None:
    import asyncio

    engine = device.start()
    engine._once = False
    task = asyncio.create_task(engine.run())
    try:
        assert await asyncio.wait_for(engine.errand(lambda: 7), 10) == 7
        engine.pause()
        assert await asyncio.wait_for(engine.errand(lambda: 8), 10) == 8
        with pytest.raises(NeedsDecision):
            await asyncio.wait_for(engine.errand(_refuse), 10)
        assert await asyncio.wait_for(engine.errand(lambda: 9), 10) == 9
    finally:
        engine.stop()
        await asyncio.wait_for(task, 10)


def _refuse() -> None:
    raise NeedsDecision(message="Look first.")
