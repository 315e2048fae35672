"""`conflicts`, `config` and `plan` at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncline.app.home import Home
from syncline.app.settings import SETTINGS

CONFLICT = {
    "id": "01",
    "path": "d/f.txt",
    "copy": "d/f (laptop's conflicted copy 2026-01-02).txt",
    "reason": "both_edited",
    "why": "changed here and elsewhere since both last agreed",
    "from": "laptop",
    "time": "2026-01-02T03:04:05Z",
    "size": 2048,
    "copy_size": None,
}


@pytest.mark.parametrize("arguments", [("conflicts",), ("conflicts", "list")])
def test_the_inbox_lists_what_is_open(run: Any, engine: Any, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).out == "No conflicts.\n"
    engine.conflicts = [CONFLICT]
    out = run(*arguments).out
    assert "d/f.txt, 2.0 KiB" in out
    assert "from laptop, 2026-01-02" in out
    assert "changed here and elsewhere" in out
    assert "1 conflict." in out
    assert run(*arguments, "--json").json == {"conflicts": [CONFLICT], "total": 1}


@pytest.mark.parametrize("keep", ["ours", "theirs", "both", "merged"])
def test_resolving_takes_paths_as_people_see_them(
    run: Any, engine: Any, linked: Home, monkeypatch: pytest.MonkeyPatch, keep: str, tmp_path: Path
) -> None:
    folder = Path(linked.link().folder)
    (folder / "d").mkdir()
    for at, given in (
        (folder / "d", "f.txt"),
        (tmp_path, "d/f.txt"),
        (tmp_path, str(folder / "d" / "f.txt")),
        (folder, "./d/f.txt"),
    ):
        monkeypatch.chdir(at)
        ran = run("conflicts", "resolve", given, "--keep", keep)
        assert ran.code == 0, ran.err
        assert engine.asked[-1] == {"op": "resolve", "path": "d/f.txt", "keep": keep}
        assert ran.out.startswith("d/f.txt ")
    monkeypatch.chdir(folder)
    assert run("conflicts", "resolve", ".hidden", "--keep", keep).out.startswith(".hidden ")
    assert run("conflicts", "resolve", "d/f.txt", "--keep", keep, "--json").json["kept"] == keep


def test_resolving_says_what_is_wrong(run: Any, engine: Any, linked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(linked.link().folder)
    ran = run("conflicts", "resolve", "nothing", "--keep", "ours")
    assert (ran.code, len(ran.err.strip().splitlines())) == (1, 1)
    assert "syncline conflicts" in ran.err
    assert run("conflicts", "resolve", "f").code == 2
    assert run("conflicts", "resolve", "f", "--keep", "mine").code == 2
    for outside in ("/etc/passwd", "../f", "."):
        assert run("conflicts", "resolve", outside, "--keep", "ours").code == 2, outside


def test_settings_are_known_by_name(run: Any, home: Home) -> None:
    assert run("config", "get", "conflicts").out == "copy\n"
    assert run("config", "set", "conflicts", "merge").out == "conflicts = merge\n"
    assert run("config", "get", "conflicts").out == "merge\n"
    assert run("config", "get", "--json").json == {"conflicts": "merge", "log_level": "info"}
    assert all(f"{name} = " in run("config").out for name in SETTINGS)
    ran = run("config", "set", "colour", "red")
    assert ran.code == 2
    assert "conflicts" in ran.err
    assert "log_level" in ran.err
    ran = run("config", "set", "conflicts", "both")
    assert ran.code == 2
    assert "copy, merge" in ran.err
    assert home.options().conflicts == "merge"


def test_a_setting_leaves_what_others_wrote(run: Any, home: Home) -> None:
    home.make()
    home.config_file.write_text('{"log_level": "debug", "of_a_newer_version": 7}')
    assert run("config", "set", "conflicts", "merge").code == 0
    kept = json.loads(home.config_file.read_text())
    assert kept == {"log_level": "debug", "of_a_newer_version": 7, "conflicts": "merge"}
    home.config_file.write_text("{")
    assert run("config", "set", "conflicts", "copy").code == 1
    assert run("config").code == 1


def test_the_engine_hears_of_a_setting(run: Any, engine: Any) -> None:
    assert "at once" in run("config", "set", "conflicts", "merge").out
    assert engine.asked[-1] == {"op": "configure"}


def test_a_plan_is_told_in_words_and_says_what_the_guard_holds(run: Any, engine: Any) -> None:
    step = {"action": "delete there", "path": "a.txt", "why": "delete/none", "target": None, "side": "there", "held": True}
    step |= {
        "says": "delete the file on the server; it goes to the trash there",
        "because": "deleted here, unchanged on the server",
    }
    guard = {"code": "delete.guard", "path": "", "message": "90 files would be deleted.", "blocking": True}
    engine.plan = {"steps": [step], "total": 1, "guard": guard}
    out = run("plan").out
    assert "On the server" in out
    assert "held back by the delete guard" in out
    assert "because: deleted here, unchanged on the server" in out
    assert "! 90 files would be deleted." in out
    assert run("plan", "--json").json["guard"] == guard
