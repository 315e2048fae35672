"""The command line against a real server: sessions, remote files, background and one-shot syncing, exit codes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncline.app.home import Home
from syncline.app.session import connect
from tests.e2e.world import EMAIL, PASSWORD, Device, World, environment, eventually

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("cli")) as made:
        yield made


@pytest.fixture
def device(world: World) -> Device:
    return world.devices[0]


def said(device: Device, *arguments: str, code: int, input_text: str = "") -> str:
    """What a command that ends with `code` printed; one line where it failed."""
    ran = subprocess.run(
        [sys.executable, "-m", "syncline.cli.main", *arguments],
        env=environment(device.home),
        input=input_text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == code, (arguments, ran.returncode, ran.stderr)
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def login(device: Device, world: World, email: str, password: str, *, code: int) -> str:
    return said(device, "login", world.server.url, "--email", email, "--password-stdin", input_text=password + "\n", code=code)


def is_engine(pid: int) -> bool:
    """A dead process that its parent has not asked for yet has no command line any more."""
    try:
        return b"syncline.app.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def another(world: World, name: str) -> Device:
    made = Device(world.root, name, world.server)
    login(made, world, EMAIL, PASSWORD, code=0)
    return made


# -- sessions ------------------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused(world: World) -> None:
    stranger = Device(world.root, "stranger", world.server)
    assert "Wrong e-mail address or password" in login(stranger, world, EMAIL, "nonsense", code=5)
    login(stranger, world, "nobody@example.org", "nonsense", code=5)
    assert "no password" in login(stranger, world, EMAIL, "", code=2)
    assert not Home(stranger.home).credentials_file.exists()


def test_signing_in_again_keeps_the_folder_and_ends_the_old_session(world: World) -> None:
    device = another(world, "again")
    said(device, "link", str(device.folder), code=0)
    before, link = Home(device.home).credentials(), Home(device.home).link()
    login(device, world, EMAIL, PASSWORD, code=0)
    assert Home(device.home).link() == link
    assert before.device_id not in {found["id"] for found in device.json("devices")}


def test_another_account_cannot_take_over_a_linked_folder(world: World) -> None:
    world.server.add_user("eve@example.org", "another long password")
    device = another(world, "taken")
    said(device, "link", str(device.folder), code=0)
    assert "logout" in login(device, world, "eve@example.org", "another long password", code=1)
    assert Home(device.home).credentials().email == EMAIL
    said(device, "logout", code=0)
    login(device, world, "eve@example.org", "another long password", code=0)
    said(device, "link", str(device.folder), code=0)


def test_an_unlinked_device_is_refused_at_once(world: World, device: Device) -> None:
    doomed = another(world, "doomed")
    me = doomed.json("whoami")
    assert {"server", "email", "device_id", "root_namespace", "used_bytes"} <= set(me)
    said(device, "devices", "unlink", me["device_id"], code=0)
    assert "syncline login" in said(doomed, "ls", code=5)
    assert "FAIL" not in said(doomed, "doctor", code=1)
    said(device, "devices", "unlink", "nonsense", code=2)


async def test_processes_of_one_device_share_a_session_that_is_renewed_once(world: World) -> None:
    home = Home(another(world, "shared").home)
    home.save_credentials(msgspec.structs.replace(home.credentials(), access_token=""))
    remotes = [connect(home, home.credentials()) for _ in range(4)]
    try:
        await asyncio.gather(*(remote.me() for remote in remotes))
        assert sum(remote.traffic.requests for remote in remotes) == len(remotes) + 1, "one of them renewed, for all"
        home.save_credentials(msgspec.structs.replace(home.credentials(), access_token="expired"))
        late = connect(home, home.credentials())
        assert (await late.me()).email == EMAIL
        await late.close()
        assert (await remotes[0].me()).email == EMAIL
    finally:
        for remote in remotes:
            await remote.close()


# -- remote files --------------------------------------------------------------------------------------------------------------


def make_tree(folder: Path) -> None:
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "sub" / "é ∞.txt").write_text("text " * 1000)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "nothing").touch()
    (folder / "large.bin").write_bytes(os.urandom(5 << 20))
    (folder / "link").symlink_to("/etc/passwd")


def facts(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): (
            None if path.is_dir() else (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode & 0o100)
        )
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def test_a_folder_goes_up_and_comes_back_as_it_was(device: Device, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    first = json.loads(said(device, "put", str(tmp_path / "tree"), "/round/trip/", "--json", code=0))
    assert (first["uploaded"], first["unchanged"]) == (4, 0)
    again = json.loads(said(device, "put", str(tmp_path / "tree"), "/round/trip/", "--json", code=0))
    assert (again["uploaded"], again["unchanged"], again["sent_blocks"]) == (0, 4, 0)
    got = json.loads(said(device, "get", "/round/trip/tree", str(tmp_path / "back"), "--json", code=0))
    assert got["downloaded"] == 4
    assert facts(tmp_path / "back" / "tree") == facts(tmp_path / "tree")
    assert "0 files downloaded, 4 here already" in said(device, "get", "/round/trip/tree", str(tmp_path / "back"), code=0)
    listed = {entry["path"]: entry for entry in device.json("ls", "-r", "/round")}
    assert listed["/round/trip/tree/sub/empty"]["kind"] == "dir"
    assert listed["/round/trip/tree/run.sh"]["executable"]
    assert listed["/round/trip/tree/large.bin"]["content_hash"] == facts(tmp_path / "tree")["large.bin"][0]


def test_a_new_version_sends_only_what_changed(device: Device, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(8 << 20))
    said(device, "put", str(large), "/versions.bin", code=0)
    with large.open("r+b") as file:
        file.seek(4 << 20)
        file.write(b"changed")
    second = json.loads(said(device, "put", str(large), "/versions.bin", "--json", code=0))
    assert 1 <= second["sent_blocks"] <= 3
    assert second["known_blocks"] >= 5
    history = device.json("history", "/versions.bin")
    assert [entry["revision"] for entry in history] == [2, 1]
    assert history[0]["device_name"] == "A"
    assert "A" in said(device, "history", "/versions.bin", code=0)


def test_cat_get_and_their_refusals(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    said(device, "put", str(tmp_path / "a.txt"), "/cat/", code=0)
    assert said(device, "cat", "/cat/a.txt", code=0) == "one\ntwo\n"
    said(device, "cat", "/cat", code=1)
    assert "/cat/none was not found" in said(device, "cat", "/cat/none", code=1)
    said(device, "cat", "/cat/../x", code=2)
    target = tmp_path / "target.txt"
    target.write_text("mine")
    assert "exists already" in said(device, "get", "/cat/a.txt", str(target), code=1)
    assert target.read_text() == "mine"
    said(device, "get", "/cat/a.txt", str(target), "--force", code=0)
    assert target.read_bytes() == b"one\ntwo\n"


def test_get_goes_on_from_a_part_and_throws_away_its_bad_end(device: Device, tmp_path: Path) -> None:
    content = os.urandom(6 << 20)
    (tmp_path / "up.bin").write_bytes(content)
    said(device, "put", str(tmp_path / "up.bin"), "/part/", code=0)
    digest = hashlib.sha256(content).hexdigest()
    part = tmp_path / f".down.bin.{digest[:16]}.part"
    part.write_bytes(content[: 4 << 20] + b"damaged, and never finished")
    said(device, "get", "/part/up.bin", str(tmp_path / "down.bin"), code=0)
    assert (tmp_path / "down.bin").read_bytes() == content
    assert not part.exists()


def test_a_put_that_was_killed_goes_on(device: Device, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(os.urandom(96 << 20))
    arguments = [sys.executable, "-m", "syncline.cli.main", "put", str(tmp_path / "big.bin"), "/killed.bin", "--json"]
    process = subprocess.Popen(arguments, env=environment(device.home), stdout=subprocess.DEVNULL)
    spool = Home(device.home).put_spool
    deadline = time.monotonic() + 30
    made: set[str] = set()
    while len(made) < 4 and process.poll() is None and time.monotonic() < deadline:
        made |= {path.name for path in spool.glob("*.put")} if spool.exists() else set()
    process.send_signal(signal.SIGKILL)
    process.wait()
    second = json.loads(subprocess.run(arguments, env=environment(device.home), capture_output=True, check=True).stdout)
    assert second["known_blocks"] >= 20, "what had arrived is not sent again"
    assert not list(spool.iterdir()), "packs of the killed one are gone too"
    assert device.json("ls", "/killed.bin")[0]["size"] == 96 << 20


def test_folders_moves_and_deletions(device: Device, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("f")
    said(device, "mkdir", "/tree/a", code=1)
    said(device, "mkdir", "-p", "/tree/a/b", code=0)
    said(device, "mkdir", "-p", "/tree/a/b", code=0)
    assert "exists already" in said(device, "mkdir", "/tree/a", code=1)
    said(device, "put", str(tmp_path / "f.txt"), "/tree/a/f.txt", code=0)
    moved = device.json("mv", "/tree/a/f.txt", "/tree/a/b")
    assert moved["path"] == "/tree/a/b/f.txt"
    assert device.json("mv", "/tree/a/b/f.txt", "/tree/F.txt")["path"] == "/tree/F.txt"
    assert device.json("mv", "/tree/F.txt", "/tree/f.txt")["path"] == "/tree/f.txt"
    said(device, "put", str(tmp_path / "f.txt"), "/tree/g.txt", code=0)
    said(device, "mv", "/tree/f.txt", "/tree/g.txt", code=1)
    said(device, "mv", "/tree", "/tree/a/b", code=1)
    said(device, "mv", "/", "/x", code=1)
    assert "--recursive" in said(device, "rm", "/tree", code=1)
    said(device, "rm", "/tree/a/b", code=0)
    said(device, "rm", "/tree/g.txt", code=0)
    said(device, "rm", "-r", "/tree", code=0)
    said(device, "ls", "/tree", code=1)
    said(device, "rm", "-r", "/", code=1)


def test_a_full_account_is_refused(world: World, tmp_path: Path) -> None:
    world_run = [sys.executable, "-m", "syncline.cli.main", "admin", "user", "add", "poor@example.org", "--quota", "1000000"]
    subprocess.run([*world_run, "--password-stdin", "--data", str(world.server.data)], input=b"long enough words\n", check=True)
    poor = Device(world.root, "poor", world.server)
    login(poor, world, "poor@example.org", "long enough words", code=0)
    (tmp_path / "two-mib").write_bytes(os.urandom(2 << 20))
    assert "quota" in said(poor, "put", str(tmp_path / "two-mib"), "/", code=5)
    assert "of 977 KiB used" in said(poor, "whoami", code=0)
    more = [*world_run[:5], "quota", "poor@example.org", "4000000", "--data", str(world.server.data)]
    subprocess.run(more, check=True, stdout=subprocess.DEVNULL)
    said(poor, "put", str(tmp_path / "two-mib"), "/", code=0)


# -- syncing -------------------------------------------------------------------------------------------------------------------


def test_start_wait_stop_and_doctor(world: World) -> None:
    device = another(world, "daemon")
    said(device, "link", str(device.folder), code=0)
    (device.folder / "daemon.txt").write_text("hello")
    started = json.loads(said(device, "start", "--json", code=0))
    try:
        assert json.loads(said(device, "start", "--json", code=0))["started"] is False
        said(device, "wait", "--timeout", "60", code=0)
        status = json.loads(said(device, "status", "--json", code=0))
        assert status["state"] == "in_sync"
        assert status["namespaces"][0]["verified_at"]
        assert device.json("ls", "/daemon.txt")[0]["size"] == 5
        assert device.json("plan")["total"] == 0
        assert any(line["path"] == "daemon.txt" for line in device.json("log"))
        said(device, "sync", code=1)
        said(device, "sync", "--once", code=0)
        said(device, "pause", code=0)
        assert json.loads(said(device, "status", "--json", code=0))["state"] == "paused"
        said(device, "resume", code=0)
        said(device, "refresh", code=0)
        said(device, "wait", code=0)
        assert "fail" not in said(device, "doctor", code=0)
    finally:
        said(device, "stop", code=0)
    assert not is_engine(started["pid"])
    said(device, "stop", code=0)
    assert {path.stat().st_mode & 0o077 for path in device.home.rglob("*")} == {0}


def test_once_carries_conflicts_asks_before_mass_deletion_and_says_offline(world: World) -> None:
    one, other = another(world, "one"), another(world, "other")
    for device in (one, other):
        said(device, "link", str(device.folder), code=0)
    mine = one.folder / "once"
    mine.mkdir()
    for number in range(80):
        (mine / f"{number}.txt").write_text(f"{number}")
    said(one, "sync", "--once", code=0)
    said(other, "sync", "--once", code=0)
    (one.folder / "once" / "0.txt").write_text("one's")
    (other.folder / "once" / "0.txt").write_text("other's")
    said(one, "sync", "--once", code=0)
    assert "1 conflict copy" in said(other, "sync", "--once", code=0)
    for path in (other.folder / "once").iterdir():
        path.unlink()
    guarded = said(other, "sync", "--once", code=3)
    assert "delete.guard" in guarded
    assert "sync --once --yes" in guarded
    assert len(one.json("ls", "/once")) == 81
    said(other, "sync", "--once", "--yes", code=0)
    world.server.kill()
    try:
        (one.folder / "late.txt").write_text("later")
        said(one, "sync", "--once", code=4)
        said(one, "whoami", code=4)
    finally:
        world.server.start()
    assert "delete.guard" in said(one, "sync", "--once", code=3), "the same on the way down"
    said(one, "sync", "--once", "--yes", code=0)
    assert not list((one.folder / "once").glob("1*.txt"))
    assert one.json("ls", "/late.txt")


def test_an_engine_that_loses_its_session_says_so(world: World) -> None:
    device = another(world, "ended")
    said(device, "link", str(device.folder), code=0)
    said(device, "start", code=0)
    try:
        said(device, "wait", code=0)
        said(world.devices[0], "devices", "unlink", Home(device.home).credentials().device_id, code=0)
        eventually(lambda: "auth.invalid" in device.problem_codes(), 30, "the engine notices")
        assert "syncline login" in said(device, "wait", code=3)
    finally:
        said(device, "stop", code=0)
