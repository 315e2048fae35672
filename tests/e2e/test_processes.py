"""What befalls processes, not files: an engine stopped in the middle and gone on with, and two engines where one should be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import EMAIL, PASSWORD, Device, World, environment, eventually, tree

FROZEN_S = 5.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


@pytest.mark.timeout(180)
@pytest.mark.parametrize("point", ["files.sync_files:before:1=stop", "remote.put_pack:after:1=stop", "remote.commit:after:1=stop"])
def test_a_daemon_stopped_in_mid_transfer_goes_on_where_it_was(world: World, point: str) -> None:
    a, b = world.devices
    a.start()
    (a.folder / "edited.txt").write_text("first")
    a.wait()
    b.run("sync", "--once")
    b.start(point)
    (b.folder / "up.bin").write_bytes(os.urandom(3 << 20))
    (a.folder / "down.bin").write_bytes(os.urandom(3 << 20))
    (a.folder / "edited.txt").write_text("second")
    eventually(lambda: is_stopped(b), 30, "B stops at the failpoint")
    (a.folder / "later.txt").write_text("while B stood still")
    (b.folder / "own.txt").write_text("while its engine stood still")
    (b.folder / "edited.txt").rename(b.folder / "renamed.txt")
    time.sleep(FROZEN_S)
    b.freeze(False)
    world.settle()
    world.assert_equal()
    found = {path.name: path.read_text() for path in a.folder.glob("*.txt")}
    assert found == {"later.txt": "while B stood still", "own.txt": "while its engine stood still", "renamed.txt": "second"}
    assert {path.name for path in a.folder.glob("*.bin")} == {"up.bin", "down.bin"}


@pytest.mark.timeout(120)
def test_a_second_engine_of_one_home_is_refused_and_nothing_is_lost(world: World) -> None:
    a, b = world.devices
    a.start()
    b.start()
    (a.folder / "kept.txt").write_text("kept")
    said = refusal(a)
    assert "runs already for this device" in said
    assert str(a.pid) in said
    world.settle()
    world.assert_equal()
    assert (b.folder / "kept.txt").read_text() == "kept"


@pytest.mark.timeout(120)
def test_a_copied_home_is_refused_while_the_first_one_syncs_the_folder(world: World) -> None:
    a, b = world.devices
    a.start()
    b.start()
    (a.folder / "kept.txt").write_text("kept")
    world.settle()
    twin = Device(world.root, "twin", world.server)
    twin.folder.rmdir()
    shutil.copytree(a.home, twin.home, ignore=shutil.ignore_patterns("control.sock", "lock"))
    twin.run("status", good=(3,))
    (a.folder / "more.txt").write_text("written while two wanted the folder")
    said = refusal(twin)
    assert f"syncs {a.folder} already (process {a.pid}" in said
    twin.run("sync", "--once", good=(1,))
    world.settle()
    world.assert_equal()
    assert sorted(tree(b.folder)) == ["kept.txt", "more.txt"]
    a.stop()
    # Nobody else is there now: the copy may go on where the first one was.
    twin.run("sync", "--once")
    assert tree(a.folder) == tree(b.folder)


@pytest.mark.timeout(120)
def test_a_second_home_cannot_link_a_folder_that_is_synced(world: World) -> None:
    a, _ = world.devices
    (a.folder / "kept.txt").write_text("kept")
    a.start()
    other = Device(world.root, "other", world.server)
    login = ("login", world.server.url, "--email", EMAIL, "--password-stdin", "--device-name", "other")
    other.run(*login, input_text=PASSWORD + "\n")
    other.run("link", str(a.folder), good=(3,))
    a.wait()
    assert sorted(tree(a.folder)) == ["kept.txt"]


def refusal(device: Device) -> str:
    """What another daemon of this home says, which ends at once."""
    command = [sys.executable, "-m", "syncline.app.daemon"]
    done = subprocess.run(command, env=environment(device.home), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    return done.stderr


def is_stopped(device: Device) -> bool:
    """Whether the kernel says that the daemon stands still."""
    return Path(f"/proc/{device.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
