"""What moved: known by its inode, its content, or what lies in it; and what only looks moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.observe.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "root")


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
