"""Links from the command line, used with `curl` alone, and large files through them at a real server whose memory is looked at."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.model.limits import MIB
from tests.e2e.world import Device, World

pytestmark = [pytest.mark.real, pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")]

LARGE_BYTES = 400 * MIB
GROWTH_MAX_BYTES = 150 * MIB


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("links")) as made:
        yield made


@pytest.fixture
def device(world: World) -> Device:
    return world.devices[0]


def curl(*arguments: str) -> str:
    ran = subprocess.run(["curl", "-sS", "--max-time", "300", *arguments], capture_output=True, text=True, timeout=320, check=False)
    assert ran.returncode == 0, (arguments, ran.returncode, ran.stderr)
    return ran.stdout


def status_of(url: str, *arguments: str) -> int:
    return int(curl("-o", "/dev/null", "-w", "%{http_code}", *arguments, url))


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def sparse_noise(path: Path, size: int) -> str:
    """A file of `size` bytes, no two blocks of it alike; its SHA-256."""
    sha = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size // MIB):
            piece = number.to_bytes(8, "big") + os.urandom(64) + bytes(MIB - 72)
            sha.update(piece)
            file.write(piece)
    return sha.hexdigest()


def test_a_link_is_made_used_listed_and_revoked(world: World, device: Device, tmp_path: Path) -> None:
    (tmp_path / "plan.txt").write_text("the plan")
    device.run("mkdir", "/Trip")
    device.run("put", str(tmp_path / "plan.txt"), "/Trip/plan.txt")
    made = device.json("link-share", "create", "/Trip", "--expires", "7d", "--max-downloads", "2")
    assert made["url"].startswith(world.server.url + "/s/")
    assert curl("-L", made["url"] + "/download?path=plan.txt") == "the plan"
    curl("-o", str(tmp_path / "trip.zip"), made["url"] + "/zip")
    with zipfile.ZipFile(tmp_path / "trip.zip") as archive:
        assert archive.read("Trip/plan.txt") == b"the plan"
    (listed,) = device.json("link-share", "list", "/Trip")
    assert (listed["link_id"], listed["path"], listed["downloads"]) == (made["link_id"], "/Trip", 2)
    assert "2 of 2 downloads" in device.run("link-share", "list")
    assert status_of(made["url"]) == 404, "both downloads were used"
    assert device.json("link-share", "revoke", "/Trip") == {"revoked": [made["link_id"]]}
    assert device.json("link-share", "list") == []


def test_a_password_comes_from_standard_input(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("secret")
    device.run("put", str(tmp_path / "a.txt"), "/a.txt")
    url = device.run("link-share", "create", "/a.txt", "--password-stdin", input_text="sesame\n").split()[0]
    assert status_of(url) == 401
    assert curl("-L", "-u", ":sesame", url + "/download") == "secret"
    jar = tmp_path / "jar"
    assert status_of(url, "-c", str(jar), "-d", "password=sesame") == 303
    assert curl("-L", "-b", str(jar), url + "/download") == "secret"
    device.run("link-share", "create", "/a.txt", "--password-stdin", input_text="\n", good=(2,))


@pytest.mark.parametrize("wrong", ["tomorrow", "7", "2027-01-31", "2027-01-31T18:00:00"])
def test_a_time_without_meaning_is_wrong_usage(device: Device, wrong: str) -> None:
    device.run("link-share", "create", "/", "--expires", wrong, good=(2,))


def test_what_is_not_there_cannot_be_linked(device: Device) -> None:
    device.run("link-share", "create", "/none", good=(1,))
    device.run("link-share", "create", "none", good=(2,))
    device.run("link-share", "revoke", "nonsense", good=(2,))
    device.run("link-share", "revoke", "01HZZZZZZZZZZZZZZZZZZZZZZB", good=(1,))


def test_large_files_pass_in_constant_memory(world: World, device: Device, tmp_path: Path) -> None:
    """A large file is dropped with `curl -T` and with a form, and comes back alone and in a ZIP."""
    source = tmp_path / "large.bin"
    wanted = sparse_noise(source, LARGE_BYTES)
    device.run("mkdir", "/Inbox")
    drop = device.json("link-share", "create", "/Inbox", "--drop")
    small = tmp_path / "small"
    small.write_bytes(b"x")
    curl("-T", str(small), drop["url"] + "/files/")
    before = peak_bytes(world.server.pid)
    sent = json.loads(curl("-T", str(source), drop["url"] + "/files/"))
    assert sent["files"] == [{"name": "large.bin", "size": LARGE_BYTES, "sha256": wanted}]
    again = json.loads(curl("-H", "accept: application/json", "-F", f"file=@{source};filename=form.bin", drop["url"] + "/files"))
    assert again["files"] == [{"name": "form.bin", "size": LARGE_BYTES, "sha256": wanted}]
    back = device.json("link-share", "create", "/Inbox")
    got, packed = tmp_path / "got", tmp_path / "all.zip"
    curl("-L", "-o", str(got), back["url"] + "/download?path=large.bin")
    assert hashlib.sha256(got.read_bytes()).hexdigest() == wanted
    curl("-o", str(packed), back["url"] + "/zip")
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == ["Inbox/form.bin", "Inbox/large.bin", "Inbox/small"]
        assert archive.testzip() is None
    assert peak_bytes(world.server.pid) - before < GROWTH_MAX_BYTES
