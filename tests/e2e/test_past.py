"""Undo, rewind and trash as a person uses them: real devices, a real server, the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.world import Device, World, environment

pytestmark = pytest.mark.real

FILES = 200


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def contents(device: Device) -> dict[str, str]:
    return {
        str(path.relative_to(device.folder)): path.read_text()
        for path in device.folder.rglob("*")
        if path.is_file() and ".syncline" not in path.parts
    }


def said(device: Device, *arguments: str, code: int) -> str:
    command = [sys.executable, "-m", "syncline.cli.main", *arguments]
    ran = subprocess.run(command, env=environment(device.home), input="", capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == code, (arguments, ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def test_an_undo_takes_back_a_burst_and_spares_what_another_device_mended(world: World) -> None:
    """A rewrites half of 200 files and deletes the rest, as ransomware would; B mends one of them in between."""
    one, other = world.devices
    for number in range(FILES):
        folder = one.folder / f"folder {number % 10}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"what matters {number}")
    for device in world.devices:
        device.start()
    world.settle()
    before = contents(one)
    assert len(before) == FILES
    since = datetime.now(UTC).isoformat()

    names = sorted(before)
    for name in names[: FILES // 2]:
        (one.folder / name).write_text("pay up")
    world.settle()
    mended = names[0]
    (other.folder / mended).write_text("mended by hand")
    world.settle()
    for name in names[FILES // 2 :]:
        (one.folder / name).unlink()
    one.run("refresh")
    one.run("resume", "--yes")
    other.run("resume", "--yes")
    world.settle()
    assert len(contents(other)) == FILES // 2

    dry = other.json("undo", "--device", "A", "--since", since, "--dry-run")
    assert dry[0]["counts"] == {"restored": 100, "moved": 0, "reverted": 99, "deleted": 0, "spared": 1}
    assert len(contents(other)) == FILES // 2
    told = other.run("undo", "--device", "A", "--since", since)
    assert f"spared     /{mended}: it was changed later; that stands by ada" in told
    changeset = told.rsplit("--changeset ", 1)[1].strip()
    world.settle()
    world.assert_equal()
    assert contents(one) == before | {mended: "mended by hand"}

    for device in world.devices:
        device.run("resume", "--yes")
    assert other.json("undo", "--changeset", changeset)[0]["counts"]["deleted"] == 100
    for device in world.devices:
        device.run("resume", "--yes")
    world.settle()
    world.assert_equal()
    assert len(contents(one)) == FILES // 2


def test_versions_trash_and_rewind_by_command(world: World) -> None:
    device = world.devices[0]
    source = world.root / "plan.txt"
    for text in ("one", "two two", "three"):
        source.write_text(text)
        device.run("put", str(source), "/plan.txt")
    device.run("mkdir", "/Docs")
    device.run("put", str(source), "/Docs/copy.txt")
    versions = device.json("history", "/plan.txt")
    assert [version["revision"] for version in versions] == [3, 2, 1]
    assert versions[0]["author"]["device_name"] == "A"
    assert "content" in device.run("history", "/plan.txt")
    then = datetime.now(UTC).isoformat()

    assert device.json("restore", "/plan.txt", "--revision", "1")["revision"] == 4
    assert device.run("cat", "/plan.txt") == "one"
    assert "has that content already" in device.run("restore", "/plan.txt", "--revision", "1")
    assert "not kept" in said(device, "restore", "/plan.txt", "--revision", "9", code=1)
    device.run("rm", "-r", "/Docs")
    device.run("rm", "/plan.txt")
    assert [entry["path"] for entry in device.json("trash")] == ["/plan.txt", "/Docs"]
    assert "/Docs/" in device.run("trash", "list")
    assert device.run("trash", "restore", "/Docs") == "/Docs is back.\n"
    assert device.run("cat", "/Docs/copy.txt") == "three"
    assert "in the trash" in said(device, "trash", "restore", "/Nothing", code=1)
    assert device.json("restore", "/plan.txt", "--revision", "2")["path"] == "/plan.txt"
    assert device.run("cat", "/plan.txt") == "two two"

    preview = device.run("rewind", "/", "--to", then, "--dry-run")
    assert "reverted   /plan.txt (version 3)" in preview
    assert "dry run" in preview
    assert device.json("rewind", "/", "--to", then)["counts"]["reverted"] == 1
    assert device.run("cat", "/plan.txt") == "three"
    assert "Nothing is to be done" in device.run("rewind", "/", "--to", "now")
    assert "no time" in said(device, "rewind", "/", "--to", "whenever", code=2)
    assert "was not there" in said(device, "rewind", "/Docs", "--to", "2001-01-01", code=1)

    explained = device.run("retention", "explain", "/plan.txt")
    assert "the present version" in explained
    assert device.json("retention", "explain")["policy"]["trash_days"] == 30

    device.run("rm", "-r", "/Docs")
    used = device.json("whoami")["used_bytes"]
    assert "Remove 1 entry for good?" in said(device, "trash", "purge", "/Docs", code=130)
    assert device.json("trash", "purge", "/Docs", "--yes")["purged"] == 2
    assert device.json("trash") == []
    assert device.json("whoami")["used_bytes"] == used
    device.run("rm", "/plan.txt")
    assert device.json("trash", "purge", "--all", "--yes")["freed_bytes"] == used
    assert device.json("whoami")["used_bytes"] == 0
    assert "not found" in said(device, "history", "/plan.txt", code=1)
    checked = said(device, "verify", code=0) if (device.folder / ".syncline").exists() else ""
    assert "Traceback" not in checked
