"""A crash before or after any call of the disk or the store, then a start: no byte lost, nothing strange to see, and none of the
engine's own renames left to be taken for the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.receive_apply.scenes import EDITED, ROOT, SCENES, Deed, both, crash, run_and_crash, user_bytes

from syncline.client.plan.steps import Relocate
from syncline.client.trees.trees import Trees
from syncline.testing.faulty import Crash, Faulty


def check(desk: Any, held: set[bytes], known: Trees) -> None:
    tree, hidden = desk.tree(), desk.hidden()
    in_trash = {data for path, data in hidden.items() if path.startswith("trash/")}
    assert held <= {data for data in tree.values() if data is not None} | in_trash
    assert b"saved just now" not in in_trash, "bytes nobody else has must be where the user sees them"
    assert [path for path in hidden if not path.startswith("trash/")] == []
    rows = [row for row in desk.store.inflight.values() if row.kind == "trash"]
    assert sorted(str(row.fields["trash"]) for row in rows) == sorted(f".syncline/{path}" for path in hidden)
    assert [path for path in tree if "conflicted copy" in path and tree[path] != b"saved just now"] == []
    assert [row.kind for row in desk.store.inflight.values() if row.kind != "trash"] == []
    inodes = {(found.st_dev, found.st_ino): path for path in tree for found in [(desk.root / path).lstat()]}
    for node in desk.trees.local:
        # What the local tree knows is where it says, or was dealt with: never elsewhere, where it would read as the user's move.
        place = inodes.get((node.signature.device, node.signature.inode))
        assert place in (None, desk.trees.local_path(node.id)), (place, desk.trees.local_path(node.id))
    for node in desk.trees.remote:
        # A node the server still has and the local tree has lost must not count as deleted by the user.
        if node.id in desk.trees.synced and node.id not in desk.trees.local:
            assert desk.trees.synced[node.id].content_hash != node.content_hash
    assert desk.store.local == {node.id: node for node in desk.trees.local}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_anywhere(make_desk: Any, scene: Callable[[Any], Deed], after: bool) -> None:
    at = 0
    while True:
        desk = make_desk()
        deed = scene(desk)
        desk.save()
        held, known = user_bytes(desk, scene), desk.trees
        crashed = run_and_crash(desk, deed, at, after=after)
        if crashed and scene in EDITED and not any(data == b"saved just now" for data in both(desk).values()):
            held = held - {b"saved just now"} | {b"old"}
        desk.recover()
        check(desk, held, known)
        assert desk.recover() == [], "a second start finds nothing to do"
        if not crashed:
            break
        at += 1
    assert at > 5


@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_in_recovery(make_desk: Any, scene: Callable[[Any], Deed]) -> None:
    at = 3
    while True:
        for again in range(0, 40, 3):
            desk = make_desk()
            deed = scene(desk)
            desk.save()
            held, known = user_bytes(desk, scene), desk.trees
            if not run_and_crash(desk, deed, at, after=True):
                return
            if scene in EDITED and not any(data == b"saved just now" for data in both(desk).values()):
                held = held - {b"saved just now"} | {b"old"}
            desk.restart()
            crashed = run_and_crash(desk, desk.applier.recover, again, after=False)
            desk.recover()
            check(desk, held, known)
            if not crashed:
                break
        at += 4


def test_a_start_clears_what_nobody_claims(desk: Any) -> None:
    tmp = desk.root / ".syncline/tmp"
    for name in ("abc.part", "old.part", "01ABC"):
        (tmp / name).write_bytes(b"x")
    stage = desk.root / ".syncline/stage/lost~name.txt"
    stage.write_bytes(b"the user's")
    told = desk.recover()
    assert sorted(path.name for path in tmp.iterdir()) == ["abc.part", "old.part"]
    assert list(desk.tree().values()) == [b"the user's"]
    assert len(told) == 1
    desk.clock.ahead_s = 25 * 3600
    desk.recover()
    assert list(tmp.iterdir()) == []


def test_a_user_who_moved_on_while_it_was_down_is_believed(desk: Any) -> None:
    """The rename happened, the crash came, and the user moved the file again: that is the user's move."""
    node = desk.known("a", b"1")
    desk.remote_has(node, ROOT, "b", b"1")
    desk.save()
    step = Relocate(node=node, why="", parent=ROOT, name="b")
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([step])
    (desk.root / "b").rename(desk.root / "c")
    desk.recover()
    assert desk.node_at("a") == node
    assert desk.tree() == {"c": b"1"}
    assert desk.store.inflight == {}


def test_a_finished_rename_is_claimed_at_the_next_start(desk: Any) -> None:
    node, new = desk.known("a", b"1"), desk.fresh_id()
    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="copy", new_id=new)])
    assert len(desk.recover()) == 1
    assert desk.node_at("copy") == new
    assert node not in desk.trees.local
    assert node not in desk.trees.synced
    desk.check_no_echo()


def test_rows_of_a_newer_version_are_left_alone(desk: Any) -> None:
    from syncline.ports.tree_store import InflightRow

    row = InflightRow(id="x", kind="from the future", fields={"stage": None})
    desk.store.inflight["x"] = row
    assert desk.recover() == []
    assert desk.store.inflight == {"x": row}
    assert isinstance(desk.files, Faulty)
