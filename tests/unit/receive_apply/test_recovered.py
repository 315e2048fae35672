"""What is found after a crash is known for what it is: folders that were made or removed, bits that were set, files that arrived.
None of it is a change that somebody made here."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.receive_apply.scenes import ROOT, Deed, crash, dressing, run_and_crash

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.plan.steps import MakeFolder, Relocate, RemoveFolder, Stage
from syncline.client.receive.inflight import Dressing, Making, Moving, mark_of, row_of
from syncline.content.digest import digest
from syncline.model.ids import NamespaceId
from syncline.ports.tree_store import Changes
from syncline.testing.faulty import Crash


def taking_a_name_over(desk: Any) -> Deed:
    """A file moves into a new folder of its own name."""
    node, folder = desk.known("d/a", b"1"), desk.fresh_id()
    desk.remote_has(folder, desk.node_at("d"), "a", None)
    desk.remote_has(node, folder, "b", b"1")
    steps = [
        Stage(node=node, why=""),
        MakeFolder(node=folder, why="", parent=desk.node_at("d"), name="a"),
        Relocate(node=node, why="", parent=folder, name="b"),
    ]
    return lambda: desk.applier.disk(steps)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_folder_made_where_a_file_has_left_is_no_new_one(make_desk: Any, after: bool) -> None:
    """The file waits on the stage, and by the trees still has the name."""
    found: list[dict[str, bytes | None]] = []
    while True:
        desk = make_desk()
        deed = taking_a_name_over(desk)
        desk.save()
        crashed = run_and_crash(desk, deed, len(found), after=after)
        desk.recover()
        found.append(desk.tree())
        assert {path: desk.node_at(path) is not None for path in desk.tree()} == dict.fromkeys(desk.tree(), True)
        desk.check_no_echo()
        if not crashed:
            break
    assert next(tree for tree in found if "d/a" in tree and tree["d/a"] is None) == {"d": None, "d/a": None, "d/a/b": b"1"}
    assert not [path for tree in found for path in tree if "conflicted" in path]


def remaking_a_folder(desk: Any) -> Deed:
    """A folder goes, and another of its name comes, with one in it."""
    old, new, inner = desk.known("d/a", remote=False), desk.fresh_id(), desk.fresh_id()
    desk.remote_has(new, desk.node_at("d"), "a", None)
    desk.remote_has(inner, new, "c", None)
    steps = [
        RemoveFolder(node=old, why=""),
        MakeFolder(node=new, why="", parent=desk.node_at("d"), name="a"),
        MakeFolder(node=inner, why="", parent=new, name="c"),
    ]
    return lambda: desk.applier.disk(steps)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_folder_made_where_one_was_removed_is_no_new_one(make_desk: Any, after: bool) -> None:
    """Else what is in it comes back, as somebody's new one, when the server deletes it meanwhile."""
    found: list[dict[str, bytes | None]] = []
    while True:
        desk = make_desk()
        deed = remaking_a_folder(desk)
        old = desk.node_at("d/a")
        desk.save()
        crashed = run_and_crash(desk, deed, len(found), after=after)
        desk.recover()
        found.append(desk.tree())
        nodes = {path: desk.node_at(path) for path in desk.tree()}
        assert None not in nodes.values()
        assert "d/a/c" not in nodes or nodes["d/a"] != old
        desk.check_no_echo()
        if not crashed:
            break
    assert {"d": None, "d/a": None, "d/a/c": None} in found[:-1]


def test_a_folder_that_is_still_to_leave_is_not_the_one_to_be_made_in_its_place(desk: Any) -> None:
    old, new = desk.known("a"), desk.fresh_id()
    mark = mark_of(desk.disk.stat("a"))
    desk.store.write(
        Changes(
            inflight_put=[
                row_of("1", Moving(node=old, source="a", stage=".syncline/stage/1~a", parent=ROOT, name="b", **mark)),
                row_of("2", Making(node=new, namespace=NamespaceId(ROOT), parent=ROOT, name="a")),
            ]
        )
    )
    desk.recover()
    assert desk.node_at("a") == old
    assert new not in desk.trees.local
    desk.check_no_echo()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_bit_that_was_set_before_a_crash_is_no_edit(make_desk: Any, after: bool) -> None:
    """Else a file that the server deletes meanwhile would be brought back by it."""
    found: list[tuple[bool, bool]] = []
    while True:
        desk = make_desk()
        deed = dressing(desk)
        desk.save()
        crashed = run_and_crash(desk, deed, len(found), after=after)
        desk.recover()
        (base,) = [base for base in desk.trees.synced if base.name == "a"]
        found.append((bool(desk.disk.stat("d/a").executable), base.executable))
        if not crashed:
            break
    assert all(on_disk == in_base for on_disk, in_base in found)
    assert {on_disk for on_disk, _ in found} == {False, True}


def test_a_bit_set_in_a_call_that_then_fails_is_no_edit(desk: Any) -> None:
    deed = dressing(desk)
    desk.save()

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    desk.files.after["set_executable"] = fail
    assert [problem.code for problem in deed().problems] == ["file.io"]
    desk.files.after.clear()
    desk.applier.settle()
    (base,) = [base for base in desk.trees.synced if base.name == "a"]
    seen = desk.trees.local[base.id].executable
    assert (desk.disk.stat("d/a").executable, base.executable, seen) == (True, True, True)
    assert [row.kind for row in desk.store.inflight.values()] == []


def test_rows_of_one_instant_are_seen_to_in_the_order_of_the_deeds_whatever_their_ids(desk: Any) -> None:
    """Folders in folders were made, a file moved into them, and a bit of it set; ids of one millisecond are in no order."""
    node, outer, inner = desk.known("a", b"tool"), desk.fresh_id(), desk.fresh_id()
    desk.remote_has(outer, ROOT, "outer", None)
    desk.remote_has(inner, outer, "inner", None)
    desk.remote_has(node, inner, "b", b"tool", revision=2, executable=True)
    mark = mark_of(desk.trees.local[node].signature)
    deeds = [
        Making(node=outer, namespace=NamespaceId(ROOT), parent=ROOT, name="outer"),
        Making(node=inner, namespace=NamespaceId(ROOT), parent=outer, name="inner"),
        Moving(node=node, source="a", stage=None, parent=inner, name="b", **mark),
        Dressing(node=node, executable=True, **mark),
    ]
    rows = [row_of(f"{25 - at:026d}", deed) for at, deed in enumerate(deeds)]
    desk.store.write(replace(desk.trees.drain(), inflight_put=rows))
    (desk.root / "outer" / "inner").mkdir(parents=True)
    (desk.root / "a").rename(desk.root / "outer" / "inner" / "b")
    desk.disk.set_executable("outer/inner/b", True)
    desk.recover()
    assert [desk.node_at(path) for path in ("outer", "outer/inner", "outer/inner/b")] == [outer, inner, node]
    assert {outer, inner} <= {base.id for base in desk.trees.synced}
    assert desk.trees.synced[node].executable
    desk.check_no_echo()


class Birthless(LinuxFiles):
    """On a file system that remembers no births."""

    def birth_ns(self, path: str) -> int | None:
        return None


def cut_short(desk: Any, name: str) -> Any:
    """Bytes from the server are about to arrive as `name` when the power goes, and take the temporary file along."""
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, name, b"")
    fetch, got = desk.fetched(node, b"from the server")
    desk.files.before["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.place([(fetch, got)])
    (desk.root / got.temp_path).unlink()
    return node


@pytest.mark.parametrize("birth", ["known", "unknown to the disk", "unknown to the row"])
def test_a_file_that_got_the_inode_of_a_lost_one_is_not_it(desk: Any, birth: str) -> None:
    """Nobody saw the server's version there: what a person made is no edit of it, unless nothing tells the two apart."""
    node = cut_short(desk, "new")
    desk.user_writes("new", b"mine")
    (row,) = desk.store.inflight.values()
    fields = {**row.fields, "arriving": desk.disk.stat("new").signature.inode}
    if birth == "unknown to the row":
        del fields["born_ns"]
    desk.store.inflight[row.id] = replace(row, fields=fields)
    if birth == "unknown to the disk":
        desk.disk.__class__ = Birthless
    desk.recover()
    assert (node in desk.trees.local) == (node in desk.trees.synced) == (birth != "known")
    assert desk.tree() == {"new": b"mine"}
    assert desk.store.inflight == {}


@pytest.mark.parametrize("edited", [False, True])
def test_what_arrived_before_the_power_went_is_the_base(desk: Any, edited: bool) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "new", b"")
    step = desk.fetched(node, b"from the server")
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.place([step])
    if edited:
        with (desk.root / "new").open("ab") as file:
            file.write(b", and mine")
    desk.recover()
    assert desk.trees.synced[node].content_hash == digest(b"from the server")
    assert desk.trees.local[node].content_hash is None
