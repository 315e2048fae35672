"""`find`, `du`, `activity`, `cp` and `devices` against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.world import Device, World, environment

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with World(tmp_path_factory.mktemp("looking")) as world:
        device = world.devices[0]
        local = world.root / "local"
        (local / "plans" / "old").mkdir(parents=True)
        (local / "plans" / "Summer Plan.txt").write_text("x" * 3000)
        (local / "plans" / "old" / "plan.txt").write_text("y" * 1000)
        said(device, "mkdir", "/Documents")
        said(device, "put", str(local / "plans"), "/Documents")
        yield device


def ran(device: Device, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "syncline.cli.main", *arguments]
    done = subprocess.run(command, env=environment(device.home), capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done


def said(device: Device, *arguments: str) -> str:
    done = ran(device, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def facts(device: Device, *arguments: str) -> Any:
    return json.loads(said(device, *arguments, "--json"))


def test_find(device: Device) -> None:
    paths = [one["path"] for one in facts(device, "find", "PLAN", "--in", "/Documents")]
    assert sorted(paths) == ["/Documents/plans", "/Documents/plans/Summer Plan.txt", "/Documents/plans/old/plan.txt"]
    assert [one["path"] for one in facts(device, "find", "plan", "summer")] == ["/Documents/plans/Summer Plan.txt"]
    assert [one["path"] for one in facts(device, "find", "plans", "--kind", "dir")] == ["/Documents/plans"]
    assert "2.9 KiB" in said(device, "find", "*.txt")
    assert said(device, "find", "no such thing") == ""
    assert "-n 2" in ran(device, "find", "plan", "-n", "1").stderr
    assert ran(device, "find").returncode == 2
    assert ran(device, "find", "plan", "--in", "Documents").returncode == 2


def test_du(device: Device) -> None:
    answer = facts(device, "du", "/Documents", "--depth", "2")
    assert (answer["bytes"], answer["files"]) == (4000, 2)
    assert [(one["path"], one["bytes"]) for one in answer["entries"]] == [
        ("/Documents/plans", 4000),
        ("/Documents/plans/old", 1000),
    ]
    text = said(device, "du")
    assert "3.9 KiB" in text
    assert "present files 3.9 KiB" in text
    assert ran(device, "du", "/nothing").returncode == 1


def test_activity(device: Device) -> None:
    latest = facts(device, "activity", "/Documents")
    assert {one["what"] for one in latest} == {"created"}
    line = said(device, "activity", "/Documents", "-n", "1")
    assert "created 4: /Documents/plans, " in line
    assert "and 1 more" in line


def test_cp(device: Device) -> None:
    said(device, "cp", "/Documents/plans", "/copy of plans")
    assert said(device, "cat", "/copy of plans/old/plan.txt") == "y" * 1000
    said(device, "cp", "-r", "/copy of plans/old", "/Documents")
    assert said(device, "cat", "/Documents/old/plan.txt") == "y" * 1000
    taken = ran(device, "cp", "/Documents/plans", "/copy of plans/old/plan.txt")
    assert taken.returncode == 1
    assert "exists already" in taken.stderr
    renamed = facts(device, "cp", "/Documents/old/plan.txt", "/Documents/old/plan.txt", "--autorename")
    assert (renamed["path"], renamed["nodes"]) == ("/Documents/old/plan (1).txt", 1)
    assert ran(device, "cp", "/nothing", "/x").returncode == 1
    assert ran(device, "cp", "/", "/x").returncode == 1


def test_devices_tell_when_they_were_up_to_date(device: Device) -> None:
    assert facts(device, "devices")[0]["last_synced"] is None
    said(device, "sync", "--once")
    assert facts(device, "devices")[0]["last_synced"] is not None
    assert "last synced" in said(device, "devices")
