"""`verify` and `admin check` on real processes: a sound world has nothing to tell, and planted damage is named."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import World, run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, ("A",)) as made:
        device = made.devices[0]
        (device.folder / "docs").mkdir()
        (device.folder / "docs" / "plan.md").write_text("# plan\n" * 100)
        (device.folder / "film.bin").write_bytes(hashlib.shake_128(b"film").digest(2_000_000))
        device.start()
        device.wait()
        yield made


def _admin_check(world: World, *options: str, good: int = 0) -> Any:
    return json.loads(run(["admin", "check", "--data", str(world.server.data), "--json", *options], good=(good,)))


def test_a_sound_world_has_nothing_to_tell(world: World) -> None:
    device = world.devices[0]
    report = device.json("verify", "--deep")
    assert (report["ok"], report["findings"], report["pending"]) == (True, [], [])
    assert [hop["hop"] for hop in report["hops"]] == ["disk", "content", "trees", "server", "manifests"]
    assert "Nothing was found wrong." in device.run("verify", str(device.folder / "docs"))
    assert _admin_check(world, "--deep")["ok"]


def test_damage_is_named_and_the_engine_goes_on(world: World) -> None:
    device = world.devices[0]
    objects = [path for path in (world.server.data / "objects").rglob("*") if path.is_file()]
    largest = max(objects, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    named = {(finding["code"], finding.get("path")) for finding in _admin_check(world, "--deep", good=1)["findings"]}
    assert ("check.revision_damaged", "/film.bin") in named

    device.stop()
    with closing(sqlite3.connect(device.home / "state.db", isolation_level=None)) as state:
        state.execute("DELETE FROM local WHERE name = 'plan.md'")
    ahead = time.time() + 3600
    os.utime(device.home / "state.db", (ahead, ahead))
    report = device.json("verify", good=(1,))
    assert [(finding["code"], finding["path"]) for finding in report["findings"]] == [("verify.not_in_tree", "docs/plan.md")]
    said = device.run("verify", good=(1,))
    assert "FOUND  verify.not_in_tree: docs/plan.md: it is on the disk and was in sync" in said


def test_without_the_server_what_is_here_is_checked(world: World) -> None:
    device = world.devices[0]
    device.stop()
    world.server.stop()
    said = device.run("verify", good=(4,), cap_s=120)
    assert said.splitlines()[0].startswith("ok          disk")
    assert "unreachable server" in said
    device.run("verify", str(device.folder / "nothing"), good=(2,))
    world.server.start()


def test_beside_an_engine_without_its_server(world: World) -> None:
    device = world.devices[0]
    world.server.stop()
    report = device.json("verify", good=(4,))
    assert report["lost"] == "unavailable"
    assert report["findings"] == []
    world.server.start()
