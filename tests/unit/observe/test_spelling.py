"""Disks that give a name back in another spelling than it was asked for, and those that find one name under several."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from tests.unit.observe.world import World, WoundClock

from syncline.model.ids import NodeId
from syncline.model.paths import exact_key, name_key
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.profile import DiskProfile, Names

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


class Spelled:
    """A simulated disk, and an observer over it."""

    def __init__(self, at: Path, names: Names) -> None:
        clock = WoundClock()
        self.disk = SimDisk(Random(1), clock, DiskProfile(names=names))
        self.user = self.disk.user
        self.user.mkdir(".syncline")
        self.user.write(".syncline/root-id", b"id")
        for number in range(12):
            # Among many entries only those that were hinted at are looked at.
            self.user.write(f"other {number}", b"other")
        self.failing: str | None = None
        self.world = World(at, files=self.disk.files(hook=self._hook))
        self.world.clock = clock
        self.world.observer = self.world.fresh_observer()

    def _hook(self, op: str, path: str, phase: str) -> None:
        if op == "stat" and phase == "before" and path == self.failing:
            raise OSError(errno.EIO, "bad sector", path)

    def scanned(self) -> None:
        self.world.full()
        self.world.settle()

    def ids(self) -> dict[str, NodeId]:
        return {path: node_id for path, node_id in self.world.ids().items() if not path.startswith("other")}

    def claim(self, path: str, name: str) -> None:
        """The engine asked for `name`, and claims it so, whatever the disk made of it."""
        self.world.trees.put_local(replace(self.world.node(path), name=name))


@pytest.fixture
def decomposing(tmp_path: Path) -> Spelled:
    """The engine has written `é`, composed, on a disk that stores it decomposed."""
    made = Spelled(tmp_path / "root", "nfd")
    made.user.write(COMPOSED, b"text")
    made.scanned()
    assert made.ids().keys() == {DECOMPOSED}
    made.claim(DECOMPOSED, COMPOSED)
    return made


@pytest.fixture
def sensitive(tmp_path: Path) -> Spelled:
    made = Spelled(tmp_path / "root", "sensitive")
    made.user.write(COMPOSED, b"text")
    made.scanned()
    return made


# -- a disk that decomposes names --------------------------------------------------------------------------------------------------


def test_a_name_read_back_decomposed_is_nobodys_rename(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED)
    assert decomposing.world.full().changed == 0
    assert decomposing.world.look(DECOMPOSED).changed == 0
    assert decomposing.world.node(COMPOSED) == before


def test_an_edit_told_under_the_disks_spelling_is_an_edit(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED)
    decomposing.user.write(COMPOSED, b"more text")
    decomposing.world.look(DECOMPOSED, written=True)
    assert decomposing.world.observer.scan(full=False).changed == 0, "its quiet window is open under either spelling"
    decomposing.world.settle()
    after = decomposing.world.node(COMPOSED)
    assert (after.id, after.signature.size) == (before.id, 9)
    assert decomposing.ids().keys() == {COMPOSED}


def test_what_replaced_it_has_its_place(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED)
    decomposing.user.delete(COMPOSED)
    decomposing.user.write(DECOMPOSED, b"another")
    decomposing.scanned()
    assert decomposing.ids() == {COMPOSED: before.id}
    assert decomposing.world.node(COMPOSED).signature.size == 7


def test_a_deletion_told_under_the_disks_spelling_is_one(decomposing: Spelled) -> None:
    decomposing.user.delete(COMPOSED)
    decomposing.world.look(DECOMPOSED)
    decomposing.world.settle()
    assert decomposing.ids() == {}


def test_a_move_keeps_the_spelling(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED).id
    decomposing.user.mkdir("d")
    decomposing.user.move(COMPOSED, f"d/{COMPOSED}")
    decomposing.scanned()
    assert decomposing.ids()[f"d/{COMPOSED}"] == before


def test_a_true_rename_is_one(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED).id
    decomposing.user.move(COMPOSED, "plain")
    decomposing.scanned()
    assert decomposing.ids() == {"plain": before}


def test_a_moved_folder_is_known_by_files_spelled_otherwise(tmp_path: Path) -> None:
    made = Spelled(tmp_path / "root", "nfd")
    made.user.mkdir(COMPOSED)
    made.user.mkdir("d")
    made.user.write(f"{COMPOSED}/{COMPOSED}", b"text")
    made.scanned()
    made.claim(f"{DECOMPOSED}/{DECOMPOSED}", COMPOSED)
    made.claim(DECOMPOSED, COMPOSED)
    before = made.ids()
    assert made.world.full().changed == 0
    made.user.move(COMPOSED, f"d/{COMPOSED}")
    made.scanned()
    after = made.ids()
    assert after[f"d/{COMPOSED}"] == before[COMPOSED]
    assert after[f"d/{COMPOSED}/{COMPOSED}"] == before[f"{COMPOSED}/{COMPOSED}"]


def test_where_the_disk_cannot_tell_nothing_is_believed(decomposing: Spelled) -> None:
    before = decomposing.world.node(COMPOSED)
    decomposing.failing = COMPOSED
    assert decomposing.world.full().changed == 0
    assert [note.code for note in decomposing.world.full().problems] == ["folder.unreadable"]
    decomposing.failing = None
    assert decomposing.world.full().problems == []
    assert decomposing.world.node(COMPOSED) == before


# -- a disk that tells spellings apart ---------------------------------------------------------------------------------------------


def test_another_spelling_is_another_name_where_the_disk_tells_them_apart(sensitive: Spelled) -> None:
    before = sensitive.world.node(COMPOSED).id
    sensitive.user.move(COMPOSED, DECOMPOSED)
    sensitive.scanned()
    assert sensitive.ids() == {DECOMPOSED: before}


def test_twins_are_two_where_the_disk_tells_them_apart(sensitive: Spelled) -> None:
    before = sensitive.world.node(COMPOSED).id
    sensitive.user.write(DECOMPOSED, b"twin")
    sensitive.world.look(DECOMPOSED)
    sensitive.world.settle()
    ids = sensitive.ids()
    assert ids.keys() == {COMPOSED, DECOMPOSED}
    assert ids[COMPOSED] == before
    sensitive.user.delete(COMPOSED)
    sensitive.scanned()
    assert sensitive.ids() == {DECOMPOSED: ids[DECOMPOSED]}


# -- a disk that folds case --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [name_key, exact_key])
def test_a_change_of_case_is_a_rename_though_the_disk_finds_both(tmp_path: Path, key: Callable[[str], str]) -> None:
    made = Spelled(tmp_path / "root", "insensitive")
    made.world.trees.use_key(key)
    made.user.write("readme", b"text")
    made.scanned()
    before = made.world.node("readme").id
    made.user.move("readme", "README")
    made.world.look("readme", "README")
    made.world.settle()
    assert made.ids() == {"README": before}
