"""Conflicts are written down with the copy they left, and resolved on disk so that no version is ever nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from syncline.client.plan.steps import Relocate
from syncline.content.digest import digest
from syncline.model.conflicts import Reason
from syncline.model.errors import ChangedWhileRead
from syncline.model.ids import NodeId
from syncline.testing.faulty import Countdown, Crash

ROOT = NodeId("0" * 26)


def trash(desk: Any) -> list[bytes]:
    return sorted(data for path, data in desk.hidden().items() if path.startswith("trash/"))


def test_a_copy_set_aside_opens_a_conflict(desk: Any) -> None:
    file = desk.known("d/both", b"base")
    desk.user_writes("d/both", b"mine")
    desk.observe(file, desk.node_at("d"), "d/both")
    copy = desk.fresh_id()
    assert desk.applier.place([desk.fetched(file, b"theirs", aside_id=copy, aside_name="both (copy)")]).done == [file]
    conflict = desk.trees.conflicts[copy]
    assert (conflict.original, conflict.reason, conflict.device) == (file, Reason.BOTH_EDITED, "laptop")
    assert (conflict.path, conflict.copy_path) == ("d/both", "d/both (copy)")
    assert (conflict.base, conflict.base_revision) == (digest(b"base"), 1)
    assert (conflict.ours, conflict.theirs, conflict.theirs_revision) == (digest(b"mine"), digest(b"theirs"), 2)
    desk.check_no_echo()
    desk.restart()
    assert desk.trees.conflicts == {copy: conflict}


def test_the_copy_and_its_conflict_are_claimed_together(make_desk: Any) -> None:
    at, crashed = 0, True
    while crashed:
        desk = make_desk()
        file = desk.known("both", b"mine")
        copy = desk.fresh_id()
        step = desk.fetched(file, b"theirs", aside_id=copy, aside_name="both (copy)")
        desk.files.countdown = desk.doubtful_store.countdown = Countdown(at)
        try:
            desk.applier.place([step])
            crashed = False
        except Crash:
            pass
        desk.recover()
        assert (copy in desk.store.conflicts) == (copy in desk.store.local)
        at += 1
    assert at > 5


def test_a_name_that_is_taken_opens_a_conflict(desk: Any) -> None:
    mine = desk.known("d/new", b"mine", remote=False, synced=False)
    there = desk.fresh_id()
    desk.remote_has(there, desk.node_at("d"), "new", b"theirs")
    step = Relocate(node=mine, why="", parent=desk.node_at("d"), name="new (copy)", conflict=Reason.NAME_TAKEN, beside=there)
    assert desk.applier.disk([step]).done == [mine]
    conflict = desk.trees.conflicts[mine]
    assert (conflict.original, conflict.path, conflict.copy_path) == (there, "d/new", "d/new (copy)")
    assert (conflict.base, conflict.ours, conflict.theirs) == (None, digest(b"mine"), digest(b"theirs"))
    desk.check_stored()


def test_what_is_kept_aside_remembers_where_it_was_meant_to_be(desk: Any) -> None:
    node, new, kept = desk.known("d/a", b"mine"), desk.fresh_id(), desk.known("Kept from d")
    desk.remote_has(node, desk.node_at("d"), "a", b"theirs", revision=5)
    step = Relocate(node=node, why="", parent=kept, name="a", new_id=new, conflict=Reason.KEPT_ASIDE, beside=node)
    desk.applier.disk([step])
    conflict = desk.trees.conflicts[new]
    assert (conflict.original, conflict.path, conflict.copy_path) == (node, "d/a", "Kept from d/a")
    assert (conflict.base, conflict.base_revision, conflict.theirs_revision) == (digest(b"mine"), 1, 5)


def test_a_move_that_a_crash_interrupted_still_opens_its_conflict(desk: Any) -> None:
    node, keeper = desk.known("a", b"mine"), desk.known("b", b"theirs")

    def crash(*_: str) -> None:
        raise Crash

    desk.files.after["rename"] = crash
    with pytest.raises(Crash):
        desk.applier.disk([Relocate(node=node, why="", parent=ROOT, name="a (copy)", conflict=Reason.CASE_TWIN, beside=keeper)])
    desk.recover()
    assert desk.trees.conflicts[node].reason is Reason.CASE_TWIN
    assert desk.store.conflicts == desk.trees.conflicts


def test_a_merge_is_a_local_edit_on_top_of_the_servers_version(desk: Any) -> None:
    file = desk.known("both", b"mine")
    fetch, got = desk.fetched(file, b"theirs")
    (desk.root / got.temp_path).write_bytes(b"of both")
    merged = replace(got, ours=digest(b"mine"), merged=digest(b"of both"), size=7)
    assert desk.applier.place([(fetch, merged)]).done == [file]
    assert desk.tree() == {"both": b"of both"}
    assert trash(desk) == [b"mine"]
    assert desk.trees.local[file].content_hash == digest(b"of both")
    assert (desk.trees.synced[file].content_hash, desk.trees.synced[file].revision) == (digest(b"theirs"), 2)
    desk.check_no_echo()


def test_a_merge_of_what_is_there_no_longer_is_dropped(desk: Any) -> None:
    file = desk.known("both", b"newer")
    fetch, got = desk.fetched(file, b"theirs")
    merged = replace(got, ours=digest(b"mine"), merged=digest(b"theirs"))
    outcome = desk.applier.place([(fetch, merged)])
    assert (outcome.done, outcome.stale) == ([], [file])
    assert desk.tree() == {"both": b"newer"}
    assert desk.hidden() == {}


def test_ours_takes_the_place_and_theirs_lies_in_the_trash(desk: Any) -> None:
    file, copy = desk.known("d/a", b"theirs"), desk.known("d/a (copy)", b"mine")
    (desk.root / "d/a (copy)").chmod(0o755)
    desk.observe(copy, desk.node_at("d"), "d/a (copy)")
    resolver = desk.applier.resolver
    assert resolver.put_copy(desk.trees.local[copy], desk.trees.local[file]) == {"d"}
    assert desk.tree() == {"d": None, "d/a": b"mine", "d/a (copy)": b"mine"}
    assert resolver.discard(desk.trees.local[copy]) == {"d"}
    assert desk.tree() == {"d": None, "d/a": b"mine"}
    assert trash(desk) == [b"mine", b"theirs"]
    assert (desk.root / "d/a").stat().st_mode & 0o100
    assert {file, copy} <= {node.id for node in desk.trees.local}, "the scanner is to see what the user wants"


@pytest.mark.parametrize("moment", ["before", "between"])
def test_whoever_writes_meanwhile_loses_nothing(desk: Any, moment: str) -> None:
    file, copy = desk.known("a", b"theirs"), desk.known("a (copy)", b"mine")
    known = desk.trees.local[copy], desk.trees.local[file]
    if moment == "before":
        desk.user_writes("a", b"just written", mtime_us=None)
        with pytest.raises(ChangedWhileRead):
            desk.applier.resolver.put_copy(*known)
        assert desk.tree() == {"a": b"just written", "a (copy)": b"mine"}
        assert desk.hidden() == {}
    else:
        desk.files.before["exchange"] = lambda *_: desk.user_writes("a", b"just written", mtime_us=None)
        desk.applier.resolver.put_copy(*known)
        assert sorted(filter(None, desk.tree().values())) == [b"just written", b"mine", b"mine"]
    desk.user_writes("a (copy)", b"also written", mtime_us=None)
    with pytest.raises(ChangedWhileRead):
        desk.applier.resolver.discard(known[0])
    assert b"also written" in desk.tree().values()
    assert [row.kind for row in desk.store.inflight.values() if row.kind != "trash"] == []


def test_on_a_disk_that_cannot_exchange(desk: Any) -> None:
    def refuse(*_: str) -> None:
        raise OSError(22, "Invalid argument")

    desk.files.before["exchange"] = refuse
    file, copy = desk.known("a", b"theirs"), desk.known("a (copy)", b"mine")
    desk.applier.resolver.put_copy(desk.trees.local[copy], desk.trees.local[file])
    assert desk.tree() == {"a": b"mine", "a (copy)": b"mine"}
    assert trash(desk) == [b"theirs"]


def test_reading_stops_at_a_limit(desk: Any) -> None:
    file = desk.known("a", b"0123456789")
    assert desk.applier.resolver.read(desk.trees.local[file], 4) == b"01234"
    assert desk.applier.resolver.read(desk.trees.local[file], 10) == b"0123456789"
