"""What goes wrong in the world: one clear line in `status`, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import EMAIL, World, copy_folder, eventually, tree


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def started(world: World) -> World:
    for device in world.devices:
        device.start()
    return world


@pytest.mark.timeout(120)
def test_a_server_put_back_to_an_older_copy_is_noticed_and_deletes_nothing(world: World) -> None:
    a, b = started(world).devices
    (a.folder / "old.txt").write_text("old")
    (a.folder / "edited.txt").write_text("first")
    world.settle()
    world.server.stop()
    copy_folder(world.server.data, world.root / "backup")
    world.server.start()
    (a.folder / "new.txt").write_text("written after the backup")
    (b.folder / "new-b.txt").write_text("written after the backup, on B")
    (a.folder / "edited.txt").write_text("second, longer")
    (a.folder / "old.txt").rename(a.folder / "renamed.txt")
    world.settle()
    before = {sha for device in world.devices for _, sha, _ in tree(device.folder).values() if sha}
    world.server.kill()
    copy_folder(world.root / "backup", world.server.data)
    world.server.start()
    (b.folder / "later.txt").write_text("after the restore")
    world.settle()
    world.assert_equal()
    visible = {sha for _, sha, _ in tree(a.folder).values() if sha}
    assert before <= visible, "somebody's bytes are gone"
    assert (a.folder / "new.txt").read_text() == "written after the backup"
    assert (a.folder / "later.txt").exists()


def test_a_wrong_password_is_said_plainly(world: World) -> None:
    a, _ = world.devices
    done = a.run("login", world.server.url, "--email", EMAIL, "--password-stdin", input_text="wrong\n", good=(5,))
    assert done == ""


@pytest.mark.timeout(120)
def test_an_unreachable_server_is_said_and_work_goes_on_when_it_is_back(world: World) -> None:
    a, b = started(world).devices
    world.settle()
    world.server.kill()
    (a.folder / "offline.txt").write_text("written offline")
    eventually(lambda: a.status()["state"] == "offline", 30, "A notices", every_s=0.3)
    assert any("reach" in problem["message"] for problem in a.status()["problems"])
    world.server.start()
    world.settle()
    world.assert_equal()
    assert (b.folder / "offline.txt").exists()


@pytest.mark.timeout(120)
def test_a_folder_removed_under_the_daemon_deletes_nothing_elsewhere(world: World) -> None:
    a, b = started(world).devices
    (a.folder / "keep.txt").write_text("keep")
    world.settle()
    shutil.rmtree(a.folder)
    eventually(lambda: a.status()["state"] == "attention", 30, "A notices", every_s=0.3)
    assert {"root.missing"} <= a.problem_codes()
    b.wait()
    assert (b.folder / "keep.txt").read_text() == "keep"


@pytest.mark.timeout(120)
def test_a_root_without_its_marker_deletes_nothing(world: World) -> None:
    a, b = started(world).devices
    (a.folder / "keep.txt").write_text("keep")
    world.settle()
    a.stop()
    shutil.rmtree(a.folder)
    a.folder.mkdir()
    a.run("sync", "--once", good=(3,))
    b.wait()
    assert (b.folder / "keep.txt").exists()


@pytest.mark.timeout(120)
def test_a_file_that_is_written_to_without_pause_arrives_whole(world: World) -> None:
    a, b = started(world).devices
    writer = subprocess.Popen(["bash", "-c", f"for i in $(seq 60); do echo line $i >> '{a.folder}/log.txt'; sleep 0.05; done"])
    writer.wait(60)
    world.settle()
    world.assert_equal()
    assert (b.folder / "log.txt").read_text().endswith("line 60\n")
    assert len(tree(b.folder)) == 1


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_is_said_and_heals_when_there_is_room(world: World) -> None:
    a, b = world.devices
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(b.folder)], check=True)
    try:
        b.run("link", str(b.folder))
        started(world)
        (a.folder / "big.bin").write_bytes(os.urandom(12 << 20))
        (a.folder / "small.txt").write_text("fits")
        a.wait()
        eventually(lambda: "disk.full" in b.problem_codes(), 40, "B says that its disk is full", every_s=0.3)
        eventually(lambda: (b.folder / "small.txt").exists(), 20, "what fits arrives")
        subprocess.run(["mount", "-o", "remount,size=64m", str(b.folder)], check=True)
        b.run("resume")
        world.settle()
        world.assert_equal()
        b.kill()
    finally:
        subprocess.run(["umount", "-l", str(b.folder)], check=True)


@pytest.mark.timeout(120)
def test_an_unreadable_file_is_named_and_the_rest_syncs(world: World) -> None:
    a, b = world.devices
    a.obeys_modes = True
    started(world)
    (a.folder / "secret.txt").write_text("mine")
    (a.folder / "secret.txt").chmod(0o000)
    (a.folder / "open.txt").write_text("yours")
    eventually(lambda: (b.folder / "open.txt").exists(), 30, "the readable file arrives")
    eventually(lambda: "file.unreadable" in a.problem_codes(), 30, "A names the unreadable file", every_s=0.3)
    assert [problem["path"] for problem in a.status()["problems"] if problem["code"] == "file.unreadable"] == ["secret.txt"]
    (a.folder / "secret.txt").chmod(0o644)
    a.run("resume")
    world.settle()
    world.assert_equal()
