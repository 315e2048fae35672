"""Conflicts from beginning to end, on whole devices: opened, listed everywhere, followed, closed, resolved, or merged at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.unit.client.devices import Device, settle

from syncline.client.resolve import Keep
from syncline.content.merge import merge_text
from syncline.model.conflicts import Reason
from syncline.model.errors import ConflictNotFound, ManyCopies, NotFound, NotResolvable
from syncline.testing.journal_remote import JournalRemote

BASE = b"".join(b"line %d\n" % number for number in range(12))
OURS, THEIRS = BASE.replace(b"line 9\n", b"nine\n"), BASE.replace(b"line 2\n", b"two\n")
BOTH = OURS.replace(b"line 2\n", b"two\n")


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


@pytest.fixture
def pair(tmp_path: Path, remote: JournalRemote) -> tuple[Device, Device]:
    return Device(tmp_path, "A", remote), Device(tmp_path, "B", remote)


async def both_edit(one: Device, other: Device, path: str = "d/f.txt", ours: bytes = OURS, theirs: bytes = THEIRS) -> None:
    """`one` comes second, so that it is the one who meets the conflict."""
    one.write(path, BASE)
    await settle(one, other)
    other.write(path, theirs)
    await other.sync()
    one.write(path, ours)
    await one.sync()


def copy_in(device: Device, folder: str = "d") -> str:
    (found,) = (path for path in device.tree() if "conflicted copy" in path and path.startswith(folder))
    return found


async def test_it_is_listed_where_it_was_made_and_everywhere_else(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    await settle(one, other)
    (here,), (there,) = one.conflicts(), other.conflicts()
    assert (here.path, here.copy, here.reason, here.origin) == ("d/f.txt", copy_in(one), Reason.BOTH_EDITED, "A")
    assert (there.path, there.copy, there.reason, there.origin) == ("d/f.txt", copy_in(one), Reason.FOUND, "A")
    assert (here.size, here.copy_size) == (len(THEIRS), len(OURS))
    assert here.base is not None
    one.start()
    assert one.conflicts() == [here], "it is remembered across a restart"


async def test_it_follows_renames(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    (one.root / "d").rename(one.root / "e")
    (one.root / "e/f.txt").rename(one.root / "g.txt")
    await settle(one, other)
    (conflict,) = one.conflicts()
    assert (conflict.path, conflict.copy) == ("g.txt", copy_in(one, "e"))


@pytest.mark.parametrize("gone", ["original", "copy"])
async def test_it_closes_when_one_version_is_deleted(pair: tuple[Device, Device], gone: str) -> None:
    one, other = pair
    await both_edit(one, other)
    await settle(one, other)
    (other.root / ("d/f.txt" if gone == "original" else copy_in(other))).unlink()
    await settle(one, other)
    assert one.conflicts() == other.conflicts() == []
    assert one.store.conflicts == {}


async def test_it_closes_when_contents_agree(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    await settle(one, other)
    other.write("d/f.txt", OURS)
    await settle(one, other)
    assert one.conflicts() == other.conflicts() == []
    assert one.store.conflicts == {}
    # What is left over can still be cleared away by naming it.
    await other.resolve("d/f.txt", Keep.THEIRS)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": OURS}


@pytest.mark.parametrize("keep", [Keep.OURS, Keep.THEIRS, Keep.BOTH, Keep.MERGED])
@pytest.mark.parametrize("named", ["original", "copy"])
async def test_it_is_resolved(pair: tuple[Device, Device], keep: Keep, named: str) -> None:
    one, other = pair
    await both_edit(one, other)
    copy = copy_in(one)
    done = await one.resolve("d/f.txt" if named == "original" else copy, keep)
    assert (done.path, done.copy, done.kept) == ("d/f.txt", copy, keep)
    assert one.conflicts() == []
    await settle(one, other)
    kept = {Keep.OURS: OURS, Keep.THEIRS: THEIRS, Keep.BOTH: THEIRS, Keep.MERGED: BOTH}[keep]
    assert one.tree() == other.tree() == {"d/f.txt": kept} | ({copy: OURS} if keep is Keep.BOTH else {})
    assert one.conflicts() == []
    one.start()
    assert one.conflicts() == []
    with pytest.raises(ConflictNotFound):
        await one.resolve("d/f.txt", Keep.OURS)


async def test_another_device_resolves_it_too(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    await settle(one, other)
    with pytest.raises(NotResolvable, match="started from"):
        await other.resolve("d/f.txt", Keep.MERGED)
    assert len(other.tree()) == 2
    await other.resolve(copy_in(other), Keep.OURS)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": OURS}
    assert one.conflicts() == other.conflicts() == []


async def test_both_on_another_device_is_remembered(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    await settle(one, other)
    await other.resolve("d/f.txt", Keep.BOTH)
    await settle(one, other)
    other.start()
    assert other.conflicts() == []
    assert len(one.conflicts()) == 1, "each device asks for itself"


async def test_what_overlaps_is_not_merged_and_nothing_changes(pair: tuple[Device, Device], remote: JournalRemote) -> None:
    one, other = pair
    await both_edit(one, other, theirs=BASE.replace(b"line 9\n", b"neun\n"))
    before = one.tree()
    with pytest.raises(NotResolvable, match="neighbouring"):
        await one.resolve("d/f.txt", Keep.MERGED)

    def gone(call: str, is_after: bool) -> None:
        if call == "manifests":
            raise NotFound(what="Revision 1")

    remote.fault = gone
    with pytest.raises(NotResolvable, match="no longer"):
        await one.resolve("d/f.txt", Keep.MERGED)
    assert one.tree() == before
    assert len(one.conflicts()) == 1


async def test_of_several_copies_one_must_be_named(pair: tuple[Device, Device]) -> None:
    one, other = pair
    await both_edit(one, other)
    other.write("d/f.txt", b"once more\n")
    await other.sync()
    one.write("d/f.txt", b"and here\n")
    await settle(one, other)
    assert len(one.conflicts()) == 2
    with pytest.raises(ManyCopies):
        await one.resolve("d/f.txt", Keep.THEIRS)
    for conflict in one.conflicts():
        await one.resolve(conflict.copy, Keep.THEIRS)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": b"once more\n"}


async def test_a_folder_in_the_way_is_no_case_for_a_machine(pair: tuple[Device, Device]) -> None:
    one, other = pair
    other.write("name", b"a file\n")
    await other.sync()
    one.write("name/inside", b"in a folder\n")
    await settle(one, other)
    (conflict,) = one.conflicts()
    assert (conflict.path, conflict.reason) == ("name", Reason.NAME_TAKEN)
    with pytest.raises(NotResolvable, match="folder"):
        await one.resolve("name", Keep.OURS)
    await one.resolve("name", Keep.BOTH)
    assert one.conflicts() == []


# -- merging ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def merging(tmp_path: Path, remote: JournalRemote) -> tuple[Device, Device]:
    return Device(tmp_path, "A", remote, merging=True), Device(tmp_path, "B", remote, merging=True)


async def test_what_both_edited_is_merged(merging: tuple[Device, Device], remote: JournalRemote) -> None:
    one, other = merging
    await both_edit(one, other)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": BOTH}
    assert one.conflicts() == []
    assert one.held() >= {row for row in (one.store.local[node].content_hash for node in one.store.local) if row}
    assert any(path.read_bytes() == OURS for path in (one.root / ".syncline/trash").iterdir()), "our own version is in the trash"
    (row,) = (row for row in remote.nodes.values() if row.name == "f.txt")
    assert row.revision == 3, "one revision each: base, theirs, and the merge on top"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BASE.replace(b"line 9\n", b"nine\n"), BASE.replace(b"line 9\n", b"neun\n")),
        (BASE + b"\0", THEIRS),
        (OURS, BASE + b"\xff"),
    ],
    ids=["overlap", "binary here", "no utf-8 there"],
)
async def test_what_cannot_be_merged_is_kept_twice(merging: tuple[Device, Device], ours: bytes, theirs: bytes) -> None:
    one, other = merging
    await both_edit(one, other, ours=ours, theirs=theirs)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": theirs, copy_in(one): ours}
    assert len(one.conflicts()) == 1


async def test_without_its_base_it_is_kept_twice(merging: tuple[Device, Device], remote: JournalRemote) -> None:
    one, other = merging
    one.write("d/f.txt", BASE)
    await settle(one, other)
    other.write("d/f.txt", THEIRS)
    await other.sync()
    one.write("d/f.txt", OURS)
    for key in [key for key in remote._revisions if key[2] == 1]:
        del remote._revisions[key]
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": THEIRS, copy_in(one): OURS}


async def test_executable_bits_merge_beside_the_text(merging: tuple[Device, Device]) -> None:
    one, other = merging
    one.write("f", BASE)
    await settle(one, other)
    other.write("f", THEIRS)
    await other.sync()
    one.write("f", OURS)
    (one.root / "f").chmod(0o755)
    await settle(one, other)
    assert one.tree() == other.tree() == {"f": BOTH}
    assert (one.root / "f").stat().st_mode & 0o100
    assert (other.root / "f").stat().st_mode & 0o100


async def test_a_merge_that_was_placed_but_not_noted_is_found_to_be_one(merging: tuple[Device, Device]) -> None:
    """A crash between the exchange and its claim leaves the result as if somebody had typed it."""
    one, other = merging
    await both_edit(one, other, ours=BOTH)
    await settle(one, other)
    assert one.tree() == other.tree() == {"d/f.txt": BOTH}


@pytest.mark.parametrize("seed", range(12))
async def test_devices_that_merge_at_once_meet(tmp_path: Path, remote: JournalRemote, seed: int) -> None:
    """Three devices edit different lines again and again, and sync in any order: all changes are in what they agree on, and there
    are conflict copies only where merging could not say which."""
    rng = random.Random(seed)
    devices = [Device(tmp_path, name, remote, merging=True) for name in "ABC"]
    devices[0].write("f", b"".join(b"%d\n" % number for number in range(30)))
    await settle(*devices)
    expected = set[bytes]()
    for turn in range(4):
        for place, device in enumerate(devices):
            if rng.random() < 0.8:
                mark = b"%s wrote %d\n" % (device.name.encode(), turn)
                lines = device.read("f").splitlines(keepends=True)
                lines[place * 10 + 4] = mark
                device.write("f", b"".join(lines))
                expected = {line for line in expected if not line.startswith(device.name.encode())} | {mark}
        for device in rng.sample(devices, rng.randint(1, 3)):
            await device.sync()
    await settle(*devices)
    first = devices[0].tree()
    assert all(device.tree() == first for device in devices)
    assert set(first) == {"f"}
    assert expected == {line for line in first["f"].splitlines(keepends=True) if b"wrote" in line}


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_they_write_they_meet_and_nothing_is_lost(tmp_path: Path, remote: JournalRemote, seed: int) -> None:
    """Random edits that often overlap, by devices that merge and one that does not."""
    rng = random.Random(1000 + seed)
    devices = [Device(tmp_path, name, remote, merging=name != "C") for name in "ABC"]
    devices[0].write("f", b"".join(b"%d\n" % number for number in range(12)))
    await settle(*devices)
    for turn in range(4):
        for device in devices:
            lines = device.read("f").splitlines(keepends=True)
            at = rng.randrange(len(lines) + 1)
            lines[at : at + rng.randrange(3)] = [b"%s %d\n" % (device.name.encode(), turn)] * rng.randrange(3)
            device.write("f", b"".join(lines) or b"all gone\n")
        for device in rng.sample(devices, 2):
            await device.sync()
    ours = {device.name: device.tree() for device in devices}
    await settle(*devices)
    first = devices[0].tree()
    assert all(device.tree() == first for device in devices)
    held = set[str]().union(*(device.held() for device in devices))
    sent = {row.content_hash for row in remote.journal}
    for tree in ours.values():
        for content in tree.values():
            assert {_digest(content)} & (held | sent)
    assert {conflict.copy for conflict in devices[0].conflicts()} <= set(first)


def _digest(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def test_the_example_is_one() -> None:
    assert merge_text(BASE, OURS, THEIRS) == BOTH
