"""Ignore rules: gitignore's grammar as git itself has it, and never a deletion."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.observe.world import World

from syncline.client.observe.ignore import ROOT_LEVEL, Level, ignored_by
from syncline.client.observe.patterns import BUILT_IN, IGNORE_FILE, parse
from syncline.model.entries import Kind
from syncline.model.limits import IGNORE_FILE_MAX_BYTES, IGNORE_PATTERNS_MAX


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "root")


def _level(text: str) -> Level:
    return ROOT_LEVEL.under(parse(text, "").rules)


def _ignored(world: World, path: str) -> bool:
    return world.observer.ignored_by(path) is not None


# -- grammar -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "~$report.docx", ".~lock.x.odt#", "a.swp", "film.part"])
def test_junk_is_ignored_without_any_file(name: str) -> None:
    rule = ROOT_LEVEL.verdict(name, is_folder=False)
    assert rule is not None
    assert str(rule).startswith("built in: ")


def test_junk_can_be_named_back() -> None:
    assert _level("!Thumbs.db").verdict("Thumbs.db", is_folder=False) is None


def test_the_list_of_junk_is_what_the_page_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ignore.md").read_text()
    for pattern in BUILT_IN:
        assert f"`{pattern}`" in page


def test_the_later_line_wins_and_the_rule_is_named() -> None:
    level = _level("# comment\n*.log\n!keep.log\n")
    rule = level.verdict("a.log", is_folder=False)
    assert str(rule) == f"{IGNORE_FILE}:2: *.log"
    assert level.verdict("keep.log", is_folder=False) is None


def test_what_lies_in_an_ignored_folder_cannot_be_named_back() -> None:
    level = _level("build/\n!build/keep.txt\n").into("build")
    assert level.verdict("keep.txt", is_folder=False) is not None


def test_only_some_kinds_of_files_as_in_git() -> None:
    level = _level("*\n!*/\n!*.txt\n")
    assert level.verdict("a.txt", is_folder=False) is None
    assert level.verdict("a.bin", is_folder=False) is not None
    inside = level.into("d")
    assert inside.closed is None
    assert inside.verdict("a.txt", is_folder=False) is None
    assert inside.verdict("a.bin", is_folder=False) is not None


def test_stars_and_a_slash_at_the_end_name_the_folders_below_as_in_git() -> None:
    level = _level("a/**/ \n").into("a")
    assert level.closed is None, "not the folder itself"
    assert level.verdict("b", is_folder=True) is not None
    assert level.verdict("b", is_folder=False) is None
    assert level.into("b").closed is not None


@pytest.mark.parametrize("line", ["[z-a]", "foo\\", "!", "[abc", "a/**/b/**/c/**/d", "x" * 2000])
def test_a_bad_pattern_is_a_problem_and_nothing_else(line: str) -> None:
    parsed = parse(f"*.log\n{line}\n*.tmp", "")
    assert len(parsed.problems) == 1
    assert parsed.problems[0].startswith("line 2:")
    assert [rule.text for rule in parsed.rules.rules] == ["*.log", "*.tmp"]


def test_many_patterns_are_too_many() -> None:
    parsed = parse("\n".join(f"f{number}" for number in range(IGNORE_PATTERNS_MAX + 10)), "")
    assert len(parsed.rules.rules) == IGNORE_PATTERNS_MAX
    assert len(parsed.problems) == 1


def test_a_hostile_pattern_costs_little() -> None:
    level = _level("*a" * 40 + "b\n" + "**/" + "a**" * 40 + "/b\n/**/*a*a*a/**/*a*a*b\n")
    started = time.perf_counter()
    assert level.into("a" * 200).verdict("a" * 250, is_folder=False) is None
    assert level.verdict("a" * 249 + "b", is_folder=False) is not None
    assert time.perf_counter() - started < 1


words = st.sampled_from(
    ["a", "b", "ab", "a.txt", "b.log", "*", "**", "*.txt", "a*", "?", "[ab]", "[!a]", "x y", "*a*b*", "*b.*g", "a*?*t"]
)
patterns = st.builds(
    lambda negation, lead, parts, tail: negation + lead + "/".join(parts) + tail,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(words, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)
files = st.lists(st.sampled_from(["a", "b", "ab", "a.txt", "b.log", "c", "x y"]), min_size=1, max_size=3).map("/".join)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the reference")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    top=st.lists(patterns, max_size=4),
    inner=st.lists(patterns, max_size=3),
    paths=st.lists(files, min_size=1, max_size=6, unique=True),
)
def test_git_says_the_same(tmp_path_factory: pytest.TempPathFactory, top: list[str], inner: list[str], paths: list[str]) -> None:
    at = tmp_path_factory.mktemp("git")
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", "init", "-q", "."], cwd=at, check=True, env=quiet)
    made = []
    for path in paths:
        try:
            (at / path).parent.mkdir(parents=True, exist_ok=True)
            (at / path).write_text("x")
            made.append(path)
        except OSError:
            continue
    for folder, lines in (("", top), ("a", inner)):
        if (at / folder).is_dir():
            for name in (".gitignore", IGNORE_FILE):
                (at / folder / name).write_text("\n".join(lines) + "\n")
    asked = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=at, input="\n".join(made), text=True, capture_output=True, env=quiet
    )
    theirs = {line.strip('"') for line in asked.stdout.splitlines()}
    ours = {
        path
        for path in made
        if ignored_by(path, is_folder=(at / path).is_dir(), read=lambda name, limit: (at / name).read_bytes()) is not None
    }
    assert ours == theirs


# -- scanning ----------------------------------------------------------------------------------------------------------------------


def test_ignored_entries_are_neither_synced_nor_watched_nor_read(world: World) -> None:
    world.write(IGNORE_FILE, "node_modules/\n*.tmp\n")
    world.write("node_modules/deep/x.js")
    world.write("a.tmp")
    world.write("src/b.tmp")
    world.write("src/b.py")
    observed = world.full()
    assert set(world.shape()) == {IGNORE_FILE, "src", "src/b.py"}
    assert observed.ignored == 3
    assert world.watcher is not None
    assert world.watcher.folders == {"", "src"}


def test_the_nearer_file_wins(world: World) -> None:
    world.write(IGNORE_FILE, "*.log\n")
    world.write("d/" + IGNORE_FILE, "!*.log\n/only-here\n")
    world.write("x.log")
    world.write("d/x.log")
    world.write("d/only-here")
    world.write("d/e/only-here")
    world.full()
    assert set(world.shape()) == {IGNORE_FILE, "d", "d/" + IGNORE_FILE, "d/x.log", "d/e", "d/e/only-here"}
    assert world.observer.ignored_by("x.log") == f"{IGNORE_FILE}:1: *.log"
    assert world.observer.ignored_by("d/only-here") == f"d/{IGNORE_FILE}:2: /only-here"
    assert world.observer.ignored_by("d/x.log") is None


def test_becoming_ignored_never_deletes_what_is_tracked(world: World) -> None:
    world.write("build/out.bin")
    world.write("notes.tmp")
    world.full()
    world.agree()
    before = world.ids()
    world.write(IGNORE_FILE, "build/\n*.tmp\n")
    world.write("build/new.bin")
    world.write("new.tmp")
    world.full()
    world.settle()
    assert {path: world.ids().get(path) for path in before} == before
    assert set(world.shape()) == {*before, IGNORE_FILE}
    world.write("build/out.bin", "edited later")
    world.look("build/out.bin", closed=True)
    assert world.node("build/out.bin").signature.size == 12, "it syncs on"
    assert world.observer.ignored_by("build/out.bin") is None
    assert world.observer.ignored_by("build/new.bin") is not None


def test_what_was_not_sent_yet_is_dropped_and_kept_on_disk(world: World) -> None:
    world.write("build/out.bin")
    world.write("a.txt")
    world.full()
    assert "build/out.bin" in world.shape()
    world.write(IGNORE_FILE, "build/\n")
    world.look(IGNORE_FILE, closed=True)
    assert set(world.shape()) == {IGNORE_FILE, "a.txt"}
    assert (world.at / "build/out.bin").exists()


def test_a_changed_file_makes_its_subtree_looked_at_again(world: World) -> None:
    world.write(IGNORE_FILE, "*.log\n")
    world.write("d/e/x.log")
    world.write("d/e/y.txt")
    world.full()
    assert "d/e/x.log" not in world.shape()
    world.write(IGNORE_FILE, "*.bak\n")
    world.look(IGNORE_FILE, closed=True)
    world.settle()
    assert "d/e/x.log" in world.shape()
    world.remove(IGNORE_FILE)
    world.write("z.bak")
    world.look(IGNORE_FILE, "z.bak")
    world.settle()
    assert set(world.shape()) == {"d", "d/e", "d/e/x.log", "d/e/y.txt", "z.bak"}


def test_rules_still_being_written_hold_new_entries_back(world: World) -> None:
    world.full()
    world.write("d/x.log")
    world.write("d/" + IGNORE_FILE, "", age_s=-world.clock.added_s)
    world.hint("d", "d/x.log")
    world.hint("d/" + IGNORE_FILE, written=True)
    world.wind(0.1)
    world.observer.scan(full=False)
    assert "d/x.log" not in world.shape(), "who knows what the rules will say"
    world.write("d/" + IGNORE_FILE, "*.log\n")
    world.settle()
    assert set(world.shape()) == {"d", "d/" + IGNORE_FILE}


def test_rules_that_cannot_be_read_hold_new_entries_back_and_say_so(world: World) -> None:
    world.write("old.txt")
    world.full()
    world.agree()
    world.write(IGNORE_FILE, "#" * (IGNORE_FILE_MAX_BYTES + 1))
    world.write("new.txt")
    observed = world.full()
    assert set(world.shape()) == {"old.txt"}
    assert [(problem.code, problem.path) for problem in observed.problems] == [("ignore.problem", IGNORE_FILE)]
    world.write(IGNORE_FILE, "")
    assert world.full().problems == []
    assert set(world.shape()) == {"old.txt", "new.txt", IGNORE_FILE}


def test_a_bad_pattern_is_told_with_its_line(world: World) -> None:
    world.write(IGNORE_FILE, "*.log\n[z-a]\n")
    world.write("x.log")
    observed = world.full()
    assert set(world.shape()) == {IGNORE_FILE}
    assert [problem.path for problem in observed.problems] == [IGNORE_FILE]
    assert "line 2" in observed.problems[0].message


def test_what_the_server_has_at_an_ignored_place_is_tracked(world: World) -> None:
    """A new device, whose folders are not linked to the server's yet."""
    world.write("proj/build/out.bin")
    world.full()
    world.agree()
    for node in list(world.trees.local):
        world.trees.remove_local(node.id)
    for base in list(world.trees.synced):
        world.trees.remove_synced(base.id)
    world.write("proj/" + IGNORE_FILE, "build/\n*.o\n")
    world.write("proj/x.o")
    world.observer = world.fresh_observer()
    world.full()
    assert world.shape()["proj/build"] is Kind.DIR
    assert "proj/x.o" not in world.shape()


def test_rules_move_with_their_folder(world: World) -> None:
    world.write("d/" + IGNORE_FILE, "*.log\n")
    world.full()
    world.move("d", "e")
    world.look("d", "e", moved_in=True)
    world.settle()
    world.write("e/x.log")
    world.write("e/y.txt")
    world.look("e/x.log", "e/y.txt", closed=True)
    world.settle()
    assert set(world.shape()) == {"e", "e/" + IGNORE_FILE, "e/y.txt"}
    assert _ignored(world, "e/x.log")
    assert not _ignored(world, "d/x.log")
