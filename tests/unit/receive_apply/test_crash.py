"""A crash before or after any call of the disk or the store, then a start: no byte lost, nothing strange to see, and none of the
engine's own renames left to be taken for the user's."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.plan.steps import Discard, MakeFolder, Relocate, RemoveFolder, SetExecutable, Stage
from syncline.client.receive.inflight import Dressing, Making, Moving, mark_of, row_of
from syncline.client.trees.trees import Trees
from syncline.content.digest import digest
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.tree_store import Changes
from syncline.testing.faulty import Countdown, Crash, Faulty

ROOT = NodeId("0" * 26)
Deed = Callable[[], Any]


def placing(desk: Any) -> Deed:
    """New, replaced and set aside, in one batch."""
    new, replaced, aside = desk.fresh_id(), desk.known("d/replaced", b"old"), desk.known("d/both", b"mine")
    desk.remote_has(new, ROOT, "new", b"")
    steps = [
        desk.fetched(new, b"brand new"),
        desk.fetched(replaced, b"next"),
        desk.fetched(aside, b"theirs", aside_id=desk.fresh_id(), aside_name="both (copy)"),
    ]
    return lambda: desk.applier.place(steps)


def placing_without_exchange(desk: Any) -> Deed:
    def refuse(*_: str) -> None:
        raise OSError(22, "Invalid argument")

    desk.files.before["exchange"] = refuse
    step = desk.fetched(desk.known("d/replaced", b"old"), b"next")
    return lambda: desk.applier.place([step])


def moving(desk: Any) -> Deed:
    node, folder, other = desk.known("a", b"1"), desk.known("d"), desk.known("d/inner", b"2")
    made, copy = desk.fresh_id(), desk.fresh_id()
    desk.remote_has(folder, ROOT, "moved", None)
    desk.remote_has(made, folder, "made", None)
    desk.remote_has(node, made, "b", b"1")
    steps = [
        Relocate(node=folder, why="", parent=ROOT, name="moved"),
        MakeFolder(node=made, why="", parent=folder, name="made"),
        Relocate(node=node, why="", parent=made, name="b"),
        SetExecutable(node=node, why="", executable=True),
        Relocate(node=other, why="", parent=ROOT, name="inner (copy)", new_id=copy),
    ]
    return lambda: desk.applier.disk(steps)


def swapping_files(desk: Any) -> Deed:
    one, other = desk.known("a", b"1"), desk.known("b", b"2")
    desk.remote_has(one, ROOT, "b", b"1")
    desk.remote_has(other, ROOT, "a", b"2")
    steps = [
        Stage(node=one, why=""),
        Relocate(node=other, why="", parent=ROOT, name="a"),
        Relocate(node=one, why="", parent=ROOT, name="b"),
    ]
    return lambda: desk.applier.disk(steps)


def rotating_folders(desk: Any) -> Deed:
    """Upside down: a/b becomes b/a."""
    desk.known("a/b/deep", b"1")
    desk.known("a/shallow", b"2")
    outer, inner = desk.node_at("a"), desk.node_at("a/b")
    desk.remote_has(inner, ROOT, "b", None)
    desk.remote_has(outer, inner, "a", None)
    steps = [
        Stage(node=inner, why=""),
        Stage(node=outer, why=""),
        Relocate(node=inner, why="", parent=ROOT, name="b"),
        Relocate(node=outer, why="", parent=inner, name="a"),
    ]
    return lambda: desk.applier.disk(steps)


def discarding(desk: Any) -> Deed:
    nodes = [desk.known(f"d/{number}", b"%d" % number) for number in range(2)]
    folder = desk.node_at("d")
    for node in (*nodes, folder):
        desk.trees.remove_remote(node)
    desk.save()
    steps = [*(Discard(node=node, why="") for node in nodes), RemoveFolder(node=folder, why="")]
    return lambda: desk.applier.disk(steps)


def replacing_what_was_edited(desk: Any) -> Deed:
    """The user saves between look and exchange."""
    step = desk.fetched(desk.known("d/a", b"old"), b"next")
    desk.files.before["exchange"] = lambda *_: desk.user_writes("d/a", b"saved just now")
    return lambda: desk.applier.place([step])


def discarding_what_was_edited(desk: Any) -> Deed:
    node = desk.known("d/a", b"old")
    desk.files.before["rename"] = lambda source, target: desk.user_writes("d/a", b"saved just now") if source == "d/a" else None
    return lambda: desk.applier.disk([Discard(node=node, why="")])


def resolving_ours(desk: Any) -> Deed:
    file, copy = desk.known("d/both", b"theirs"), desk.known("d/both (copy)", b"mine")

    def deed() -> None:
        desk.applier.resolver.put_copy(desk.trees.local[copy], desk.trees.local[file])
        desk.applier.resolver.discard(desk.trees.local[copy])

    return deed


def resolving_theirs(desk: Any) -> Deed:
    desk.known("d/both", b"theirs")
    copy = desk.known("d/both (copy)", b"mine")
    return lambda: desk.applier.resolver.discard(desk.trees.local[copy])


def resolving_merged(desk: Any) -> Deed:
    file, copy = desk.known("d/both", b"theirs"), desk.known("d/both (copy)", b"mine")

    def deed() -> None:
        desk.applier.resolver.put_bytes(b"of both", desk.trees.local[file], 1_600_000_000_000_000)
        desk.applier.resolver.discard(desk.trees.local[copy])

    return deed


def merging(desk: Any) -> Deed:
    fetch, got = desk.fetched(desk.known("d/both", b"mine"), b"theirs")
    ours = desk.trees.local[fetch.node].content_hash
    temp = desk.root / got.temp_path
    temp.write_bytes(b"of both")
    merged = replace(got, ours=ours, merged=digest(b"of both"), size=len(b"of both"))
    return lambda: desk.applier.place([(fetch, merged)])


def dressing(desk: Any) -> Deed:
    node = desk.known("d/a", b"tool")
    desk.remote_has(node, desk.node_at("d"), "a", b"tool", revision=2, executable=True)
    return lambda: desk.applier.disk([SetExecutable(node=node, why="", executable=True)])


SCENES = [
    dressing,
    resolving_ours,
    resolving_theirs,
    resolving_merged,
    merging,
    placing,
    placing_without_exchange,
    moving,
    swapping_files,
    rotating_folders,
    discarding,
    replacing_what_was_edited,
    discarding_what_was_edited,
]
EDITED = {replacing_what_was_edited, discarding_what_was_edited}


def user_bytes(desk: Any, scene: Callable[[Any], Deed]) -> set[bytes]:
    """Every byte string of the user's that must still be somewhere."""
    held = {data for data in desk.tree().values() if data is not None}
    return held - {b"old"} | {b"saved just now"} if scene in EDITED else held


def run_and_crash(desk: Any, deed: Deed, at: int, *, after: bool) -> bool:
    """Whether the crash came before the deed was through."""
    countdown = Countdown(at, after=after)
    desk.files.countdown = desk.doubtful_store.countdown = countdown
    try:
        deed()
    except Crash:
        return True
    return False


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


def both(desk: Any) -> dict[str, bytes | None]:
    return {**desk.tree(), **desk.hidden()}


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


def crash(*_: str) -> None:
    raise Crash


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
