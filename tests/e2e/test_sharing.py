"""A folder shared between two people's real devices: from the folder of one of them to the end of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import Device, World, contents, eventually, run, tree

pytestmark = pytest.mark.real
BOB = "bob@example.org"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, ("ann",)) as made:
        made.server.add_user(BOB)
        bob = Device(tmp_path, "bob", made.server)
        bob.set_up(BOB)
        made.devices.append(bob)
        for device in made.devices:
            device.start()
        yield made


def test_a_shared_folder_lives_on_both_sides_and_leaves_when_it_is_taken_away(world: World) -> None:
    ann, bob = world.devices
    work = ann.folder / "work"
    (work / "deep").mkdir(parents=True)
    (work / "large.bin").write_bytes(os.urandom(2 << 20))
    (work / "deep" / "note.txt").write_text("hello")
    (work / "draft.txt").write_text("one")
    (ann.folder / "mine.txt").write_text("mine")
    ann.wait()
    before = tree(ann.folder)

    # The owner's own device takes the folder for what it was, also where it is being changed at that moment.
    (work / "draft.txt").write_text("two")
    assert "invited" in ann.run("share", "/work", BOB, "--access", "write")
    (work / "late.txt").write_text("late")
    ann.wait()
    assert (work / "draft.txt").read_text() == "two"
    assert tree(ann.folder).keys() == {*before, "work/late.txt"}

    assert [one["name"] for one in bob.json("shared")["invitations"]] == ["work"]
    assert bob.json("shares", "accept", "work", "--at", "/from Ann")["path"] == "/from Ann"
    theirs = bob.folder / "from Ann"
    eventually(lambda: (theirs / "large.bin").exists(), 60, "the shared folder comes to bob", every_s=0.1)
    _meet(world, work, theirs)

    # Edits travel both ways.
    (theirs / "deep" / "note.txt").write_text("hello from bob")
    (theirs / "new").mkdir()
    (theirs / "new" / "bob.txt").write_text("bob's")
    (work / "late.txt").rename(work / "deep" / "later.txt")
    _meet(world, work, theirs)
    assert (work / "deep" / "note.txt").read_text() == "hello from bob"
    assert (theirs / "deep" / "later.txt").read_text() == "late"

    # Whoever may only read keeps what they write aside, and the folder stays as it is.
    ann.run("share", "/work", BOB, "--access", "read")
    (theirs / "draft.txt").write_text("bob may not")
    eventually(lambda: _text(theirs / "draft.txt") == "two", 60, "the file is restored", every_s=0.1)
    bob.wait()
    kept = [path for path in bob.folder.rglob("*") if path.is_file() and "Kept from" in str(path)]
    assert [path.read_text() for path in kept] == ["bob may not"]
    _meet(world, work, theirs)
    assert (work / "draft.txt").read_text() == "two"

    # The end: what was not changed leaves, what was is kept, and nothing of it is lost or deleted at the owner's.
    bob.stop()
    (theirs / "new" / "bob.txt").write_text("bob's last word")
    truth = tree(work)
    assert BOB in ann.run("unshare", "/work", BOB)
    bob.start()
    eventually(lambda: not theirs.exists(), 60, "the folder leaves bob's device", every_s=0.1)
    bob.wait()
    words = [path.read_text() for path in bob.folder.rglob("bob.txt") if "Kept from" in str(path)]
    assert words == ["bob's last word"]
    assert (work / "large.bin").read_bytes() in [
        path.read_bytes() for path in (bob.folder / ".syncline").rglob("*") if path.is_file()
    ]
    ann.wait()
    assert tree(work) == truth
    assert contents(work) <= contents(ann.folder)
    assert bob.json("shared")["folders"] == []
    run(["admin", "check", "--deep", "--data", str(world.server.data)])


def test_moving_into_and_out_of_a_shared_folder_and_letting_it_go(world: World) -> None:
    ann, bob = world.devices
    (ann.folder / "team").mkdir()
    (ann.folder / "loose").mkdir()
    (ann.folder / "loose" / "a.txt").write_text("a")
    ann.wait()
    ann.run("share", "/team", BOB, "--access", "write")
    bob.run("shares", "accept", "team")
    eventually(lambda: (bob.folder / "team").is_dir(), 60, "the mount comes", every_s=0.1)

    # By the command line, and by the file manager.
    ann.run("mv", "/loose", "/team/")
    eventually(lambda: (bob.folder / "team" / "loose" / "a.txt").exists(), 60, "the folder arrives", every_s=0.1)
    bob.wait()
    (bob.folder / "team" / "loose" / "a.txt").rename(bob.folder / "a.txt")
    _meet(world, ann.folder / "team", bob.folder / "team")
    assert not (ann.folder / "loose").exists()
    assert not (ann.folder / "team" / "loose" / "a.txt").exists()
    assert (bob.folder / "a.txt").read_text() == "a"

    # Deleting the mount deletes nothing in it.
    (ann.folder / "team" / "b.txt").write_text("b")
    _meet(world, ann.folder / "team", bob.folder / "team")
    bob.run("rm", "/team")
    eventually(lambda: not (bob.folder / "team").exists(), 60, "the mount goes", every_s=0.1)
    ann.wait()
    assert (ann.folder / "team" / "b.txt").read_text() == "b"
    bob.run("shares", "mount", "team")
    eventually(lambda: (bob.folder / "team" / "b.txt").exists(), 60, "the mount comes again", every_s=0.1)
    bob.run("shares", "leave", "/team")
    eventually(lambda: not (bob.folder / "team").exists(), 60, "the folder leaves", every_s=0.1)
    ann.wait()
    assert (ann.folder / "team" / "b.txt").read_text() == "b"
    run(["admin", "check", "--data", str(world.server.data)])


def _text(path: Path) -> str:
    """Empty while a file is being replaced."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _meet(world: World, one: Path, other: Path) -> None:
    """Both devices in sync, and the folder the same on both."""

    def same() -> bool:
        for device in world.devices:
            device.wait()
        return tree(one) == tree(other)

    eventually(same, 90, "both folders are the same", every_s=0.2)
