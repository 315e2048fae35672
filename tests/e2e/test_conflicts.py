"""Conflicts with real processes: listed on every device, resolved with and without a daemon, and never a version lost to a kill."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import Device, World, contents, environment

pytestmark = pytest.mark.real

BASE = "".join(f"line {number}\n" for number in range(20))
OURS, THEIRS = BASE.replace("line 13\n", "thirteen\n"), BASE.replace("line 3\n", "three\n")
BOTH = OURS.replace("line 3\n", "three\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("conflicts")) as made:
        for device in made.devices:
            device.start()
        yield made


def both_edit(world: World, name: str, ours: bytes, theirs: bytes, base: bytes = BASE.encode()) -> Path:
    """Both devices edit the file unseen by each other; the copy that B makes of its own version."""
    a, b = world.devices
    (a.folder / name).write_bytes(base)
    world.settle()
    b.stop()
    (a.folder / name).write_bytes(theirs)
    a.wait()
    (b.folder / name).write_bytes(ours)
    b.start()
    world.settle()
    stem = name.partition(".")[0]
    (copy,) = b.folder.glob(f"{stem} (B's conflicted copy *")
    return copy


def paths(device: Device) -> list[tuple[str, str]]:
    return [(one["path"], one["from"]) for one in device.json("conflicts")["conflicts"]]


def test_listed_everywhere_and_resolved_anywhere(world: World) -> None:
    a, b = world.devices
    copies = {
        name: both_edit(world, name, OURS.encode(), THEIRS.encode()) for name in ("one.txt", "two.txt", "three.txt", "four.txt")
    }
    for device in world.devices:
        assert paths(device) == [(name, "B") for name in sorted(copies)]
    # By the original's path with the daemon, by the copy's without it, and on the device that did not make it.
    b.run("conflicts", "resolve", "one.txt", "--keep", "merged")
    b.stop()
    b.run("conflicts", "resolve", str(copies["two.txt"]), "--keep", "ours")
    b.start()
    a.run("conflicts", "resolve", str(a.folder / "three.txt"), "--keep", "theirs")
    b.run("conflicts", "resolve", "four.txt", "--keep", "both")
    world.settle()
    world.assert_equal()
    assert paths(b) == []
    assert paths(a) == [("four.txt", "B")], "each device asks for itself"
    expected = {"one.txt": BOTH, "two.txt": OURS, "three.txt": THEIRS, "four.txt": THEIRS, copies["four.txt"].name: OURS}
    assert {path.name: path.read_text() for path in a.folder.iterdir() if path.is_file()} == expected
    b.run("conflicts", "resolve", "one.txt", "--keep", "ours", good=(1,))


def test_merging_by_itself_once_asked(world: World) -> None:
    a, b = world.devices
    b.run("config", "set", "conflicts", "merge")
    (a.folder / "both.txt").write_text(BASE)
    world.settle()
    b.stop()
    (a.folder / "both.txt").write_text(THEIRS)
    a.wait()
    (b.folder / "both.txt").write_text(OURS)
    told = {step["path"]: step for step in b.json("plan")["steps"]}
    assert (told["both.txt"]["action"], told["both.txt"]["side"]) == ("merge", "conflict")
    b.start()
    world.settle()
    world.assert_equal()
    assert (a.folder / "both.txt").read_text() == BOTH
    assert not list(b.folder.glob("both (*"))
    assert hashlib.sha256(OURS.encode()).hexdigest() in contents(b.folder / ".syncline/trash")
    assert b.json("status")["progress"]["merges"] == 1
    b.run("config", "set", "conflicts", "copy")


@pytest.mark.parametrize("with_daemon", [True, False], ids=["daemon", "alone"])
def test_killed_between_any_two_steps(world: World, with_daemon: bool) -> None:
    """The version from here is large enough that a kill hits the copying, the exchange, or what comes after."""
    a, b = world.devices
    ours, theirs = b"ours\n" * (8 << 20), b"theirs\n" * 1000
    wanted = {hashlib.sha256(version).hexdigest() for version in (ours, theirs)}
    name = f"large-{with_daemon}.bin"
    copy = both_edit(world, name, ours, theirs, b"base\n")
    for delay_ms in (0, 60, 150, 300):
        if not with_daemon and b.running:
            b.stop()
        if with_daemon and not b.running:
            b.start()
        resolve = subprocess.Popen(
            [sys.executable, "-m", "syncline.cli.main", "conflicts", "resolve", str(copy), "--keep", "ours"],
            env=environment(b.home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.35 + delay_ms / 1000)
        if with_daemon:
            b.kill()
        resolve.kill()
        resolve.wait()
        assert wanted <= contents(b.folder), f"a version was lost at {delay_ms} ms"
    if not b.running:
        b.start()
    b.wait()
    if copy.exists():
        b.run("conflicts", "resolve", str(copy), "--keep", "ours")
    world.settle()
    world.assert_equal()
    assert (a.folder / name).read_bytes() == ours
    assert not copy.exists()
    assert wanted <= contents(b.folder)
    assert name not in {path for path, _ in (*paths(a), *paths(b))}
