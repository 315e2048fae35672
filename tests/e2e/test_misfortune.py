"""What goes wrong in the world: one clear line in `status`, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import EMAIL, Device, World, contents, copy_folder, eventually, run, tree

DAY_S = 86_400


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


# -- what a device remembers ------------------------------------------------------------------------------------------------------


def forget(device: Device) -> None:
    """The device's database is gone."""
    for file in device.home.glob("state.db*"):
        file.unlink()


@pytest.mark.timeout(120)
def test_a_device_whose_database_was_deleted_loses_nothing(world: World) -> None:
    a, b = started(world).devices
    for name in ("same", "edited here", "edited there", "moved there", "deleted here"):
        (a.folder / name).write_text(f"{name}, first")
    (a.folder / "folder").mkdir()
    (a.folder / "folder/inside").write_text("inside")
    world.settle()
    a.stop()
    forget(a)
    (a.folder / "edited here").write_text("edited here, second")
    (a.folder / "new here").write_text("new here")
    (a.folder / "deleted here").unlink()
    (b.folder / "edited there").write_text("edited there, second")
    (b.folder / "moved there").rename(b.folder / "folder/moved")
    (b.folder / "new there").write_text("new there")
    b.wait()
    a.start()
    world.settle()
    world.assert_equal()
    names = {path: sha for path, (_, sha, _) in tree(a.folder).items()}
    assert names["same"]
    assert names["folder/inside"]
    assert len([path for path in names if path.startswith("same")]) == 1, "equal bytes are adopted, not copied"
    texts = {path.read_text() for path in a.folder.rglob("*") if path.is_file() and ".syncline" not in path.parts}
    wanted = {f"{name}, second" for name in ("edited here", "edited there")} | {"new here", "new there", "inside", "same, first"}
    assert wanted <= texts


@pytest.mark.timeout(120)
def test_a_device_whose_database_is_an_old_copy_loses_nothing_and_makes_no_needless_copies(world: World) -> None:
    a, b = started(world).devices
    for number in range(12):
        (a.folder / f"f{number}").write_text(f"{number}, first")
    world.settle()
    a.stop()
    copy_folder(a.home, world.root / "old home")
    a.start()
    (a.folder / "f0").write_text("0, second, here")
    (a.folder / "f1").rename(a.folder / "moved here")
    (a.folder / "f2").unlink()
    (b.folder / "f3").write_text("3, second, there")
    (b.folder / "f4").unlink()
    (b.folder / "new there").write_text("new there")
    (a.folder / "new here").write_text("new here")
    world.settle()
    a.stop()
    forget(a)
    for file in (world.root / "old home").glob("state.db*"):
        shutil.copy2(file, a.home)
    (a.folder / "f5").write_text("5, second, while stopped")
    (a.folder / "later here").write_text("later here")
    (b.folder / "f6").write_text("6, second, meanwhile")
    (b.folder / "f7").unlink()
    b.wait()
    a.start()
    world.settle()
    world.assert_equal()
    texts = {path.name: path.read_text() for path in a.folder.iterdir() if path.is_file()}
    assert texts == {
        "f0": "0, second, here",
        "moved here": "1, first",
        "f3": "3, second, there",
        "f5": "5, second, while stopped",
        "f6": "6, second, meanwhile",
        **{f"f{number}": f"{number}, first" for number in range(8, 12)},
        "new there": "new there",
        "new here": "new here",
        "later here": "later here",
    }


# -- where the folder is ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a folder")
def test_an_unmounted_root_deletes_nothing_and_goes_on_when_it_is_back(world: World) -> None:
    a, b = world.devices
    disk = world.root / "disk"
    disk.mkdir()
    mounted = a.folder

    def mount() -> None:
        subprocess.run(["mount", "--bind", str(disk), str(mounted)], check=True)

    def unmount() -> None:
        subprocess.run(["umount", "-l", str(mounted)], check=True)

    (mounted / ".syncline").rename(disk / ".syncline")
    mount()
    try:
        started(world)
        for number in range(80):
            (mounted / f"f{number}").write_text(str(number))
        world.settle()
        unmount()
        a.run("refresh")
        eventually(lambda: a.status()["state"] == "attention", 30, "A notices", every_s=0.2)
        assert {"root.missing"} <= a.problem_codes()
        (b.folder / "meanwhile").write_text("meanwhile")
        b.wait()
        a.stop()
        a.run("sync", "--once", good=(3,))
        assert len(tree(b.folder)) == 81
        assert list(mounted.iterdir()) == [], "nothing is put into the empty place"
        mount()
        a.start()
        world.settle()
        world.assert_equal()
        assert len(tree(mounted)) == 81
    finally:
        if a.running:
            a.kill()
        unmount()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stranger", ["empty", "files", "marked"])
def test_a_renamed_root_with_another_folder_in_its_place_is_left_alone(world: World, stranger: str) -> None:
    a, b = started(world).devices
    (a.folder / "keep").write_text("keep")
    world.settle()
    away = world.root / "away"
    a.folder.rename(away)
    a.folder.mkdir()
    if stranger != "empty":
        (a.folder / "foreign").write_text("not to be synced")
    if stranger == "marked":
        (a.folder / ".syncline").mkdir()
        (a.folder / ".syncline/root-id").write_text((b.folder / ".syncline/root-id").read_text())
    before = tree(a.folder)
    a.run("refresh")
    eventually(lambda: a.status()["state"] == "attention", 30, "A notices", every_s=0.2)
    assert a.problem_codes() & {"root.changed", "root.missing"}
    a.stop()
    a.run("sync", "--once", good=(3,))
    a.run("start", good=(3,))
    (away / "keep").write_text("edited where it lies now")
    (b.folder / "more").write_text("more")
    b.wait()
    assert tree(a.folder) == before
    assert set(tree(b.folder)) == {"keep", "more"}
    shutil.rmtree(a.folder)
    away.rename(a.folder)
    a.start()
    world.settle()
    world.assert_equal()
    assert (b.folder / "keep").read_text() == "edited where it lies now"


# -- two of a kind -----------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_two_engines_on_one_home_or_on_one_folder_are_refused(world: World) -> None:
    a, _ = started(world).devices
    (a.folder / "keep").write_text("keep")
    world.settle()
    said = run(["sync"], home=a.home, good=(1,), errors=True)
    assert "Syncing runs already" in said
    shutil.copytree(a.home, world.root / "home-copy", ignore=shutil.ignore_patterns("control.sock", "lock"))
    for command in (["sync", "--once"], ["start"]):
        said = run(command, home=world.root / "home-copy", good=(1, 3), errors=True)
        assert f"Another engine syncs {a.folder} already (process {a.pid}" in said
    a.stop()
    run(["sync", "--once"], home=world.root / "home-copy")
    a.start()
    world.settle()
    world.assert_equal()


# -- wrong clocks ------------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_clocks_that_are_a_day_off_lose_nothing(world: World) -> None:
    """First the devices' clocks, both ways, and then the server's, in the middle of sessions: tokens, grants, quiet windows, racy
    files and the long poll go on."""
    a, b = world.devices
    a.offset_s, b.offset_s = -DAY_S, DAY_S
    started(world)
    written: set[str] = set()

    def everybody_works(turn: int) -> None:
        for device in world.devices:
            for number in range(6):
                (device.folder / f"{device.name}{turn}-{number}").write_text(f"{device.name} {turn} {number}")
            if turn:
                (device.folder / f"{device.name}{turn - 1}-0").write_text(f"{device.name} edited in turn {turn}")
                (device.folder / f"{device.name}{turn - 1}-1").rename(device.folder / f"{device.name}{turn}-moved")
                (device.folder / f"{device.name}{turn - 1}-2").unlink()
        written.update(contents(a.folder) | contents(b.folder))
        world.settle()
        world.assert_equal()
        assert all(device.status()["state"] in ("in_sync", "syncing") for device in world.devices)
        assert not (a.problem_codes() | b.problem_codes()) - {"skipped.special"}

    everybody_works(0)
    for turn, offset_s in ((1, -DAY_S), (2, DAY_S), (3, 0)):
        world.server.stop()
        world.server.offset_s = offset_s
        world.server.start()
        everybody_works(turn)
    a.stop()
    a.offset_s = DAY_S
    a.start()
    everybody_works(4)
    names = set(tree(a.folder))
    assert not [name for name in names if "conflict" in name], "nobody edited what somebody else did"
    assert len(names) == 2 * (5 * 6 - 4)
