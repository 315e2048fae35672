"""What the disk failed in the midst of, and what a crash leaves while people go on: found out before anything else is claimed, and
never taken for an edit, a conflict or a deletion of somebody's."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.receive_apply.scenes import crash

from syncline.client.plan.steps import Discard, MakeFolder, Relocate, RemoveFolder, SetExecutable, Stage
from syncline.client.receive.inflight import Removing, row_of
from syncline.content.digest import digest
from syncline.model.entries import Access
from syncline.model.errors import LocalIo
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.tree_store import CursorRow
from syncline.testing.faulty import Crash

ROOT = NodeId("0" * 26)
LATER_NS = 1_700_000_000_000_000_000


def fail(*_: Any, **__: Any) -> None:
    raise OSError(errno.EIO, "Input/output error")


def write_in_place(desk: Any, path: str, data: bytes) -> None:
    """As a program does that holds the file open: the inode stays."""
    with open(desk.root / path, "r+b") as file:
        file.write(data)
    os.utime(desk.root / path, ns=(LATER_NS, LATER_NS))


def left_open(desk: Any) -> list[str]:
    return [row.kind for row in desk.store.inflight.values() if row.kind != "trash"]


# -- by way of the stage -----------------------------------------------------------------------------------------------------------


def test_a_folder_goes_though_its_last_child_still_waits_on_the_stage(desk: Any) -> None:
    """The child is to have the name of the folder it was in, which was deleted on the server."""
    child = desk.known("d/child", b"1")
    folder = desk.node_at("d")
    desk.trees.remove_remote(folder)
    desk.remote_has(child, ROOT, "d", b"1")
    desk.save()
    steps = [Stage(node=child, why=""), RemoveFolder(node=folder, why=""), Relocate(node=child, why="", parent=ROOT, name="d")]
    assert desk.applier.disk(steps).done == [folder, child]
    assert desk.tree() == {"d": b"1"}
    assert desk.is_agreed(child)
    desk.check_no_echo()


def test_what_the_disk_keeps_on_the_stage_is_away_and_comes_back_once_the_disk_lets_it(desk: Any) -> None:
    """A scan meanwhile must not take it for deleted (`observe`)."""
    desk.known("d/child", b"1")
    folder = desk.node_at("d")
    desk.user_writes("e", b"somebody's")
    desk.remote_has(folder, ROOT, "e", None)
    desk.save()
    desk.files.after["rename"] = fail
    desk.applier.disk([Stage(node=folder, why=""), Relocate(node=folder, why="", parent=ROOT, name="e")])
    desk.files.after.clear()
    desk.files.before["rename"] = fail
    desk.applier.settle()
    assert desk.tree() == {"e": b"somebody's"}
    assert desk.trees.away == {folder}
    desk.files.before.clear()
    desk.applier.settle()
    assert desk.tree() == {"d": None, "d/child": b"1", "e": b"somebody's"}
    assert (desk.trees.away, desk.node_at("d"), left_open(desk)) == (frozenset(), folder, [])


@pytest.mark.parametrize("call", ["stat", "rename"])
def test_what_was_saved_just_before_it_was_displaced_returns_though_the_disk_fails_meanwhile(desk: Any, call: str) -> None:
    """Else it would lie in the trash until that is emptied."""
    node = desk.known("d/a", b"old")
    step = desk.fetched(node, b"next")

    def save(*_: Any) -> None:
        desk.user_writes("d/a", b"saved just now")

    def fail_once(path: str, *_: Any) -> None:
        if path.startswith(".syncline/trash/"):
            del desk.files.before[call]
            fail()

    def fail_from_now(*_: Any) -> None:
        desk.files.before[call] = fail_once

    desk.files.before["exchange"] = save
    desk.files.after["exchange"] = fail_from_now
    outcome = desk.applier.place([step])
    assert (outcome.done, [problem.code for problem in outcome.problems]) == ([node], ["file.io"])
    desk.files.before.clear()
    desk.applier.settle()
    assert sorted(content for content in desk.tree().values() if content) == [b"next", b"saved just now"]
    assert (desk.trees.synced[node].revision, left_open(desk)) == (2, [])


def test_a_folder_made_in_a_call_that_then_fails_is_nobodys_new_one(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "made", None)
    desk.save()
    desk.files.after["make_folder"] = lambda *_: desk.files.before.update(stat=fail, remove_folder=fail)
    outcome = desk.applier.disk([MakeFolder(node=node, why="", parent=ROOT, name="made")])
    assert (outcome.done, [problem.code for problem in outcome.problems]) == ([], ["file.io"])
    desk.files.before.clear()
    desk.applier.settle()
    assert (desk.tree(), desk.node_at("made"), desk.is_agreed(node)) == ({"made": None}, node, True)
    desk.check_no_echo()


def test_what_comes_back_to_its_path_in_another_folder_is_nobodys_new_file(desk: Any) -> None:
    """Its folder went, one of that name came, and what was to hold it there could not be made."""
    node = desk.known("d/file", b"1")
    old, new, inner = desk.node_at("d"), desk.fresh_id(), desk.fresh_id()
    desk.trees.remove_remote(old)
    desk.remote_has(new, ROOT, "d", None)
    desk.remote_has(inner, new, "inner", None)
    desk.remote_has(node, inner, "moved", b"1")
    desk.save()
    steps = [
        Stage(node=node, why=""),
        RemoveFolder(node=old, why=""),
        MakeFolder(node=new, why="", parent=ROOT, name="d"),
        MakeFolder(node=inner, why="", parent=new, name="inner"),
        Relocate(node=node, why="", parent=inner, name="moved"),
    ]
    desk.files.before["make_folder"] = lambda path: fail() if path == "d/inner" else None
    desk.applier.disk(steps)
    desk.files.before.clear()
    desk.applier.settle()
    assert desk.tree() == {"d": None, "d/file": b"1"}
    assert desk.node_at("d/file") == node
    desk.check_no_echo()
    base = desk.trees.synced[node]
    assert (base.parent, base.name) == (new, "file"), "nobody moved it"
    assert desk.applier.disk(steps[-2:]).done == [inner, node]
    assert desk.tree() == {"d": None, "d/inner": None, "d/inner/moved": b"1"}
    assert desk.is_agreed(node)


@pytest.mark.parametrize("crashed", [True, False])
def test_a_folder_that_somebody_removed_with_what_was_in_it_leaves_no_orphans(desk: Any, crashed: bool) -> None:
    """The engine was about to remove it, too."""
    inner = [desk.known("d/a"), desk.known("d/b/file", b"1")]
    folders = [desk.node_at("d/b"), desk.node_at("d")]
    for node in (*inner, *folders):
        desk.trees.remove_remote(node)
    desk.save()
    rows = [
        row_of(f"{at:026d}", Removing(node=node, origin=path))
        for at, (node, path) in enumerate(((folders[0], "d/b"), (folders[1], "d")))
    ]
    desk.applier._claims.begin(rows)
    shutil.rmtree(desk.root / "d")
    if crashed:
        desk.recover()
    else:
        desk.applier.settle()
    assert left_open(desk) == []
    assert all(desk.trees.local_path(node.id) for node in desk.trees.local), "no node is without its folder"


def test_a_folder_removed_in_a_call_that_then_fails_is_nobodys_deletion(desk: Any) -> None:
    node = desk.known("d")
    desk.trees.remove_remote(node)
    desk.save()
    desk.files.after["remove_folder"] = fail
    outcome = desk.applier.disk([RemoveFolder(node=node, why="")])
    assert (outcome.done, [problem.code for problem in outcome.problems]) == ([], ["file.io"])
    desk.files.after.clear()
    desk.applier.settle()
    assert (desk.tree(), node in desk.trees.local, node in desk.trees.synced) == ({}, False, False)
    desk.check_no_echo()


# -- written to while nobody watched -----------------------------------------------------------------------------------------------


def test_a_file_written_to_after_the_move_that_a_crash_cut_short_is_read_again(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="b")])
    write_in_place(desk, "b", b"TWO")
    desk.recover()
    found = desk.trees.local[node]
    assert (found.name, found.content_hash) == ("b", None)
    assert desk.trees.synced[node].content_hash == desk.trees.remote[node].content_hash, "it is an edit of what was synced"
    desk.check_no_echo()


def test_a_file_written_to_on_the_stage_is_read_again_when_it_is_brought_back(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([Stage(node=node, why=""), Relocate(node=node, why="", parent=ROOT, name="b")])
    (staged,) = [path for path in desk.hidden() if path.startswith("stage/")]
    write_in_place(desk, f".syncline/{staged}", b"TWO")
    desk.user_writes("b", b"somebody's")
    desk.recover()
    found = desk.trees.local[node]
    assert (found.name, found.content_hash) == ("a", None)
    assert found.signature == desk.disk.stat("a").signature
    assert desk.tree() == {"a": b"TWO", "b": b"somebody's"}


def test_what_finds_its_own_place_taken_keeps_the_name_it_was_given_and_that_is_no_move(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([Stage(node=node, why=""), Relocate(node=node, why="", parent=ROOT, name="b")])
    for taken in ("a", "b"):
        desk.user_writes(taken, b"somebody's")
    desk.recover()
    (path,) = set(desk.tree()) - {"a", "b"}
    assert desk.node_at(path) == node
    assert desk.trees.synced[node].name == path, "the engine named it: nobody moved it"
    assert left_open(desk) == []


# -- made durable before it is claimed ---------------------------------------------------------------------------------------------


def moving(desk: Any) -> tuple[str, Callable[[], Any]]:
    node, folder = desk.known("d/a", b"one"), desk.known("e")
    desk.remote_has(node, folder, "a", b"one")
    return "rename", lambda: desk.applier.disk([Relocate(node=node, why="", parent=folder, name="a")])


def arriving(desk: Any) -> tuple[str, Callable[[], Any]]:
    node, folder = desk.fresh_id(), desk.known("d")
    desk.remote_has(node, folder, "a", b"")
    step = desk.fetched(node, b"came")
    return "rename", lambda: desk.applier.place([step])


def making(desk: Any) -> tuple[str, Callable[[], Any]]:
    node, folder = desk.fresh_id(), desk.known("d")
    desk.remote_has(node, folder, "made", None)
    return "make_folder", lambda: desk.applier.disk([MakeFolder(node=node, why="", parent=folder, name="made")])


def discarding(desk: Any) -> tuple[str, Callable[[], Any]]:
    node = desk.known("d/a", b"one")
    desk.trees.remove_remote(node)
    return "rename", lambda: desk.applier.disk([Discard(node=node, why="")])


@pytest.mark.parametrize(
    ("scene", "folders"), [(moving, {"d", "e"}), (arriving, {"d"}), (making, {"d"}), (discarding, {"d", ".syncline/trash"})]
)
def test_what_a_recovery_finds_done_is_made_durable_before_it_is_claimed(desk: Any, scene: Any, folders: set[str]) -> None:
    call, deed = scene(desk)
    desk.save()
    desk.files.after[call] = crash
    with pytest.raises(Crash):
        deed()
    held = dict(desk.store.local)
    desk.restart()
    synced: set[str] = set()

    def syncing(paths: Sequence[str]) -> None:
        assert desk.store.local == held
        synced.update(paths)

    desk.files.before["sync_folders"] = syncing
    desk.applier.recover()
    assert folders <= synced
    assert desk.store.local != held


# -- what arrives ------------------------------------------------------------------------------------------------------------------


def arrive_and_crash(desk: Any, node: NodeId, data: bytes, call: str) -> int:
    """The file lies at its place, and nobody claimed it; the server has a newer revision by the next start. The one that came."""
    step = desk.fetched(node, data)
    desk.files.after[call] = crash
    with pytest.raises(Crash):
        desk.applier.place([step])
    came = step[1].revision
    desk.remote_has(node, ROOT, "a", b"newer still", revision=came + 1)
    desk.save()
    desk.recover()
    return int(came)


def test_a_new_file_found_at_its_place_is_the_revision_that_came_though_the_server_went_on(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a", b"")
    came = arrive_and_crash(desk, node, b"came", "rename")
    base = desk.trees.synced[node]
    assert (base.revision, base.name, base.parent) == (came, "a", ROOT)
    assert desk.node_at("a") == node, "it is that node, and nobody's new file"
    assert desk.trees.local[node].content_hash is None, "what it holds by now, only reading it tells"
    desk.check_no_echo()


def test_a_file_found_replaced_has_the_revision_that_came_for_its_base(desk: Any) -> None:
    node = desk.known("a", b"old")
    came = arrive_and_crash(desk, node, b"came", "exchange")
    base = desk.trees.synced[node]
    assert (base.revision, base.content_hash) == (came, digest(b"came"))
    assert desk.trees.local[node].signature == desk.disk.stat("a").signature
    desk.check_no_echo()


def test_a_file_that_the_user_put_at_the_place_meanwhile_is_no_arrival(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a", b"")
    step = desk.fetched(node, b"came")
    desk.files.before["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.place([step])
    desk.user_writes("a", b"the user's")
    desk.recover()
    assert node not in desk.trees.local
    assert node not in desk.trees.synced
    assert desk.tree() == {"a": b"the user's"}
    assert left_open(desk) == []


# -- folders that are made ---------------------------------------------------------------------------------------------------------


def test_a_folder_found_after_a_crash_is_the_one_that_was_being_made(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "d", None)
    desk.save()
    desk.files.after["make_folder"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([MakeFolder(node=node, why="", parent=ROOT, name="d")])
    desk.trees.remove_remote(node)
    desk.save()
    desk.recover()
    assert desk.node_at("d") == node
    assert node in desk.trees.synced, (
        "deleted on the server meanwhile, it goes here too, rather than come back as somebody's new one"
    )
    desk.check_no_echo()


def test_a_folder_that_cannot_be_looked_at_is_undone(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "d", None)
    desk.save()
    desk.files.before["stat"] = lambda path: fail() if path == "d" else None
    outcome = desk.applier.disk([MakeFolder(node=node, why="", parent=ROOT, name="d")])
    assert [problem.code for problem in outcome.problems] == ["file.io"]
    assert desk.tree() == {}
    desk.files.before.clear()
    desk.applier.settle()
    assert desk.tree() == {}
    assert left_open(desk) == []


# -- the disk fails in the midst ---------------------------------------------------------------------------------------------------


def test_a_move_that_succeeded_though_the_disk_said_otherwise_is_found_out(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = fail
    assert [problem.code for problem in desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="b")]).problems] == [
        "file.io"
    ]
    assert left_open(desk) == ["move"]
    desk.files.after.clear()
    desk.applier.settle()
    assert desk.node_at("b") == node
    assert desk.is_agreed(node)
    desk.check_no_echo()


def test_a_hop_to_the_stage_that_succeeded_though_the_disk_said_otherwise_goes_on(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = fail
    desk.applier.disk([Stage(node=node, why=""), Relocate(node=node, why="", parent=ROOT, name="b")])
    assert left_open(desk) == ["move"]
    desk.files.after.clear()
    desk.applier.settle()
    assert desk.tree() == {"b": b"one"}
    assert desk.is_agreed(node)
    desk.check_no_echo()


def test_what_the_disk_still_fails_stays_open_for_the_next_try(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    desk.save()
    desk.files.after["rename"] = fail
    desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="b")])
    desk.files.before["stat"] = fail
    desk.applier.settle()
    assert left_open(desk) == ["move"]
    desk.files.before.clear()
    desk.files.after.clear()
    desk.applier.settle()
    assert left_open(desk) == []
    assert desk.node_at("b") == node


def test_what_was_placed_before_a_sync_failed_is_claimed_once_the_disk_can_promise_it(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a", b"")
    step = desk.fetched(node, b"came")
    desk.files.before["sync_folders"] = fail
    with pytest.raises(LocalIo):
        desk.applier.place([step])
    assert node not in desk.trees.local, "what may not outlive a loss of power is claimed nowhere"
    del desk.files.before["sync_folders"]
    desk.applier.settle()
    assert desk.node_at("a") == node
    assert desk.is_agreed(node)
    desk.check_no_echo()


def moved(desk: Any) -> Callable[[], Any]:
    node = desk.known("a", b"one")
    desk.remote_has(node, ROOT, "b", b"one")
    return lambda: desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="b")])


def discarded(desk: Any) -> Callable[[], Any]:
    node, folder = desk.known("d/a", b"one"), desk.node_at("d")
    desk.trees.remove_local(node)
    desk.trees.remove_synced(node)
    (desk.root / "d/a").unlink()
    return lambda: desk.applier.disk([RemoveFolder(node=folder, why="")])


@pytest.mark.parametrize("deed", [moved, discarded])
def test_nothing_is_written_down_of_what_could_not_be_made_durable_until_it_is(desk: Any, deed: Callable[[Any], Any]) -> None:
    act = deed(desk)
    desk.save()
    held = dict(desk.store.local)
    desk.files.before["sync_folders"] = fail
    with pytest.raises(LocalIo):
        act()
    with pytest.raises(LocalIo):
        desk.applier.settle()
    assert desk.store.local == held
    del desk.files.before["sync_folders"]
    desk.applier.settle()
    assert desk.store.local != held
    desk.check_stored()
    writes = desk.store.writes
    desk.applier.settle()
    assert desk.store.writes == writes, "where there is nothing it costs nothing"


def test_a_cursor_of_the_server_alone_is_written_too(desk: Any) -> None:
    """Else a tree that was written before it would look damaged at the next start."""
    row = CursorRow(
        namespace=NamespaceId(ROOT),
        name="",
        access=Access.OWNER,
        is_root=True,
        cursor="c",
        epoch="e",
        sequence=1,
        chain=Digest("0" * 64),
        root="0",
    )
    desk.trees.put_cursor(row)
    desk.applier.settle()
    assert desk.store.cursors == {row.namespace: row}


def test_a_disk_that_cannot_read_what_it_discards_is_no_sign_that_somebody_wrote(desk: Any) -> None:
    node = desk.known("a", b"one")
    desk.trees.put_local(replace(desk.trees.local[node], racy=True))  # Its signature may hide a write, so its bytes are read.
    desk.save()
    desk.files.before["open_read"] = fail
    assert desk.applier.disk([Discard(node=node, why="")]).done == [node]
    assert desk.tree() == {}, "no conflict copy"
    desk.clock.ahead_s = 30 * 24 * 3600
    desk.applier.purge_trash()
    assert list(desk.hidden().values()) == [b"one"], "it stays until it was read"
    desk.files.before.clear()
    desk.applier.purge_trash()
    assert desk.hidden() == desk.tree() == {}


# -- modes -------------------------------------------------------------------------------------------------------------------------


def test_a_mode_is_durable_before_it_is_claimed(desk: Any) -> None:
    node = desk.known("d/run", b"#!")
    desk.remote_has(node, desk.node_at("d"), "run", b"#!", executable=True)
    desk.save()
    synced: list[str] = []
    desk.files.before["sync_files"] = lambda files: synced.extend(
        os.path.basename(os.readlink(f"/proc/self/fd/{file.fileno()}")) for file in files
    )

    def written(changes: Any) -> None:
        assert not any(local.executable for local in changes.local_put) or synced == ["run"]

    desk.doubtful_store.before["write"] = written
    assert desk.applier.disk([SetExecutable(node=node, why="", executable=True)]).done == [node]
    assert synced == ["run"]
    assert desk.store.local[node].executable


def test_a_mode_that_could_not_be_made_durable_is_not_claimed(desk: Any) -> None:
    node = desk.known("run", b"#!")
    desk.remote_has(node, ROOT, "run", b"#!", executable=True)
    desk.save()
    desk.files.before["sync_files"] = fail
    with pytest.raises(LocalIo):
        desk.applier.disk([SetExecutable(node=node, why="", executable=True)])
    assert not desk.store.local[node].executable
    assert not desk.store.synced[node].executable
    del desk.files.before["sync_files"]
    desk.applier.settle()
    assert desk.store.synced[node].executable
    desk.check_no_echo()


def test_a_file_whose_mode_was_set_and_that_the_user_took_away_holds_nothing_up(desk: Any) -> None:
    node, other = desk.known("run", b"#!"), desk.known("other", b"#!")
    for each, name in ((node, "run"), (other, "other")):
        desk.remote_has(each, ROOT, name, b"#!", executable=True)
    desk.save()
    desk.files.before["open_read"] = lambda path: (desk.root / "run").unlink() if path == "run" else None
    desk.applier.disk([SetExecutable(node=each, why="", executable=True) for each in (node, other)])
    assert desk.store.local[other].executable
