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


# -- moves -------------------------------------------------------------------------------------------------------------------------


def test_a_moved_file_keeps_its_id_whichever_half_is_seen_first(world: World) -> None:
    world.write("a/x.txt", "hello")
    world.write("b/other.txt")
    world.full()
    world.agree()
    before = world.node("a/x.txt").id
    world.move("a/x.txt", "b/y.txt")
    world.look("a/x.txt")
    assert world.node("a/x.txt").id == before, "in limbo"
    world.look("b/y.txt", moved_in=True)
    world.settle()
    assert world.node("b/y.txt").id == before
    assert "a/x.txt" not in world.shape()
    assert world.hashed == []


def test_what_moved_into_a_folder_too_new_to_be_opened_is_waited_for_by_a_full_scan(world: World) -> None:
    world.write("a/x.txt", "hello")
    world.write("a/other.txt")
    world.full()
    world.agree()
    before = world.node("a/x.txt").id
    # The clock of the folder's birth, to the instant.
    world.clock.added_s = 0
    world.move("a/x.txt", "new/y.txt")
    world.observer.scan(full=True)
    world.settle()
    assert world.node("new/y.txt").id == before
    assert "a/x.txt" not in world.shape()


def test_a_moved_folder_is_one_move(world: World) -> None:
    world.write("a/d/x.txt")
    world.write("a/d/e/y.txt")
    world.full()
    world.agree()
    before = world.ids()
    world.move("a/d", "z")
    world.look("a/d", "z", moved_in=True)
    world.settle()
    after = world.ids()
    assert after == {
        "a": before["a"],
        "z": before["a/d"],
        "z/x.txt": before["a/d/x.txt"],
        "z/e": before["a/d/e"],
        "z/e/y.txt": before["a/d/e/y.txt"],
    }
    changes = world.trees.drain()
    assert [node.name for node in changes.local_put] == ["z"], "what is below does not change"
    assert world.watcher is not None
    assert ("moved", "a/d", "z") in world.watcher.calls
    assert world.watcher.folders == {"", "a", "z", "z/e"}


def test_a_moved_folder_is_told_to_the_watcher_before_it_is_listed_again(world: World) -> None:
    world.write("a/x.txt")
    world.full()
    assert world.watcher is not None
    world.watcher.calls.clear()
    world.move("a", "b")
    world.look("a", "b")
    world.settle()
    calls = world.watcher.calls
    assert calls.index(("moved", "a", "b")) < calls.index(("watch", "b"))


def test_an_inverted_hierarchy_keeps_both_ids(world: World) -> None:
    world.write("A/B/x.txt")
    world.write("A/y.txt")
    world.full()
    before = world.ids()
    world.move("A/B", "t")
    world.move("A", "t/A")
    world.move("t", "B")
    world.full()
    assert world.ids() == {"B": before["A/B"], "B/x.txt": before["A/B/x.txt"], "B/A": before["A"], "B/A/y.txt": before["A/y.txt"]}


def test_a_child_moved_out_of_a_deleted_folder_survives_as_itself(world: World) -> None:
    world.write("d/e/x.txt", "kept")
    world.write("d/y.txt")
    world.full()
    before = world.ids()
    world.move("d/e", "e")
    world.remove("d")
    world.full()
    assert world.ids() == {"e": before["d/e"], "e/x.txt": before["d/e/x.txt"]}


def test_moved_and_edited_in_one_go_is_told_by_its_inode_no_more(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    world.move("a.txt", "b.txt")
    world.write("b.txt", "something else", age_s=50)
    world.full()
    assert world.node("b.txt").id != before
    assert "a.txt" not in world.shape()


def test_moved_and_touched_is_told_by_its_content(world: World) -> None:
    world.write("a.txt", "one")
    world.full()
    world.agree()
    before = world.node("a.txt")
    world.move("a.txt", "b.txt")
    world.age("b.txt", 20)
    world.full()
    assert world.node("b.txt").id == before.id
    assert world.node("b.txt").content_hash == before.content_hash


def test_a_move_across_disks_is_told_by_its_content(world: World) -> None:
    world.write("a.txt", "bytes that are unique")
    world.write("other.txt", "bytes that are others")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    world.write("b.txt", "bytes that are unique")
    world.remove("a.txt")
    world.full()
    assert world.node("b.txt").id == before
    assert world.hashed == ["b.txt"], "only what can be the missing one is read"


def test_equal_contents_are_no_move(world: World) -> None:
    world.write("a.txt", "same")
    world.write("b.txt", "same")
    world.full()
    world.agree()
    before = set(world.ids().values())
    world.write("keep/c.txt", "same")
    world.remove("a.txt")
    world.remove("b.txt")
    world.full()
    assert world.node("keep/c.txt").id not in before


def test_empty_files_are_all_alike(world: World) -> None:
    world.write("a.txt", "")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    world.write("b.txt", "")
    world.remove("a.txt")
    world.full()
    assert world.node("b.txt").id != before


def test_a_hard_link_is_not_a_move(world: World) -> None:
    world.write("a.txt", "linked")
    world.full()
    world.agree()
    before = world.node("a.txt").id
    os.link(world.at / "a.txt", world.at / "b.txt")
    world.full()
    assert world.node("a.txt").id == before
    assert world.node("b.txt").id != before
    assert world.node("b.txt").links == 2


def test_a_reused_inode_is_not_a_move(world: World) -> None:
    world.write("a.txt", "four")
    world.full()
    world.agree()
    before = world.node("a.txt")
    world.remove("a.txt")
    world.write("b.txt", "five", age_s=10)
    world.full()
    assert "a.txt" not in world.shape()
    assert world.node("b.txt").id != before.id


@pytest.mark.parametrize("inside", [[], ["x.txt"], ["e/x.txt"]])
def test_a_reused_inode_is_not_a_moved_folder(world: World, inside: list[str]) -> None:
    (world.at / "old").mkdir()
    for path in inside:
        world.write(f"old/{path}")
    world.full()
    world.agree()
    before = world.ids()
    # The same inodes under the same names, as a file system that gives freed ones to the next comers makes them.
    os.rename(world.at / "old", world.at / "new")
    (world.at / "new" / "gone").touch()
    (world.at / "new" / "gone").unlink()
    for path in inside:
        world.write(f"new/{path}", "another text")
    world.full()
    assert not set(before.values()) & set(world.ids().values())


def test_an_empty_folder_that_moved_is_known_by_its_time(world: World) -> None:
    (world.at / "old").mkdir()
    world.full()
    before = world.ids()["old"]
    world.move("old", "new")
    world.full()
    assert world.ids() == {"new": before}


def test_a_moved_folder_of_folders_is_proven_by_what_lies_deeper(world: World) -> None:
    world.write("old/one/two/x.txt")
    world.full()
    before = world.ids()["old"]
    world.move("old", "new")
    world.full()
    assert world.ids()["new"] == before


def test_a_case_only_rename_is_a_move(world: World) -> None:
    world.write("a.txt")
    world.full()
    before = world.node("a.txt").id
    world.move("a.txt", "A.txt")
    world.look("a.txt", "A.txt", moved_in=True)
    world.settle()
    assert world.ids() == {"A.txt": before}


def test_a_swap_of_two_files_is_two_edits(world: World) -> None:
    world.write("a", "one")
    world.write("b", "other")
    world.full()
    world.agree()
    before = world.ids()
    world.move("a", "t")
    world.move("b", "a")
    world.move("t", "b")
    world.full()
    assert world.ids() == before
    assert world.node("a").content_hash is None


def test_an_edit_in_a_folder_that_swapped_names_with_a_file_is_seen(world: World) -> None:
    """The folder is known under its new name at once, the file only when nobody writes to it any more: until then two have it."""
    world.write("file", "one")
    world.write("folder/edited", "before")
    world.write("folder/left alone", "same")
    world.full()
    world.agree()
    world.write("folder/edited", "afterwards", age_s=-world.clock.added_s)
    world.move("folder", "t")
    world.move("file", "folder")
    world.move("t", "file")
    world.hint("folder", written=True)
    world.look("file", moved_in=True)
    for _ in range(3):
        world.hint("folder", written=True)
        world.wind(0.6)
        world.observer.scan(full=False)
    world.settle()
    assert set(world.shape()) == {"file", "file/edited", "file/left alone", "folder"}
    assert world.node("file/edited").content_hash is None
    assert world.node("file/left alone").content_hash is not None


def test_a_root_that_went_away_and_came_back_is_watched_anew(world: World) -> None:
    """Unmounted and mounted again between two looks: nothing is amiss by now, but no watch outlived it."""
    world.write("d/a")
    world.full()
    assert world.watcher is not None
    world.watcher.folders.clear()
    world.look("", "d/", folder_gone=True)
    assert {"", "d"} <= world.watcher.folders
    world.settle()
    assert not world.observer.wants_full


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
