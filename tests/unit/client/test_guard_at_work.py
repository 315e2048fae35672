"""The delete guard in a whole engine: when it asks, when it must not, and how it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.client.test_engine import Device, failing, names, until

from syncline.client.engine import Engine
from syncline.client.status import State
from syncline.model.errors import Unavailable
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import JournalRemote

FILES = 80


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


@pytest.fixture
def device(tmp_path: Path, remote: JournalRemote) -> Device:
    return Device(tmp_path, remote)


async def filled(device: Device, engine: Engine, files: int = FILES) -> None:
    for number in range(files):
        device.write(f"d/f{number}", f"text {number}")
    assert await engine.wait(30)


async def test_a_mass_deletion_here_asks_and_goes_on_when_it_is_meant(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine)
        device.write("kept", "text")
        shutil.rmtree(device.root / "d")
        assert not await engine.wait(30)
        assert engine.state() is State.ATTENTION
        assert device.codes() == {"delete.guard"}
        await until(lambda: len(names(remote)) == FILES + 2), "everything else syncs on"
        engine.resume(confirm_deletes=True)
        assert await engine.wait(30)
        assert names(remote) == {"kept"}
        assert device.codes() == set()


async def test_files_that_come_back_end_it_by_themselves(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine)
        (device.root / "d").rename(device.root.parent / "aside")
        await until(lambda: "delete.guard" in device.codes())
        (device.root.parent / "aside").rename(device.root / "d")
        await until(lambda: device.codes() == set())
        assert await engine.wait(30)
        assert engine.state() is not State.ATTENTION
        assert len(names(remote)) == FILES + 1


async def test_a_mass_deletion_elsewhere_asks_here(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine)
        folder = next(node for node in engine.parts.trees.remote if node.name == "d")
        remote.change(Change(op=Op.DELETE, node_id=folder.id, recursive=True, subtree_as_of=remote.head))
        await until(lambda: "delete.guard" in device.codes())
        assert len(list((device.root / "d").iterdir())) == FILES
        engine.resume(confirm_deletes=True)
        assert await engine.wait(30)
        assert not (device.root / "d").exists()


async def test_a_small_folder_that_is_emptied_whole_asks(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine, 12)
        shutil.rmtree(device.root / "d")
        await until(lambda: "delete.guard" in device.codes())
        assert len(names(remote)) == 13
        device.write("a", "something is left after all")
        await until(lambda: device.codes() == set())
        assert await engine.wait(30)
        assert names(remote) == {"a"}


async def test_it_never_asks_for_renames_modes_times_or_what_is_kept_off_this_disk(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine)
        told: set[str] = set()
        (device.root / "d").rename(device.root / "renamed")
        assert await engine.wait(30)
        told |= device.codes()
        for number in range(FILES):
            (device.root / f"renamed/f{number}").rename(device.root / f"out{number}")
        assert await engine.wait(30)
        told |= device.codes()
        for number in range(FILES):
            (device.root / f"out{number}").chmod(0o755)
        assert await engine.wait(30)
        told |= device.codes()
        for number in range(FILES):
            (device.root / f"out{number}").touch()
        assert await engine.wait(30)
        told |= device.codes()
        assert len(names(remote)) == FILES + 1
        (device.root / "far").mkdir()
        for number in range(FILES):
            (device.root / f"out{number}").rename(device.root / f"far/f{number}")
        assert await engine.wait(30)
        folder = next(node for node in engine.parts.trees.remote if node.name == "far")
        engine.parts.excluded = frozenset((folder.id,))
        engine.parts.trees.open_all()
        assert await engine.wait(30)
        told |= device.codes()
        assert not (device.root / "far").exists()
        assert told == set()
        assert len(names(remote)) == FILES + 2
        assert engine.parts.trees.here.not_here(engine.parts.trees.remote[folder.id].namespace) == FILES + 1


async def test_files_just_written_that_move_into_a_new_folder_are_moves(device: Device, remote: JournalRemote) -> None:
    """They are too fresh to be looked at where they arrive, and already missing where they were."""
    async with device.running() as engine:
        for number in range(12):
            device.write(f"f{number}", f"text {number}")
        assert await engine.wait(30)
        before = {node.name: node.id for node in engine.parts.trees.remote}
        for _ in range(3):
            for number in range(12):
                (device.root / f"f{number}").touch()
            assert await engine.wait(30)
            (device.root / "new").mkdir()
            for number in range(12):
                (device.root / f"f{number}").rename(device.root / f"new/f{number}")
            assert await engine.wait(30)
            for number in range(12):
                (device.root / f"new/f{number}").rename(device.root / f"f{number}")
            (device.root / "new").rmdir()
            assert await engine.wait(30)
        assert {node.name: node.id for node in engine.parts.trees.remote} == before
        assert {row.op for row in remote.journal[12:] if row.name.startswith("f")} == {"move"}


async def test_what_was_deleted_offline_and_came_back_is_itself_again(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await filled(device, engine, 3)
        before = {node.name: node.id for node in engine.parts.trees.remote}
        failing(remote, Unavailable(what="the server"), "changes", "namespaces", "commit", "poll", "missing", "grant")
        engine.refresh()
        await until(lambda: engine.state() is State.OFFLINE)
        (device.root / "d").rename(device.root.parent / "aside")
        await until(lambda: not len(engine.parts.trees.local))
        (device.root.parent / "aside").rename(device.root / "d")
        device.write("d/f1", "edited meanwhile")
        await until(lambda: len(engine.parts.trees.local) == 4)
        failing(remote, None)
        assert await engine.wait(30)
        assert {node.name: node.id for node in engine.parts.trees.remote} == before
        assert {row.op for row in remote.journal[4:]} == {"edit"}
