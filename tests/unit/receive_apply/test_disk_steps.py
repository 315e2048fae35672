"""Moves, folders, modes and discards: done once, exactly, and never taken for the user's own."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from msgspec.structs import replace

from syncline.client.plan.steps import Discard, MakeFolder, Relocate, RemoveFolder, SetExecutable, Stage
from syncline.model.entries import Kind
from syncline.model.ids import NodeId

ROOT = NodeId("0" * 26)


def relocate(node: NodeId, parent: NodeId, name: str, **more: Any) -> Relocate:
    return Relocate(node=node, why="", parent=parent, name=name, **more)


# -- moves -----------------------------------------------------------------------------------------------------------------------


def test_a_move_follows_the_server_and_agrees(desk: Any) -> None:
    node, folder = desk.known("a.txt", b"one"), desk.known("d")
    desk.remote_has(node, folder, "b.txt", b"one")
    outcome = desk.applier.disk([relocate(node, folder, "b.txt")])
    assert outcome.done == [node]
    assert desk.tree() == {"d": None, "d/b.txt": b"one"}
    assert desk.is_agreed(node)
    desk.check_no_echo()


def test_a_move_of_an_edited_file_moves_the_base_along(desk: Any) -> None:
    """Else the engine's own rename would read as a move of the user's as soon as the server moves it back."""
    node = desk.known("a.txt", b"one")
    desk.user_writes("a.txt", b"edited")
    desk.observe(node, ROOT, "a.txt")
    desk.remote_has(node, ROOT, "b.txt", b"one")
    desk.applier.disk([relocate(node, ROOT, "b.txt")])
    synced = desk.trees.synced[node]
    assert (synced.name, synced.content_hash) == ("b.txt", desk.trees.remote[node].content_hash)
    desk.check_no_echo()


def test_a_move_the_server_has_not_is_left_for_it_to_learn(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    desk.applier.disk([relocate(node, ROOT, "a (case conflict).txt")])
    assert desk.trees.synced[node].name == "a.txt"
    desk.check_no_echo()


def test_an_engine_rename_of_what_the_server_lost_is_no_move(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    desk.trees.remove_remote(node)
    desk.applier.disk([relocate(node, ROOT, "b.txt")])
    assert desk.trees.synced[node].name == "b.txt"


def test_a_move_of_the_users_stays_one_through_an_engine_rename(desk: Any) -> None:
    """Else the deletion on the server would take a file that was moved here."""
    node = desk.known("a.txt", b"one")
    (desk.root / "a.txt").rename(desk.root / "moved.txt")
    desk.observe(node, ROOT, "moved.txt")
    desk.trees.remove_remote(node)
    desk.applier.disk([relocate(node, ROOT, "moved (case conflict).txt")])
    assert desk.trees.synced[node].name == "a.txt"


def test_a_folder_moves_with_all_below_it(desk: Any) -> None:
    inner = desk.known("d/e/a.txt", b"one")
    folder = desk.node_at("d")
    desk.remote_has(folder, ROOT, "new", None)
    outcome = desk.applier.disk([relocate(folder, ROOT, "new"), Discard(node=inner, why="")])
    assert outcome.done == [folder, inner]
    assert desk.tree() == {"new": None, "new/e": None}
    assert desk.is_agreed(folder)
    desk.check_no_echo()


def test_a_move_into_a_folder_made_by_the_same_plan(desk: Any) -> None:
    node, folder = desk.known("a.txt", b"one"), desk.fresh_id()
    desk.remote_has(folder, ROOT, "d", None)
    desk.remote_has(node, folder, "a.txt", b"one")
    outcome = desk.applier.disk([MakeFolder(node=folder, why="", parent=ROOT, name="d"), relocate(node, folder, "a.txt")])
    assert outcome.done == [folder, node]
    assert desk.tree() == {"d": None, "d/a.txt": b"one"}
    desk.check_no_echo()


def test_a_move_never_replaces(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    desk.user_writes("b.txt", b"mine")
    outcome = desk.applier.disk([relocate(node, ROOT, "b.txt")])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"one", "b.txt": b"mine"}
    desk.check_stored()


def test_a_file_edited_since_stays(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    desk.user_writes("a.txt", b"edited")
    outcome = desk.applier.disk([relocate(node, ROOT, "b.txt")])
    assert (outcome.stale, outcome.rescan) == ([node], {""})
    assert desk.tree() == {"a.txt": b"edited"}


def test_a_file_swapped_just_before_the_rename_goes_back(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    desk.files.before["rename"] = lambda source, target: desk.user_writes("a.txt", b"newer") if target == "b.txt" else None
    outcome = desk.applier.disk([relocate(node, ROOT, "b.txt")])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"newer"}


def test_becoming_a_new_node(desk: Any) -> None:
    """A conflict copy: the old identity left the disk by the engine's hand, so its absence must not read as a deletion."""
    node, new = desk.known("a.txt", b"one"), desk.fresh_id()
    outcome = desk.applier.disk([relocate(node, ROOT, "a (copy).txt", new_id=new)])
    assert outcome.done == [node]
    assert desk.node_at("a (copy).txt") == new
    assert desk.trees.local[new].content_hash is not None
    assert node not in desk.trees.local
    assert node not in desk.trees.synced
    desk.check_no_echo()


def test_a_folder_becoming_new_renames_those_named(desk: Any) -> None:
    one, two = desk.known("d/one", b"1"), desk.known("d/two", b"2")
    folder, fresh_folder, fresh_one = desk.node_at("d"), desk.fresh_id(), desk.fresh_id()
    desk.applier.disk([relocate(folder, ROOT, "kept", new_id=fresh_folder, fresh=((one, fresh_one),))])
    assert desk.tree() == {"kept": None, "kept/one": b"1", "kept/two": b"2"}
    assert [desk.node_at(path) for path in ("kept", "kept/one", "kept/two")] == [fresh_folder, fresh_one, two]
    assert one not in desk.trees.synced
    assert folder not in desk.trees.synced
    desk.check_no_echo()


def test_a_new_identity_at_the_same_place(desk: Any) -> None:
    inner = desk.known("d/a", b"1")
    folder, new, fresh = desk.node_at("d"), desk.fresh_id(), desk.fresh_id()
    outcome = desk.applier.disk([relocate(folder, ROOT, "d", new_id=new, fresh=((inner, fresh),))])
    assert outcome.done == [folder]
    assert (desk.node_at("d"), desk.node_at("d/a")) == (new, fresh)
    desk.check_no_echo()


def test_a_folder_that_keeps_its_identity_may_hold_some_that_do_not(desk: Any) -> None:
    inner = desk.known("d/a", b"1")
    folder, fresh = desk.node_at("d"), desk.fresh_id()
    desk.applier.disk([relocate(folder, ROOT, "kept", fresh=((inner, fresh),))])
    assert (desk.node_at("kept"), desk.node_at("kept/a")) == (folder, fresh)
    desk.check_no_echo()


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_a_swap_by_way_of_the_stage(desk: Any, kind: str) -> None:
    if kind == "files":
        one, other = desk.known("a", b"1"), desk.known("b", b"2")
        swapped = {"a": b"2", "b": b"1"}
        datas = (b"1", b"2")
    else:
        desk.known("a/in", b"1")
        one, other = desk.node_at("a"), desk.known("b")
        swapped = {"a": None, "b": None, "b/in": b"1"}
        datas = (None, None)
    desk.remote_has(one, ROOT, "b", datas[0])
    desk.remote_has(other, ROOT, "a", datas[1])
    outcome = desk.applier.disk([Stage(node=one, why=""), relocate(other, ROOT, "a"), relocate(one, ROOT, "b")])
    assert sorted(outcome.done) == sorted((one, other))
    assert desk.tree() == swapped
    assert desk.hidden() == {}
    assert desk.is_agreed(one)
    assert desk.is_agreed(other)
    desk.check_no_echo()


def test_what_cannot_leave_the_stage_goes_back(desk: Any) -> None:
    one = desk.known("d/a", b"1")
    desk.user_writes("d/b", b"mine")
    outcome = desk.applier.disk([Stage(node=one, why=""), relocate(one, desk.node_at("d"), "b")])
    assert outcome.stale == [one]
    assert desk.tree() == {"d": None, "d/a": b"1", "d/b": b"mine"}
    assert desk.disk.stat("d/a").signature == desk.trees.local[one].signature
    desk.check_stored()


def test_a_taken_place_on_the_way_back_makes_a_copy(desk: Any) -> None:
    one = desk.known("a", b"1")
    desk.user_writes("b", b"mine")

    def retake(source: str, target: str) -> None:
        if "stage" in target:
            desk.user_writes("a", b"new here")

    desk.files.after["rename"] = retake
    desk.applier.disk([Stage(node=one, why=""), relocate(one, ROOT, "b")])
    assert sorted(desk.tree().values()) == [b"1", b"mine", b"new here"]
    assert desk.hidden() == {}


def test_a_stage_without_a_move_changes_nothing(desk: Any) -> None:
    folder = desk.known("d")
    desk.known("d/a", b"1")
    outcome = desk.applier.disk([Stage(node=folder, why="")])
    assert outcome.done == []
    assert desk.tree() == {"d": None, "d/a": b"1"}
    desk.check_no_echo()


@pytest.mark.parametrize(("old", "new"), [("readme", "README"), ("\u00e9", "e\u0301")])
def test_a_change_of_spelling_alone_goes_by_way_of_the_stage(desk: Any, old: str, new: str) -> None:
    node = desk.known(old, b"1")
    desk.remote_has(node, ROOT, new, b"1")
    hops = []
    desk.files.before["rename"] = lambda source, target: hops.append(target)
    assert desk.applier.disk([relocate(node, ROOT, new)]).done == [node]
    assert len(hops) == 2
    assert desk.tree() == {new: b"1"}
    desk.check_no_echo()


# -- folders ---------------------------------------------------------------------------------------------------------------------


def test_folders_are_made_top_down_in_a_transaction_before_and_one_after(desk: Any) -> None:
    nodes = [desk.fresh_id() for _ in range(3)]
    parents = [ROOT, *nodes]
    for node, parent, name in zip(nodes, parents, "abc", strict=False):
        desk.remote_has(node, parent, name, None)
    desk.save()
    before = desk.store.writes
    steps = [
        MakeFolder(node=node, why="", parent=parent, name=name) for node, parent, name in zip(nodes, parents, "abc", strict=False)
    ]
    assert desk.applier.disk(steps).done == nodes
    assert desk.store.writes == before + 2
    assert desk.tree() == {"a": None, "a/b": None, "a/b/c": None}
    assert all(desk.is_agreed(node) for node in nodes)
    assert desk.applier.disk(steps).done == nodes
    desk.check_no_echo()


def test_an_unknown_folder_in_the_way_is_observed_first(desk: Any) -> None:
    (desk.root / "d").mkdir()
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "d", None)
    outcome = desk.applier.disk([MakeFolder(node=node, why="", parent=ROOT, name="d")])
    assert (outcome.stale, outcome.rescan) == ([node], {""})
    assert node not in desk.trees.local


def test_an_empty_folder_goes(desk: Any) -> None:
    inner = desk.known("d/a", b"1")
    folder = desk.node_at("d")
    steps = [Discard(node=inner, why=""), RemoveFolder(node=folder, why="")]
    assert desk.applier.disk(steps).done == [inner, folder]
    assert desk.tree() == {}
    assert list(desk.hidden().values()) == [b"1"]
    assert len(desk.trees.synced) == 0
    desk.check_no_echo()


def test_a_folder_with_unknown_files_stays_and_is_told(desk: Any) -> None:
    folder = desk.known("d")
    desk.user_writes("d/ignored", b"x")
    outcome = desk.applier.disk([RemoveFolder(node=folder, why="")])
    assert outcome.done == []
    assert [(problem.code, problem.path) for problem in outcome.problems] == [("folder.leftover", "d")]
    assert desk.tree() == {"d": None, "d/ignored": b"x"}


def test_a_folder_whose_file_was_not_discarded_stays(desk: Any) -> None:
    inner = desk.known("d/a", b"1")
    folder = desk.node_at("d")
    desk.user_writes("d/a", b"edited")
    outcome = desk.applier.disk([Discard(node=inner, why=""), RemoveFolder(node=folder, why="")])
    assert sorted(outcome.stale) == sorted((inner, folder))
    assert desk.tree() == {"d": None, "d/a": b"edited"}


def test_a_folder_that_is_another_one_now_is_not_removed(desk: Any) -> None:
    folder = desk.known("d")
    (desk.root / "d").rename(desk.root / "elsewhere")
    (desk.root / "d").mkdir()
    outcome = desk.applier.disk([RemoveFolder(node=folder, why="")])
    assert outcome.stale == [folder]
    assert desk.tree() == {"d": None, "elsewhere": None}


# -- discards and modes ----------------------------------------------------------------------------------------------------------


def test_many_discards_take_two_transactions(desk: Any) -> None:
    nodes = [desk.known(f"d/{number}", b"%d" % number) for number in range(20)]
    before = desk.store.writes
    assert desk.applier.disk([Discard(node=node, why="") for node in nodes]).done == nodes
    assert desk.store.writes == before + 2
    assert desk.tree() == {"d": None}
    assert sorted(desk.hidden().values()) == sorted(b"%d" % number for number in range(20))
    desk.check_no_echo()


def test_a_long_name_fits_the_trash(desk: Any) -> None:
    node = desk.known("ä" * 120 + ".txt", b"1")
    assert desk.applier.disk([Discard(node=node, why="")]).done == [node]
    assert list(desk.hidden().values()) == [b"1"]


def test_an_edited_file_is_not_discarded(desk: Any) -> None:
    node = desk.known("a", b"1")
    desk.user_writes("a", b"edited")
    outcome = desk.applier.disk([Discard(node=node, why="")])
    assert (outcome.stale, outcome.rescan) == ([node], {""})
    assert node in desk.trees.synced
    assert desk.tree() == {"a": b"edited"}
    desk.check_stored()


def test_an_edit_just_before_the_rename_comes_back(desk: Any) -> None:
    node = desk.known("a", b"1")
    desk.files.before["rename"] = lambda source, target: desk.user_writes("a", b"edited") if "trash" in target else None
    assert desk.applier.disk([Discard(node=node, why="")]).stale == [node]
    assert desk.tree() == {"a": b"edited"}
    assert desk.hidden() == {}
    desk.check_stored()


def test_an_edit_caught_while_its_place_was_taken_again_is_a_copy(desk: Any) -> None:
    node = desk.known("a", b"1")
    desk.files.before["rename"] = lambda source, target: desk.user_writes("a", b"edited") if "trash" in target else None
    desk.files.after["rename"] = lambda source, target: desk.user_writes("a", b"again") if "trash" in target else None
    desk.applier.disk([Discard(node=node, why="")])
    assert sorted(desk.tree().values()) == [b"again", b"edited"]
    assert desk.hidden() == {}


def test_the_executable_bit(desk: Any) -> None:
    node = desk.known("a", b"1")
    desk.remote_has(node, ROOT, "a", b"1", executable=True)
    assert desk.applier.disk([SetExecutable(node=node, why="", executable=True)]).done == [node]
    assert (desk.root / "a").stat().st_mode & 0o111 == 0o111
    assert desk.trees.synced[node].executable
    desk.check_no_echo()
    assert desk.applier.disk([SetExecutable(node=node, why="", executable=False)]).done == [node]
    assert (desk.root / "a").stat().st_mode & 0o111 == 0


def test_a_bit_that_was_set_is_agreed_on_before_the_bytes_are(desk: Any) -> None:
    """Else it reads as set by somebody here, should the server take it back before the bytes came."""
    node = desk.known("a", b"1")
    desk.remote_has(node, ROOT, "a", b"2", executable=True)
    before = desk.trees.synced[node]
    desk.applier.disk([SetExecutable(node=node, why="", executable=True)])
    assert desk.trees.synced[node] == replace(before, executable=True)


def test_a_disk_that_cannot_tell_the_bit_agrees_without_it(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(desk.disk, "_has_executable", False)
    node = desk.known("a", b"1")
    assert desk.trees.local[node].executable is None
    desk.remote_has(node, ROOT, "a", b"1", executable=True)
    assert desk.applier.disk([SetExecutable(node=node, why="", executable=True)]).done == [node]
    assert desk.trees.synced[node].executable
    assert desk.trees.local[node].executable is None
    desk.check_no_echo()


# -- trouble ---------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_holds_back_only_what_did_not_fit(desk: Any) -> None:
    nodes = [desk.fresh_id() for _ in range(3)]
    for node, name in zip(nodes, "abc", strict=True):
        desk.remote_has(node, ROOT, name, None)

    def full(path: str) -> None:
        if path == "b":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    desk.files.before["make_folder"] = full
    outcome = desk.applier.disk([MakeFolder(node=n, why="", parent=ROOT, name=name) for n, name in zip(nodes, "abc", strict=True)])
    assert outcome.done == [nodes[0], nodes[2]]
    assert [(problem.code, problem.path) for problem in outcome.problems] == [("disk.full", "b")]


def test_a_link_planted_in_an_ancestor_leads_nowhere(desk: Any, tmp_path: Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"sentinel")
    node, folder = desk.known("d/a", b"1"), desk.fresh_id()
    parent = desk.node_at("d")
    (desk.root / "d").rename(desk.root / "real")
    (desk.root / "d").symlink_to(outside, target_is_directory=True)
    outcome = desk.applier.disk(
        [
            MakeFolder(node=folder, why="", parent=parent, name="new"),
            SetExecutable(node=node, why="", executable=True),
            relocate(node, ROOT, "b"),
            Discard(node=node, why=""),
            RemoveFolder(node=parent, why=""),
        ]
    )
    assert outcome.done == []
    assert [(path.name, path.read_bytes(), path.stat().st_mode & 0o111) for path in outside.iterdir()] == [("a", b"sentinel", 0)]
    assert desk.disk.stat("real/a").kind is Kind.FILE


def test_steps_of_other_rooms_are_refused(desk: Any) -> None:
    from syncline.client.plan.steps import Adopt

    with pytest.raises(TypeError):
        desk.applier.disk([Adopt(node=ROOT, why="")])
