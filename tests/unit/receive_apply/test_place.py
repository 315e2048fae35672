"""Fetched bytes become the user's files: nothing is overwritten that was not known, nothing is lost, nothing echoes."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

import pytest

from syncline.client.plan.steps import Fetch
from syncline.model.ids import NodeId

ROOT = NodeId("0" * 26)


def copies(desk: Any) -> dict[str, bytes]:
    return {path: data for path, data in desk.tree().items() if "conflicted copy" in path}


def test_a_new_file_arrives(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    outcome = desk.applier.place([desk.fetched(node, b"hello")])
    assert outcome.done == [node]
    assert desk.tree() == {"a.txt": b"hello"}
    assert desk.hidden() == {}
    assert desk.is_agreed(node)
    desk.check_no_echo()


def test_it_needs_one_transaction_before_and_one_after(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    step = desk.fetched(node, b"hello")
    before = desk.store.writes
    desk.applier.place([step])
    assert desk.store.writes == before + 2
    assert not desk.store.inflight


def test_mode_and_time_are_those_fetched(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "run.sh", b"")
    desk.applier.place([desk.fetched(node, b"#!")])
    found = (desk.root / "run.sh").stat()
    assert found.st_mtime_ns == 1_600_000_000_000_000_000
    assert found.st_mode & 0o600 == 0o600


def test_a_known_file_is_replaced_and_waits_in_the_trash(desk: Any) -> None:
    node = desk.known("d/a.txt", b"one")
    outcome = desk.applier.place([desk.fetched(node, b"two")])
    assert outcome.done == [node]
    assert desk.tree() == {"d": None, "d/a.txt": b"two"}
    assert list(desk.hidden().values()) == [b"one"]
    assert next(iter(desk.hidden())).startswith("trash/")
    assert desk.is_agreed(node)
    desk.check_no_echo()


def test_an_unknown_file_at_the_place_is_left_alone(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    desk.user_writes("a.txt", b"mine")
    outcome = desk.applier.place([desk.fetched(node, b"theirs")])
    assert outcome.stale == [node]
    assert outcome.rescan == {""}
    assert desk.tree() == {"a.txt": b"mine"}


def test_a_symbolic_link_at_the_place_is_told(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    (desk.root / "a.txt").symlink_to("/etc/hostname")
    outcome = desk.applier.place([desk.fetched(node, b"theirs")])
    assert outcome.stale == [node]
    assert [problem.code for problem in outcome.problems] == ["place.taken"]
    assert (desk.root / "a.txt").is_symlink()


def test_a_file_changed_since_it_was_seen_is_not_replaced(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")
    desk.user_writes("a.txt", b"edited")
    outcome = desk.applier.place([step])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"edited"}
    desk.check_stored()


def test_a_touched_file_is_not_replaced(desk: Any) -> None:
    """All five of the signature count: the ctime alone tells that something happened."""
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")
    (desk.root / "a.txt").chmod(0o600)
    assert desk.applier.place([step]).stale == [node]


def test_a_file_replaced_between_look_and_exchange_becomes_a_conflict_copy(desk: Any) -> None:
    node = desk.known("d/a.txt", b"one")
    step = desk.fetched(node, b"two")
    desk.files.before["exchange"] = lambda *_: desk.user_writes("d/a.txt", b"saved just now")
    outcome = desk.applier.place([step])
    assert outcome.done == [node]
    assert outcome.rescan == {"d"}
    assert (desk.root / "d/a.txt").read_bytes() == b"two"
    (path, data), *others = copies(desk).items()
    assert (data, others) == (b"saved just now", [])
    assert path.startswith("d/a (laptop's conflicted copy ")
    assert desk.hidden() == {}


def test_a_write_in_place_between_look_and_exchange_becomes_a_conflict_copy(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")

    def write(*_: str) -> None:
        with open(desk.root / "a.txt", "ab") as file:
            file.write(b" more")

    desk.files.before["exchange"] = write
    desk.applier.place([step])
    assert list(copies(desk).values()) == [b"one more"]


def test_an_equal_size_write_with_the_old_time_set_back_is_read_when_the_signature_was_young(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    now_ns = time.time_ns()
    os.utime(desk.root / "a.txt", ns=(now_ns, now_ns))
    desk.observe(node, ROOT, "a.txt")
    step = desk.fetched(node, b"two")

    def write(*_: str) -> None:
        with open(desk.root / "a.txt", "r+b") as file:
            file.write(b"ONE")
        os.utime(desk.root / "a.txt", ns=(now_ns, now_ns))

    desk.files.before["exchange"] = write
    desk.applier.place([step])
    assert list(copies(desk).values()) == [b"ONE"]


def test_a_folder_put_in_the_place_meanwhile_is_kept(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")

    def swap(*_: str) -> None:
        (desk.root / "a.txt").unlink()
        (desk.root / "a.txt").mkdir()
        (desk.root / "a.txt/inside").write_bytes(b"deep")

    desk.files.before["exchange"] = swap
    desk.applier.place([step])
    assert b"deep" in desk.tree().values()
    assert (desk.root / "a.txt").read_bytes() == b"two"


def test_an_edit_right_after_placing_is_seen_as_one(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")
    desk.files.before["sync_folders"] = lambda *_: desk.user_writes("a.txt", b"edited")
    outcome = desk.applier.place([step])
    assert outcome.rescan == {""}
    assert desk.trees.local[node].content_hash is None
    base, remote = desk.trees.synced[node], desk.trees.remote[node]
    assert (base.revision, base.content_hash) == (remote.revision, remote.content_hash), "the edit is one of what was placed"
    desk.check_stored()


def test_a_file_deleted_right_after_placing_is_not_claimed(desk: Any) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    step = desk.fetched(node, b"two")
    desk.files.before["sync_folders"] = lambda *_: (desk.root / "a.txt").unlink()
    outcome = desk.applier.place([step])
    assert outcome.stale == [node]
    assert node not in desk.trees.local
    assert node not in desk.trees.synced


def test_a_revision_that_is_not_wanted_any_more_is_dropped(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")
    desk.remote_has(node, ROOT, "a.txt", b"three", revision=9)
    outcome = desk.applier.place([step])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"one"}
    assert desk.hidden() == {}


def test_a_move_on_the_server_meanwhile_is_still_to_be_made(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    fetch, got = desk.fetched(node, b"two")
    desk.remote_has(node, ROOT, "b.txt", b"two", revision=2)
    assert desk.applier.place([(fetch, got)]).done == [node]
    synced = desk.trees.synced[node]
    assert (synced.name, synced.revision, synced.content_hash) == ("a.txt", 2, got.content_hash)
    desk.check_no_echo()


def test_a_new_file_the_server_moved_meanwhile_has_the_place_where_it_came_for_a_base(desk: Any) -> None:
    """A base at the remote's place would make the place on disk a move of the user's; without one, the server's next revision would
    look like a conflict."""
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    fetch, got = desk.fetched(node, b"two")
    desk.remote_has(node, ROOT, "b.txt", b"two", revision=2)
    assert desk.applier.place([(fetch, got)]).done == [node]
    synced = desk.trees.synced[node]
    assert (synced.name, synced.revision, synced.content_hash) == ("a.txt", 2, got.content_hash)
    desk.check_no_echo()


def test_the_same_bytes_in_a_newer_revision_take_its_mode(desk: Any) -> None:
    node = desk.known("a.txt", b"one")
    step = desk.fetched(node, b"two")
    desk.remote_has(node, ROOT, "a.txt", b"two", revision=9, executable=True)
    assert desk.applier.place([step]).done == [node]
    assert desk.trees.local[node].executable
    assert desk.trees.synced[node].revision == 9
    desk.check_no_echo()


@pytest.mark.parametrize("name", ["../a", ".syncline", "a/b", "", "SYNCLI~1"])
def test_names_that_lead_elsewhere_are_refused(desk: Any, name: str) -> None:
    node = desk.fresh_id()
    desk.remote_has(node, ROOT, "a.txt", b"")
    _, got = desk.fetched(node, b"two")
    outcome = desk.applier.place([(Fetch(node=node, why="", parent=ROOT, name=name), got)])
    assert [problem.code for problem in outcome.problems] == ["name.invalid"]
    assert desk.tree() == {}


def test_a_link_planted_in_an_ancestor_leads_nowhere(desk: Any, tmp_path: Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_bytes(b"sentinel")
    node = desk.known("d/a.txt", b"one")
    other = desk.fresh_id()
    desk.remote_has(other, desk.node_at("d"), "b.txt", b"")
    steps = [desk.fetched(node, b"two"), desk.fetched(other, b"new")]
    for call in ("rename", "stat"):
        moved = desk.root / "moved"

        def plant(*_: str, moved: Any = moved) -> None:
            if not moved.exists():
                (desk.root / "d").rename(moved)
                (desk.root / "d").symlink_to(outside, target_is_directory=True)

        desk.files.before[call] = plant
    outcome = desk.applier.place(steps)
    assert sorted(outcome.stale) == sorted((node, other))
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"a.txt": b"sentinel"}
    assert (desk.root / "moved/a.txt").read_bytes() == b"one"


def test_a_file_whose_time_cannot_tell_a_later_write_is_read_once_more(desk: Any) -> None:
    """Saved on one device and fetched on the other within one tick: what is saved here in that tick leaves no other sign."""
    young, old = desk.fresh_id(), desk.fresh_id()
    for node, name in ((young, "young"), (old, "old")):
        desk.remote_has(node, ROOT, name, b"")
    steps = [desk.fetched(young, b"two"), desk.fetched(old, b"two")]
    ahead_ns = time.time_ns() + 10_000_000
    os.utime(desk.root / steps[0][1].temp_path, ns=(ahead_ns, ahead_ns))
    # However slow this machine is, that is the time.
    desk.clock.now_us = lambda: ahead_ns // 1000
    assert desk.applier.place(steps).done == [young, old]
    assert desk.trees.local[young].racy
    assert not desk.trees.local[old].racy, "its time tells: it costs nothing"
    assert desk.is_agreed(young)


# -- setting aside ---------------------------------------------------------------------------------------------------------------


def test_the_present_file_is_kept_aside(desk: Any) -> None:
    node = desk.known("d/a.txt", b"base")
    desk.user_writes("d/a.txt", b"mine")
    desk.observe(node, desk.node_at("d"), "d/a.txt")
    aside = desk.fresh_id()
    outcome = desk.applier.place([desk.fetched(node, b"theirs", aside_id=aside, aside_name="a (mine).txt")])
    assert outcome.done == [node]
    assert desk.tree() == {"d": None, "d/a.txt": b"theirs", "d/a (mine).txt": b"mine"}
    assert desk.node_at("d/a (mine).txt") == aside
    assert desk.node_at("d/a.txt") == node
    assert desk.is_agreed(node)
    assert aside not in desk.trees.synced
    desk.check_no_echo()


def test_a_taken_aside_name_changes_nothing(desk: Any) -> None:
    node = desk.known("a.txt", b"mine")
    desk.user_writes("b.txt", b"other")
    outcome = desk.applier.place([desk.fetched(node, b"theirs", aside_id=desk.fresh_id(), aside_name="b.txt")])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"mine", "b.txt": b"other"}
    desk.check_stored()


def test_a_file_made_at_the_place_while_setting_aside_keeps_it(desk: Any) -> None:
    node = desk.known("a.txt", b"mine")
    step = desk.fetched(node, b"theirs", aside_id=desk.fresh_id(), aside_name="b.txt")

    def write(source: str, target: str) -> None:
        if target == "b.txt":
            desk.user_writes("a.txt", b"newest")

    desk.files.after["rename"] = write
    outcome = desk.applier.place([step])
    assert outcome.stale == [node]
    assert desk.tree() == {"a.txt": b"newest", "b.txt": b"mine"}
    desk.check_stored()


def test_a_failed_arrival_puts_back_what_was_set_aside(desk: Any) -> None:
    node = desk.known("a.txt", b"mine")
    step = desk.fetched(node, b"theirs", aside_id=desk.fresh_id(), aside_name="b.txt")

    def full(source: str, target: str) -> None:
        if source.startswith(".syncline/tmp"):
            raise OSError(errno.ENOSPC, "full")

    desk.files.before["rename"] = full
    outcome = desk.applier.place([step])
    assert [problem.code for problem in outcome.problems] == ["disk.full"]
    assert desk.tree() == {"a.txt": b"mine"}
