"""What a loss of power and the death of a process leave on the simulated disk."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from syncline.model.entries import Kind
from syncline.testing.faulty import Crash
from syncline.testing.sim import durable
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.files import SimFiles
from syncline.testing.sim.inodes import Inode
from syncline.testing.sim.profile import DiskProfile

SEEDS = range(300)
DATA = b"0123456789" * 5


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def now_us(self) -> int:
        self.now += 1
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1e6


def remains(act: Callable[[SimDisk, SimFiles], object], profile: DiskProfile | None = None) -> list[dict[str, Any]]:
    """The trees left over all seeds when the power goes after `act`, in a root that held "tmp", "d" and the file "d/old"."""
    found = []
    for seed in SEEDS:
        disk = SimDisk(Random(seed), Clock(), profile)
        for folder in ("tmp", "d"):
            disk.user.mkdir(folder)
        disk.user.write("d/old", b"old")
        act(disk, disk.files())
        disk.power_loss()
        found.append({path: data if kind is Kind.FILE else None for path, (kind, data, _) in disk.user.everything().items()})
    return found


def download(files: SimFiles, *, sync_file: bool, sync_folder: bool) -> None:
    with files.create("tmp/new") as file:
        file.write(DATA)
        if sync_file:
            files.sync_files([file])
    files.rename("tmp/new", "d/new")
    if sync_folder:
        files.sync_folders(["d"])


def test_all_that_was_synced_stays() -> None:
    for tree in remains(lambda _, files: download(files, sync_file=True, sync_folder=True)):
        assert tree == {"tmp": None, "d": None, "d/old": b"old", "d/new": DATA}


def test_a_lost_sync_of_the_data_shows() -> None:
    """The classic: renamed in place, the name durable, the bytes not."""
    found = [tree["d/new"] for tree in remains(lambda _, files: download(files, sync_file=False, sync_folder=True))]
    assert {b"", DATA, durable.garbage(len(DATA))} <= set(found)
    assert any(data and data != DATA and DATA.startswith(data) for data in found)
    assert all(len(data) <= len(DATA) for data in found)


def test_a_lost_sync_of_the_folder_shows() -> None:
    found = Counter(tuple(sorted(tree)) for tree in remains(lambda _, files: download(files, sync_file=True, sync_folder=False)))
    assert set(found) == {
        ("d", "d/old", "tmp"),
        ("d", "d/old", "tmp", "tmp/new"),
        ("d", "d/new", "d/old", "tmp"),
    }


def test_an_exchange_is_whole_or_not_at_all() -> None:
    def act(disk: SimDisk, files: SimFiles) -> None:
        disk.user.write("tmp/new", b"new")
        files.exchange("tmp/new", "d/old")

    found = {(tree["tmp/new"], tree["d/old"]) for tree in remains(act)}
    assert found == {(b"new", b"old"), (b"old", b"new")}


def test_a_rename_that_did_not_happen_takes_with_it_what_came_after() -> None:
    def act(_: SimDisk, files: SimFiles) -> None:
        files.rename("d/old", "tmp/one")
        files.rename("tmp/one", "tmp/two")
        files.make_folder("d/in")
        files.make_folder("d/in/in")
        files.rename("tmp/two", "d/in/in/three")
        files.remove_folder("tmp")

    for tree in remains(act):
        assert sum(data == b"old" for data in tree.values()) == 1
        assert all(path.rpartition("/")[0] in tree for path in tree if "/" in path)


def test_what_was_removed_may_be_back() -> None:
    found = remains(lambda _, files: files.remove_file("d/old"))
    assert {"d/old" in tree for tree in found} == {True, False}


def test_settled_ranges_stay_whatever_becomes_of_the_rest() -> None:
    def act(_: SimDisk, files: SimFiles) -> None:
        with files.create("d/new") as file:
            file.truncate(len(DATA))
            file.write(DATA)
            files.settle(file, 10, 20)
        files.sync_folders(["d"])

    found = [tree["d/new"] for tree in remains(act)]
    assert all(data[10:30] == DATA[10:30] for data in found)
    assert any(data[:10] != DATA[:10] for data in found)


def test_attributes_nobody_synced_may_be_lost() -> None:
    found = set()
    for seed in SEEDS:
        disk = SimDisk(Random(seed), Clock())
        disk.user.write("f", b"x")
        files = disk.files()
        files.set_executable("f", True)
        if seed % 2:
            with files.open_read("f") as file:
                files.sync_files([file])
        disk.power_loss()
        found.add((seed % 2, disk.user.tree()["f"][2]))
    assert found == {(0, False), (0, True), (1, True)}


def test_what_the_user_does_is_durable_with_all_it_needs() -> None:
    def act(disk: SimDisk, files: SimFiles) -> None:
        files.make_folder("d/in")
        files.make_folder("d/side")
        download(files, sync_file=False, sync_folder=False)
        disk.user.write("d/in/mine", b"mine")
        disk.user.append("d/new", b"+")
        disk.user.move("d/old", "d/in/old")

    for tree in remains(act):
        assert (tree["d/in/mine"], tree["d/in/old"], tree["d/new"]) == (b"mine", b"old", DATA + b"+")
        assert not any(path.startswith("tmp/") for path in tree)


def test_a_reused_inode_number_is_never_there_twice() -> None:
    for seed in SEEDS:
        disk = SimDisk(Random(seed), Clock(), DiskProfile(reuse_inodes=True))
        disk.user.write("a", b"a")
        files = disk.files()
        number = files.stat("a").signature.inode
        files.remove_file("a")
        files.create("b").close()
        assert files.stat("b").signature.inode == number
        files.create("c").close()
        disk.power_loss()
        numbers = [stat.signature.inode for stat in disk.files().list_folder("")]
        assert len(set(numbers)) == len(numbers)


def test_after_it_everything_is_dead_but_the_disk() -> None:
    disk = SimDisk(Random(1), Clock())
    disk.user.write("f", b"x")
    files, writer = disk.files(), disk.user.open_writer("f")
    file = files.open_read("f")
    disk.power_loss()
    with pytest.raises(Crash):
        files.stat("f")
    for act in (file.read, lambda: writer.write(b"y")):
        with pytest.raises(OSError) as refused:
            act()
        assert refused.value.errno == errno.EBADF
    file.close()
    writer.close()
    assert disk.user.read("f") == b"x"
    assert disk.files().list_folder("")[0].links == 1


def test_a_process_that_dies_leaves_the_cache() -> None:
    disk = SimDisk(Random(1), Clock(), DiskProfile(reuse_inodes=True))
    files, other = disk.files(), disk.files()
    file = files.create("f")
    file.write(b"x")
    disk.process_death(files)
    with pytest.raises(OSError):
        file.write(b"y")
    with pytest.raises(Crash):
        files.list_folder("")
    assert disk.user.read("f") == b"x"
    number = other.stat("f").signature.inode
    other.remove_file("f")
    other.create("g").close()
    assert other.stat("g").signature.inode == number, "the dead one holds nothing open"


def test_a_hook_may_let_the_process_die_around_any_call() -> None:
    for phase in ("before", "after"):
        disk = SimDisk(Random(1), Clock())
        disk.user.write("a", b"x")
        files = disk.files()

        def hook(op: str, path: str, when: str, at: str = phase, disk: SimDisk = disk) -> None:
            assert (op, path) == ("rename", "a")
            if when == at:
                disk.process_death()

        files.hook = hook
        with pytest.raises(Crash):
            files.rename("a", "b")
        assert list(disk.user.tree()) == (["a"] if phase == "before" else ["b"])


def test_any_course_of_things_leaves_a_tree() -> None:
    """The engine and the user do anything, now and then the power goes: what is left is always a tree, twice the same."""
    total: Counter[str] = Counter()
    for seed in range(400):
        assert course(seed, Counter()) == course(seed, total)
    assert total["lost"] > 300
    assert min(total[op] for op in ("rename", "exchange", "make_folder", "create", "remove_file", "remove_folder", "user")) > 100


def course(seed: int, done: Counter[str]) -> list[Any]:
    rng = Random(seed)
    names = rng.choice(["sensitive", "insensitive", "nfd"])
    disk = SimDisk(Random(seed), Clock(), DiskProfile(names=names, reuse_inodes=seed % 2 == 0))
    files = disk.files()
    told: list[Any] = []

    def path() -> str:
        known = ["", *disk.user.tree()]
        above = rng.choice(known)
        return rng.choice(known) if rng.random() < 0.5 else f"{above}/{rng.choice('abAB')}".lstrip("/")

    def mine() -> None:
        act = rng.choice(("write", "save", "append", "mkdir", "delete", "move", "link"))
        arguments = (
            (path(), path()) if act in ("move", "link") else (path(), b"u") if act in ("write", "save", "append") else (path(),)
        )
        getattr(disk.user, act)(*arguments)
        done["user"] += 1

    def theirs() -> None:
        op = rng.choice(("rename", "rename", "exchange", "make_folder", "create", "remove_file", "remove_folder", "sync_folders"))
        if op in ("rename", "exchange"):
            getattr(files, op)(path(), path())
        elif op == "create":
            with files.create(path()) as file:
                file.write(b"engine")
        else:
            getattr(files, op)([path()] if op == "sync_folders" else path())
        done[op] += 1

    for _ in range(60):
        try:
            rng.choice((mine, theirs, theirs))()
        except OSError as error:
            told.append(error.errno)
        if rng.random() < 0.03:
            disk.power_loss()
            done["lost"] += 1
            files = disk.files()
            told.append(disk.user.tree())
        check(disk)
    told.append(disk.user.everything())
    return told


def check(disk: SimDisk) -> None:
    """Both sides of the disk are trees, without an inode number twice, and link counts are true."""
    top = disk.tree.top
    seen: Counter[Inode] = Counter()
    frontier = [top]
    while frontier:
        folder = frontier.pop()
        for entry in folder.entries.values():
            assert entry.folder is folder
            seen[entry.inode] += 1
            if entry.inode.kind is Kind.DIR:
                assert entry.inode.entry is entry
                frontier.append(entry.inode)
    for inode, count in seen.items():
        if inode.kind is Kind.DIR:
            assert (count, inode.links) == (1, 2 + sum(entry.inode.kind is Kind.DIR for entry in inode.entries.values()))
        else:
            assert inode.links == count
    assert len({inode.number for inode in seen}) == len(seen)
    kept = Counter(durable.kept_below(top))
    assert all(inode.kept_links == count for inode, count in kept.items())
    assert len({inode.number for inode in kept}) == len(kept)
    assert all(count == 1 for inode, count in kept.items() if inode.kind is Kind.DIR)


def test_when_nothing_is_pending_both_sides_agree() -> None:
    disk = SimDisk(Random(1), Clock())
    files = disk.files()
    files.make_folder("d")
    disk.user.write("d/x", b"1")
    disk.user.save("d/x", b"2")
    files.rename("d/x", "d/y")
    files.sync_folders(["d"])
    before = disk.user.everything()
    assert not len(disk.tree.durable)
    disk.power_loss()
    assert disk.user.everything() == before
