"""The command line keeps its promises: exit codes, JSON shapes, one clear line for each error, help with an example."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import FakeEngine, Run

from syncline.app.home import Home
from syncline.cli.main import COMMANDS
from syncline.client.status import Problem, State

CONTROLLING = ("wait", "pause", "resume", "refresh", "log")


def test_every_command_loads_and_helps_with_an_example(run: Run) -> None:
    for name in COMMANDS:
        ran = run(name, "--help")
        assert ran.code == 0
        assert "Usage: syncline" in ran.out
        if name not in ("serve", "admin"):
            assert "Example: syncline" in ran.out, name


def test_help_and_version(run: Run) -> None:
    ran = run("--help")
    assert all(name in ran.out for name in COMMANDS)
    ran = run("--version")
    assert (ran.code, ran.out.split()[0]) == (0, "syncline")


def test_wrong_usage_is_2(run: Run, home: Home) -> None:
    for arguments in (
        ("nonsense",),
        ("status", "--nonsense"),
        ("link",),
        ("wait", "--timeout", "-1"),
        ("log", "-n", "0"),
        ("link", ""),
    ):
        ran = run(*arguments)
        assert ran.code == 2, arguments
        assert ran.err
    assert "Did you mean 'status'?" in run("statsu").err


@pytest.mark.parametrize("endless", ["nan", "inf"])
def test_a_time_that_never_ends_is_wrong_usage(run: Run, engine: FakeEngine, endless: str) -> None:
    assert run("wait", "--timeout", endless).code == 2
    assert engine.asked == []


def test_remote_paths_start_with_a_slash(run: Run, signed_in: Home, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    commands = (("ls",), ("cat",), ("mkdir",), ("rm",), ("history",), ("get",), ("mv", "/a"), ("put", str(tmp_path / "a.txt")))
    for command in commands:
        for path in ("b.txt", ""):
            ran = run(*command, path)
            assert ran.code == 2, command
            assert "start with /" in ran.err


def test_an_unreachable_server_is_named_with_its_reason_and_nothing_is_promised(run: Run, signed_in: Home) -> None:
    ran = run("ls")
    assert ran.code == 4
    assert "The server cannot be reached now (the connection was refused)." in ran.err
    assert "tried again" not in ran.err


def test_admin_makes_no_data_where_there_is_none(run: Run, tmp_path: Path) -> None:
    for command in (("list",), ("disable", "a@example.org"), ("passwd", "a@example.org")):
        ran = run("admin", "user", *command, "--data", str(tmp_path / "typo"))
        assert ran.code == 2, command
        assert "holds no server's data" in ran.err
    assert not (tmp_path / "typo").exists()


def test_ignore_check_names_the_line(run: Run, linked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(linked.link().folder)
    (folder / "sub").mkdir()
    (folder / ".synclineignore").write_text("# rules\nbuild/\n*.log\n")
    (folder / "sub" / ".synclineignore").write_text("!keep.log\n")
    monkeypatch.chdir(folder / "sub")
    paths = ("../a.log", "keep.log", "build/", "build/x", "build", str(folder / "x.swp"), "../.syncline/tmp")
    found = {one["path"]: one["rule"] for one in run("ignore", "check", *paths, "--json").json}
    assert found == {
        "../a.log": ".synclineignore:3: *.log",
        "keep.log": None,
        "build/": ".synclineignore:2: build/",
        "build/x": ".synclineignore:2: build/",
        "build": None,
        str(folder / "x.swp"): "built in: *.swp",
        "../.syncline/tmp": ".syncline: Syncline's own",
    }
    assert run("ignore", "check", "a.log").out == "a.log: ignored by .synclineignore:3: *.log\n"
    assert run("ignore", "check", "/etc/passwd").code == 2


def test_resume_without_an_engine_ends_the_pause_for_the_next_one(run: Run, linked: Home) -> None:
    linked.remember_paused(True)
    assert run("resume").code == 3
    assert not linked.is_paused


def test_who_is_not_signed_in_or_linked_is_told_so(run: Run, home: Home) -> None:
    for name in ("status", "wait", "start", "sync", "plan", "whoami", "ls"):
        ran = run(name)
        assert ran.code == 3, name
        assert "syncline login" in ran.err


def test_who_has_no_folder_is_told_so(run: Run, signed_in: Home) -> None:
    for name in ("status", "wait", "start", "sync", "plan"):
        ran = run(name)
        assert ran.code == 3, name
        assert "syncline link" in ran.err


def test_without_an_engine_nothing_is_claimed(run: Run, linked: Home) -> None:
    for name in CONTROLLING:
        ran = run(name)
        assert ran.code == 3, name
        assert "syncline start" in ran.err
    ran = run("status", "--json")
    assert ran.code == 3
    assert ran.json["state"] == "degraded"
    assert ran.json["problems"][0]["code"] == "daemon.not_running"
    assert run("stop").code == 0


def test_status_keeps_its_shape(run: Run, engine: FakeEngine) -> None:
    ran = run("status", "--json")
    assert ran.code == 0
    assert {"state", "pending", "namespaces", "problems", "traffic", "progress", "folder", "server", "device"} <= set(ran.json)
    assert {"id", "sequence", "root", "verified_at"} <= set(ran.json["namespaces"][0])
    assert ran.json["state"] == "in_sync"
    ran = run("status")
    assert "in sync" in ran.out
    assert "abababababab" in ran.out
    assert "\x1b" not in ran.out


def test_wait_is_0_1_3_or_4(run: Run, engine: FakeEngine, problem: Problem) -> None:
    assert run("wait", "--timeout", "5").code == 0
    assert engine.asked[-1]["timeout"] == 5.0
    engine.in_sync = False
    for state, code in ((State.SYNCING, 1), (State.OFFLINE, 4), (State.PAUSED, 3), (State.IN_SYNC, 1)):
        engine.status.state = state
        assert run("wait").code == code, state
    engine.status.state, engine.status.problems = State.ATTENTION, [problem]
    ran = run("wait")
    assert ran.code == 3
    assert "! delete.guard: 90 files" in ran.err


def test_commands_reach_the_engine(run: Run, engine: FakeEngine) -> None:
    for name in ("pause", "resume", "refresh"):
        assert run(name).code == 0
        assert run(name, "--json").json["state"] == "in_sync"
    assert run("resume", "--yes").code == 0
    assert engine.asked[-1] == {"op": "resume", "confirm_deletes": True}
    assert "upload" in run("plan").out
    assert run("plan", "--json").json["total"] == 3
    assert "2 more steps" in run("plan").out
    assert "uploaded" in run("log", "-n", "3").out
    assert run("log", "--json").json[0]["event"] == "uploaded"
    assert "already" in run("start").out


def test_sync_once_leaves_it_to_an_engine_that_runs(run: Run, linked: Home, engine: FakeEngine) -> None:
    with linked.lock():
        ran = run("sync", "--once", "--json")
        assert (ran.code, ran.json["state"]) == (0, "in_sync")
        assert "In sync" in run("sync", "--once").out
        assert run("sync").code == 1
        engine.status.state, engine.in_sync = State.OFFLINE, False
        assert run("sync", "--once").code == 4


def test_an_unreachable_server_is_4(run: Run, signed_in: Home) -> None:
    for arguments in (("whoami",), ("devices",), ("ls",), ("cat", "/x"), ("history", "/x")):
        ran = run(*arguments)
        assert ran.code == 4, (arguments, ran.err)
        assert len(ran.err.strip().splitlines()) == 1


def test_login_without_email_says_how(run: Run, home: Home) -> None:
    ran = run("login", "http://127.0.0.1:9")
    assert ran.code == 3
    assert "--email" in ran.err
    for url in ("ftp://x", "http://", "http://a b:x"):
        assert run("login", url, "--email", "a@b").code == 2


def link_to(run: Run, folder: Path) -> tuple[int, str]:
    ran = run("link", str(folder))
    return ran.code, ran.err


def test_link_makes_marks_and_remembers(run: Run, signed_in: Home, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    ran = run("link", str(folder), "--json")
    assert ran.code == 0
    assert (folder / ".syncline" / "root-id").read_text().strip() == ran.json["root_id"] == signed_in.link().root_id
    signed_in.state_db.write_bytes(b"trees")
    assert link_to(run, folder) == (0, "")
    assert signed_in.state_db.read_bytes() == b"trees", "the same folder again keeps the trees"
    folder.rename(tmp_path / "moved")
    assert link_to(run, tmp_path / "moved") == (0, "")
    assert signed_in.link().folder == str(tmp_path / "moved")
    assert signed_in.state_db.read_bytes() == b"trees", "a folder that was moved keeps the trees"


def test_a_folder_without_its_marker_starts_anew(run: Run, linked: Home) -> None:
    linked.state_db.write_bytes(b"trees")
    folder = Path(linked.link().folder)
    before = linked.link().root_id
    (folder / ".syncline" / "root-id").unlink()
    assert link_to(run, folder)[0] == 0
    assert linked.state_db.read_bytes() == b"", "trees of a folder that is gone would read as deletions"
    assert linked.link().root_id != before


def test_link_refuses_what_could_mix_trees_up(run: Run, linked: Home, tmp_path: Path) -> None:
    synced = Path(linked.link().folder)
    (synced / "inside").mkdir()
    foreign = tmp_path / "foreign"
    (foreign / ".syncline").mkdir(parents=True)
    (foreign / ".syncline" / "root-id").write_text("01J00000000000000000000009\n")
    (tmp_path / "file").write_text("x")
    refused = {
        synced / "inside": "inside",
        foreign: "another device",
        tmp_path / "second": "logout",
        linked.path: "state",
        linked.path / "below": "state",
        tmp_path: "state",
        Path("/"): "too much",
        synced / ".syncline" / "tmp": ".syncline",
    }
    for folder, reason in refused.items():
        code, said = link_to(run, folder)
        assert code == 3, folder
        assert reason in said, (folder, said)
    assert link_to(run, tmp_path / "file")[0] == 2
    assert linked.link().folder == str(synced)


def test_link_refuses_a_folder_that_holds_a_synced_one(run: Run, signed_in: Home, tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "mid" / "inner" / ".syncline"
    inner.mkdir(parents=True)
    (inner / "root-id").write_text("01J00000000000000000000009\n")
    code, said = link_to(run, tmp_path / "outer")
    assert code == 3
    assert "inner" in said


def test_no_engine_runs_while_a_home_changes_hands(run: Run, linked: Home, tmp_path: Path) -> None:
    with linked.lock():
        for arguments in (("link", str(tmp_path / "x")), ("logout",)):
            ran = run(*arguments)
            assert ran.code == 1
            assert "syncline stop" in ran.err


def test_logout_without_a_server_lets_go_all_the_same(run: Run, linked: Home) -> None:
    folder = Path(linked.link().folder)
    (folder / "mine.txt").write_text("kept")
    ran = run("logout")
    assert ran.code == 0
    assert "could not be told" in ran.err
    assert not linked.credentials_file.exists()
    assert not (folder / ".syncline" / "root-id").exists()
    assert (folder / "mine.txt").read_text() == "kept"


def test_doctor_checks_a_device(run: Run, linked: Home) -> None:
    ran = run("doctor", "--json")
    found = {finding["check"]: finding for finding in ran.json}
    assert ran.code == 1
    assert found["server"]["verdict"] == "fail"
    assert found["home"]["verdict"] == "ok"
    assert found["writing files"]["verdict"] in ("ok", "warn")
    linked.state_db.write_bytes(b"no database at all, but long enough to look like a file" * 50)
    linked.credentials_file.chmod(0o644)
    found = {finding["check"]: finding for finding in run("doctor", "--json").json}
    assert found["database"]["verdict"] == "fail"
    assert found["home"]["verdict"] == "fail"
    (Path(linked.link().folder) / ".syncline" / "root-id").unlink()
    assert "fail  folder" in run("doctor").out


@pytest.mark.real
def test_an_engine_that_cannot_start_says_why(run: Run, linked: Home) -> None:
    (Path(linked.link().folder) / ".syncline" / "root-id").unlink()
    ran = run("start")
    assert ran.code == 3
    assert "marker is missing" in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    ran = run("sync", "--once")
    assert ran.code == 3
    assert "marker is missing" in ran.err


@pytest.mark.real
def test_the_installed_command_answers(tmp_path: Path) -> None:
    environment = {**os.environ, "SYNCLINE_HOME": str(tmp_path / "home")}
    ran = subprocess.run(
        [sys.executable, "-m", "syncline.cli.main", "status"], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 3
    assert ran.stderr.startswith("syncline: ")
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "home").exists(), "looking makes nothing"


@pytest.mark.real
def test_quick_commands_load_no_engine() -> None:
    script = "import sys, syncline.cli.main, syncline.cli.status; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert not loaded & {"asyncio", "aiohttp", "rich", "structlog", "uvloop", "cryptography", "sqlite3", "sqlalchemy"}
