"""What a person does on disk, and what the local tree says of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.observe.world import World, on_disk

from syncline.model.entries import Kind
from syncline.model.ids import EMPTY_DIGEST
from syncline.model.limits import DEPTH_MAX, QUIET_CAP_S
from syncline.ports.watcher import Hint, Hints


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "root")


# -- new, edited, gone -------------------------------------------------------------------------------------------------------------


def test_the_first_scan_finds_everything_but_our_own_folder(world: World) -> None:
    world.write("a.txt")
    world.write("d/e/b.txt", "")
    observed = world.full()
    assert observed.complete
    assert world.shape() == {"a.txt": Kind.FILE, "d": Kind.DIR, "d/e": Kind.DIR, "d/e/b.txt": Kind.FILE}
    assert world.node("a.txt").content_hash is None, "never a guess"
    assert world.node("d/e/b.txt").content_hash == EMPTY_DIGEST, "nothing to read in an empty file"
    assert world.watcher is not None
    assert world.watcher.folders == {"", "d", "d/e"}


def test_nothing_changes_when_nothing_changed(world: World) -> None:
    world.write("a.txt")
    world.write("d/b.txt")
    world.full()
    world.agree()
    assert world.full().changed == 0
    assert not world.trees.open
    assert not world.observer.is_dirty


def test_an_edit_keeps_the_id_and_forgets_the_content(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt")
    world.write("a.txt", "two!", age_s=50)
    observed = world.look("a.txt", closed=True)
    after = world.node("a.txt")
    assert observed.changed == 1
    assert after.id == before.id
    assert after.content_hash is None
    assert after.signature.size == 4


def test_an_atomic_save_is_an_edit(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    world.write("a.txt.tmp~", "two")
    world.move("a.txt.tmp~", "a.txt")
    world.look("a.txt.tmp~", "a.txt", moved_in=True)
    world.settle()
    assert world.ids() == {"a.txt": before}


def test_a_restored_mtime_does_not_hide_an_edit(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    times = (world.at / "a.txt").stat()
    (world.at / "a.txt").write_text("two")
    os.utime(world.at / "a.txt", ns=(times.st_mtime_ns, times.st_mtime_ns))
    world.full()
    assert world.node("a.txt").content_hash is None


def test_the_executable_bit_is_seen(world: World) -> None:
    world.write("run.sh")
    world.full()
    os.chmod(world.at / "run.sh", 0o755)
    world.look("run.sh")
    assert world.node("run.sh").executable is True


def test_a_deleted_file_goes_after_a_moment(world: World) -> None:
    world.write("a.txt")
    world.write("b.txt")
    world.full()
    world.remove("a.txt")
    observed = world.look("a.txt")
    assert world.shape() == {"a.txt": Kind.FILE, "b.txt": Kind.FILE}, "its other half may be on its way"
    assert observed.retry_at_s is not None
    world.settle()
    assert world.shape() == {"b.txt": Kind.FILE}
    assert not world.observer.is_dirty


def test_a_file_that_comes_back_at_once_was_never_gone(world: World) -> None:
    world.write("a.txt")
    world.full()
    before = world.ids()
    world.move("a.txt", "../aside")
    world.look("a.txt")
    world.move("../aside", "a.txt")
    world.look("a.txt", moved_in=True)
    world.settle()
    assert world.ids() == before


def test_a_deleted_folder_goes_with_all_below_it(world: World) -> None:
    world.write("d/e/a.txt")
    world.write("d/b.txt")
    world.full()
    world.remove("d")
    world.observer.mark(Hints(seen=[Hint("d/e", "a.txt"), Hint("d", "e"), Hint("d/e", "", folder_gone=True), Hint("", "d")]))
    world.settle()
    assert world.shape() == {}
    assert world.watcher is not None
    assert world.watcher.folders == {""}


def test_a_full_scan_ends_the_wait(world: World) -> None:
    world.write("d/a.txt")
    world.full()
    world.remove("d/a.txt")
    world.age("d", 50)
    world.full()
    assert world.shape() == {"d": Kind.DIR}


def test_a_file_that_becomes_a_folder_is_another_node(world: World) -> None:
    world.write("x")
    world.full()
    before = world.node("x").id
    world.remove("x")
    world.write("x/y")
    world.look("x")
    world.settle()
    assert world.shape() == {"x": Kind.DIR, "x/y": Kind.FILE}
    assert world.node("x").id != before
    assert len(world.trees.local) == 2


# -- being written -----------------------------------------------------------------------------------------------------------------


def test_a_file_being_written_is_invisible_until_it_rests(world: World) -> None:
    world.full()
    world.write("a.txt", "so far", age_s=0)
    observed = world.look("a.txt", written=True)
    assert observed.unquiet == ["a.txt"]
    assert world.shape() == {}
    world.hint("a.txt", written=True)
    world.wind(0.9)
    assert world.observer.scan(full=False).unquiet == ["a.txt"]
    world.wind(0.2)
    assert world.observer.scan(full=False).unquiet == []
    assert world.shape() == {"a.txt": Kind.FILE}


def test_a_known_file_being_written_stays_as_it_was(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt")
    world.write("a.txt", "more", age_s=0)
    world.look("a.txt", written=True)
    assert world.node("a.txt") == before
    world.settle()
    assert world.node("a.txt").content_hash is None


def test_a_closed_file_is_taken_at_once(world: World) -> None:
    world.full()
    world.write("a.txt", age_s=0)
    world.look("a.txt", closed=True)
    assert world.shape() == {"a.txt": Kind.FILE}


def test_a_file_written_without_pause_is_tried_after_a_minute(world: World) -> None:
    world.full()
    started = world.clock.monotonic_s()
    while not world.shape():
        world.write("log", "x" * world.chance.number, age_s=-world.clock.added_s)
        world.look("log", written=True)
        world.wind(0.3)
        assert world.clock.monotonic_s() - started < QUIET_CAP_S + 3
    assert world.clock.monotonic_s() - started >= QUIET_CAP_S


def test_without_hints_the_times_of_the_file_decide(world: World) -> None:
    world.write("fresh.txt", age_s=-world.clock.added_s)
    world.write("old.txt", age_s=100)
    world.wind(0.1)
    observed = world.observer.scan(full=True)
    assert observed.unquiet == ["fresh.txt"]
    assert world.shape() == {"old.txt": Kind.FILE}
    world.settle()
    assert world.shape() == {"fresh.txt": Kind.FILE, "old.txt": Kind.FILE}


def test_a_time_in_the_future_holds_nothing_up(world: World) -> None:
    world.write("a.txt", age_s=-100_000)
    world.wind(3)
    world.observer.scan(full=True)
    assert world.shape() == {"a.txt": Kind.FILE}


def test_even_both_times_in_the_future_hold_nothing_up(world: World) -> None:
    world.write("a.txt", age_s=-100_000)
    world.clock.now_us = lambda: 1_000_000_000_000_000  # type: ignore[method-assign]
    world.observer.scan(full=True)
    world.settle()
    assert world.shape() == {"a.txt": Kind.FILE}


def test_what_is_missing_waits_for_a_newcomer_being_written(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    world.move("a.txt", "b.txt")
    world.hint("a.txt")
    world.hint("b.txt", written=True, moved_in=True)
    for _ in range(5):
        world.wind(0.25)
        world.hint("b.txt", written=True)
        world.observer.scan(full=False)
        assert "a.txt" in world.shape()
    world.settle()
    assert world.ids() == {"b.txt": before}


# -- hints -------------------------------------------------------------------------------------------------------------------------


def test_lost_hints_ask_for_a_full_scan(world: World) -> None:
    world.write("a.txt")
    world.full()
    world.write("deep/er/b.txt")
    world.observer.mark(Hints(seen=[], lost="overflow"))
    assert world.observer.due(world.clock.monotonic_s())
    world.wind(5)
    world.observer.scan(full=False)
    assert world.shape() == on_disk(world.at)
    assert not world.observer.wants_full


def test_a_hint_about_an_unknown_folder_leads_to_the_nearest_known(world: World) -> None:
    world.full()
    world.write("a/b/c/x.txt")
    world.look("a/b/c/x.txt", closed=True)
    world.settle()
    assert world.shape() == on_disk(world.at)


def test_one_named_file_of_a_large_folder_is_looked_at_alone(world: World) -> None:
    for number in range(40):
        world.write(f"f{number}")
    world.full()
    listed: list[str] = []
    list_folder = world.files.list_folder
    world.files.list_folder = lambda path: listed.append(path) or list_folder(path)  # type: ignore[method-assign,func-returns-value]
    world.write("f3", "longer than before")
    world.look("f3", closed=True)
    assert world.node("f3").signature.size == 18
    assert listed == []
    world.remove("f4")
    world.look("f4")
    assert listed == [""], "that something is gone is believed from a listing alone"


def test_a_folder_made_by_the_engine_is_watched_and_read(world: World) -> None:
    world.full()
    world.write("made/x.txt")
    world.full()
    assert world.watcher is not None
    made = world.node("made")
    # As the engine does: the folder is known before the watcher speaks of it.
    world.at.joinpath("other").mkdir()
    stat = world.files.stat("other")
    from msgspec.structs import replace

    world.trees.put_local(replace(made, id=world.trees.root[:-1] + "Z", name="other", signature=stat.signature))  # type: ignore[arg-type]
    world.write("other/by-user.txt")
    world.look("other")
    world.settle()
    assert "other" in world.watcher.folders
    assert "other/by-user.txt" in world.shape()


# -- what is not synced ------------------------------------------------------------------------------------------------------------


def test_links_and_pipes_are_skipped_and_counted(world: World) -> None:
    world.write("real/x.txt")
    os.symlink("real", world.at / "link")
    os.symlink("/etc/passwd", world.at / "real" / "outside")
    os.mkfifo(world.at / "pipe")
    observed = world.full()
    assert world.shape() == {"real": Kind.DIR, "real/x.txt": Kind.FILE}
    assert observed.skipped == 3
    assert [(problem.code, problem.path) for problem in observed.problems] == [("skipped.special", "")]
    assert "3 entries" in observed.problems[0].message


def test_a_link_in_the_place_of_what_is_synced_deletes_nothing(world: World) -> None:
    world.write("d/x.txt")
    world.write("f.txt")
    world.full()
    world.agree()
    before = world.ids()
    world.remove("d")
    world.remove("f.txt")
    os.symlink("/tmp", world.at / "d")
    os.symlink("/etc/passwd", world.at / "f.txt")
    observed = world.full()
    world.settle()
    assert world.ids() == before
    assert {problem.path for problem in observed.problems if problem.code == "entry.shadowed"} == {"d", "f.txt"}


def test_a_folder_moved_elsewhere_with_a_link_left_behind_is_moved(world: World) -> None:
    world.write("d/x.txt")
    world.write("e/y.txt")
    world.full()
    before = world.ids()
    world.move("d", "e/d")
    os.symlink("e/d", world.at / "d")
    world.full()
    assert world.ids() == {"e": before["e"], "e/y.txt": before["e/y.txt"], "e/d": before["d"], "e/d/x.txt": before["d/x.txt"]}


def test_names_that_cannot_be_synced_are_told_once_each_and_kept(world: World) -> None:
    world.write("good.txt")
    for name in (b"bad\xff.txt", b"line\nbreak", b"back\\slash"):
        Path(os.fsdecode(os.fsencode(world.at) + b"/" + name)).write_text("x")
    observed = world.full()
    assert world.shape() == {"good.txt": Kind.FILE}
    told = {problem.path for problem in observed.problems if problem.code == "name.invalid"}
    assert told == {"bad\\xff.txt", "line\\nbreak", "back\\slash"}
    assert len(observed.problems) == 3
    for path in told:
        path.encode()
    assert len(world.full().problems) == 3
    assert len(list(world.at.iterdir())) == 5


def test_problems_of_other_folders_stay_told(world: World) -> None:
    world.write("a/x.txt")
    (world.at / "a" / "bad\nname").write_text("x")
    world.full()
    observed = world.look("b")
    assert [problem.path for problem in observed.problems] == ["a/bad\\nname"]
    world.move("a", "moved")
    world.look("a", "moved")
    assert [problem.path for problem in world.full().problems] == ["moved/bad\\nname"]
    world.remove("moved")
    assert world.full().problems == []


def test_another_synced_folder_inside_is_left_alone(world: World) -> None:
    world.write("inner/x.txt")
    world.write("inner/.syncline/root-id")
    observed = world.full()
    assert world.shape() == {}
    assert [(problem.code, problem.path) for problem in observed.problems] == [("folder.nested_root", "inner")]
    assert world.watcher is not None
    assert world.watcher.folders == {""}


def test_too_deep_is_told(world: World) -> None:
    at = world.at
    for _ in range(DEPTH_MAX + 2):
        at = at / "d"
    at.mkdir(parents=True)
    observed = world.full()
    assert len(world.trees.local) == DEPTH_MAX
    assert [problem.code for problem in observed.problems] == ["limit.exceeded"]
    assert "deeper" in observed.problems[0].message


def test_a_path_too_long_for_the_system_is_told(world: World) -> None:
    held = os.open(world.at, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("L" * 250, dir_fd=held)
        inner = os.open("L" * 250, os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(held)
    observed = world.full()
    assert len(world.trees.local) == 16
    assert [problem.code for problem in observed.problems] == ["limit.exceeded"]
