"""The main job, by the command line, on real folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World, eventually, tree


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        for device in made.devices:
            device.start()
        yield made


def test_whatever_is_done_to_one_folder_happens_to_the_other(world: World) -> None:
    a, b = world.devices
    (a.folder / "docs" / "deep").mkdir(parents=True)
    (a.folder / "docs" / "note.txt").write_text("hello")
    (a.folder / "docs" / "deep" / "large.bin").write_bytes(os.urandom(3 << 20))
    (a.folder / "empty").mkdir()
    (a.folder / "run.sh").write_text("#!/bin/sh\n")
    (a.folder / "run.sh").chmod(0o755)
    (a.folder / "é.txt").write_text("accent")
    (a.folder / "nothing").touch()
    world.settle()
    world.assert_equal()
    assert tree(b.folder)["run.sh"][2]

    (b.folder / "docs").rename(b.folder / "papers")
    (b.folder / "papers" / "note.txt").write_text("hello again")
    (b.folder / "run.sh").chmod(0o644)
    (b.folder / "empty").rmdir()
    world.settle()
    world.assert_equal()
    assert (a.folder / "papers" / "note.txt").read_text() == "hello again"
    assert not (a.folder / "docs").exists()
    assert not (a.folder / "empty").exists()

    (a.folder / "papers" / "note.txt").unlink()
    world.settle()
    world.assert_equal()
    assert not (b.folder / "papers" / "note.txt").exists()


def test_a_pause_outlives_the_engine_and_ends_with_resume(world: World) -> None:
    a, b = world.devices
    a.run("pause")
    a.kill()
    a.start()
    (a.folder / "later.txt").write_text("later")
    assert a.status()["state"] == "paused"
    a.run("wait", "--timeout", "20", good=(3,))
    b.wait()
    assert not (b.folder / "later.txt").exists()
    assert "paused" in a.run("start")
    a.run("resume")
    world.settle()
    world.assert_equal()
    assert (b.folder / "later.txt").exists()


def test_both_edit_one_file_and_both_versions_are_kept_on_both(world: World) -> None:
    a, b = world.devices
    (a.folder / "plan.txt").write_text("base")
    world.settle()
    for device in world.devices:
        device.freeze(True)
    (a.folder / "plan.txt").write_text("from A")
    (b.folder / "plan.txt").write_text("from B, longer")
    for device in world.devices:
        device.freeze(False)
    world.settle()
    world.assert_equal()
    kept = {path.read_text() for path in a.folder.glob("plan*")}
    assert kept == {"from A", "from B, longer"}
    assert len([path for path in a.folder.iterdir() if "conflicted copy" in path.name]) == 1


def test_a_saved_file_arrives_without_asking(world: World) -> None:
    a, b = world.devices
    (a.folder / "x").write_bytes(b"one")
    eventually(lambda: (b.folder / "x").exists() and (b.folder / "x").read_bytes() == b"one", 15, "x arrives")


def test_swapped_names_and_inverted_folders_arrive(world: World) -> None:
    a, _ = world.devices
    (a.folder / "one").write_text("1")
    (a.folder / "two").write_text("2")
    (a.folder / "up" / "down").mkdir(parents=True)
    (a.folder / "up" / "down" / "leaf").write_text("leaf")
    world.settle()
    a.freeze(True)
    (a.folder / "one").rename(a.folder / "t")
    (a.folder / "two").rename(a.folder / "one")
    (a.folder / "t").rename(a.folder / "two")
    (a.folder / "up" / "down").rename(a.folder / "down2")
    (a.folder / "up").rename(a.folder / "down2" / "up")
    (a.folder / "down2").rename(a.folder / "down")
    a.freeze(False)
    world.settle()
    world.assert_equal()


def test_sync_once_carries_a_folder_without_daemons(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        a, b = world.devices
        (a.folder / "f").write_text("once")
        a.run("sync", "--once")
        b.run("sync", "--once")
        world.assert_equal()
        (b.folder / "f").unlink()
        b.run("sync", "--once")
        a.run("sync", "--once")
        assert tree(a.folder) == {}


def test_names_that_differ_only_in_case_are_two_files_and_two_spellings_of_one_are_told(world: World) -> None:
    a, b = world.devices
    (a.folder / "net").mkdir()
    (a.folder / "net" / "xt_MARK.h").write_text("target")
    (a.folder / "net" / "xt_mark.h").write_text("match")
    (a.folder / "Net").mkdir()
    (a.folder / "Net" / "inside").write_text("another folder")
    world.settle()
    world.assert_equal()
    assert sorted(path.name for path in (b.folder / "net").iterdir()) == ["xt_MARK.h", "xt_mark.h"]
    (b.folder / "net" / "xt_mark.h").rename(b.folder / "net" / "XT_MARK.h")
    world.settle()
    world.assert_equal()
    (a.folder / "caf\u00e9").write_text("composed")
    (a.folder / "cafe\u0301").write_text("decomposed")
    world.settle()
    world.assert_equal()
    assert {path.read_text() for path in b.folder.glob("caf*")} == {"composed", "decomposed"}
