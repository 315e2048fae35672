"""The simulated disk's roots, hooks and users, beyond what the contract of `LocalFiles` asks."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest

from syncline.model.entries import Kind
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.inodes import Inode


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def now_us(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def disk() -> SimDisk:
    made = SimDisk(Random(1), Clock())
    made.user.write("f", b"x")
    return made


# -- the root --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [True, False])
def test_an_unmounted_root_is_gone_and_comes_back(disk: SimDisk, empty: bool) -> None:
    files = disk.files()
    held, before = files.open_read("f"), files.root_stat()
    disk.unmount(empty=empty)
    with pytest.raises(FileNotFoundError):
        files.root_stat()
    for act in (lambda: files.stat("f"), lambda: files.list_folder(""), held.read, lambda: files.make_folder("d")):
        with pytest.raises(OSError) as refused:
            act()
        assert refused.value.errno == errno.EIO
    if empty:
        other = disk.files()
        assert other.list_folder("") == []
        assert other.root_stat().signature.device != before.signature.device
        disk.user.write("hidden", b"y")
        assert disk.user.tree() == {"hidden": (Kind.FILE, b"y", False)}
    else:
        with pytest.raises(FileNotFoundError):
            disk.files()
        with pytest.raises(FileNotFoundError):
            disk.user.write("hidden", b"y")
    disk.mount()
    assert files.root_stat() == before
    assert held.read() == b"x"
    assert list(disk.user.tree()) == ["f"]


def test_a_disk_may_come_back_under_another_number(disk: SimDisk) -> None:
    before = disk.files().stat("f").signature
    disk.unmount()
    disk.mount(device=77)
    after = disk.files().stat("f").signature
    assert (after.device, after.inode, after.ctime_ns) == (77, before.inode, before.ctime_ns)
    disk.user.write("g", b"")
    assert disk.files().stat("g").signature.device == 77


def test_the_power_going_brings_an_unmounted_disk_back(disk: SimDisk) -> None:
    disk.unmount(empty=True)
    disk.user.mkdir("hidden")
    disk.power_loss()
    assert disk.files().stat("f").kind is Kind.FILE
    assert list(disk.user.tree()) == ["f"]


def test_a_renamed_root_is_held_and_no_longer_at_its_path(disk: SimDisk) -> None:
    files = disk.files()
    disk.outside.move("sync", "moved")
    with pytest.raises(FileNotFoundError):
        files.root_stat()
    assert files.stat("f").kind is Kind.FILE
    disk.outside.mkdir("sync")
    with pytest.raises(FileNotFoundError, match="another folder"):
        files.root_stat()
    assert disk.files().list_folder("") == []
    disk.outside.delete("sync")
    disk.outside.move("moved", "sync")
    assert files.root_stat().kind is Kind.DIR


def test_things_are_moved_in_and_out_of_a_root(disk: SimDisk) -> None:
    disk.outside.move("sync/f", "away")
    assert disk.user.tree() == {}
    disk.outside.move("away", "sync/g")
    assert disk.user.read("g") == b"x"


def test_two_roots_share_a_disk() -> None:
    disk = SimDisk(Random(1), Clock(), roots=("one", "two"))
    disk.user.write("f", b"1")
    assert disk.files("two").list_folder("") == []
    assert len(disk.files("one").list_folder("")) == 1


# -- hooks -----------------------------------------------------------------------------------------------------------------------


def test_every_operation_goes_through_the_hook(disk: SimDisk) -> None:
    seen: list[tuple[str, str, str]] = []
    files = disk.files(hook=lambda op, path, phase: seen.append((op, path, phase)))
    with files.create("a") as file:
        file.write(b"abc")
        file.seek(0)
        file.read(2)
        file.truncate(2)
        files.set_attributes(file, executable=True, mtime_us=1)
        files.settle(file, 0, 1)
        files.read_once(file, 0, memoryview(bytearray(2)))
        files.fstat_signature(file)
        files.sync_files([file])
    with files.open_read("a") as one, files.open_write("f") as other:
        files.copy_range(one, other, 2)
    files.rename("a", "b")
    files.exchange("b", "f")
    files.set_executable("b", True)
    files.make_folder("d")
    files.sync_folders(["d"])
    files.remove_folder("d")
    files.remove_file("f")
    files.list_folder("")
    files.stat("b")
    files.birth_ns("b")
    files.root_stat()
    files.free_bytes()
    assert [entry for entry in seen if entry[2] == "before"][:4] == [
        ("create", "a", "before"),
        ("write", "a", "before"),
        ("read", "a", "before"),
        ("truncate", "a", "before"),
    ]
    assert seen[::2] == [(op, path, "before") for op, path, _ in seen[1::2]]
    public = {name for name in dir(type(files)) if not name.startswith("_")} - {"die", "around", "closed", "opened"}
    assert {op for op, _, _ in seen} == public | {"read", "write", "truncate"}
    assert files.opened == 0


def test_a_refused_call_did_nothing_and_a_late_refusal_leaves_nothing_open(disk: SimDisk) -> None:
    fail: dict[str, Any] = {}

    def hook(op: str, path: str, phase: str) -> None:
        if fail.get(op) == phase:
            raise OSError(errno.ENOSPC, "full", path)

    files = disk.files(hook=hook)
    for phase, made in (("before", False), ("after", True)):
        fail["create"] = phase
        with pytest.raises(OSError):
            files.create("a")
        assert ("a" in disk.user.tree()) == made
        assert files.opened == 0
    fail["write"] = "before"
    with files.open_write("a") as file, pytest.raises(OSError):
        file.write(b"x")
    assert disk.user.read("a") == b""


def test_the_user_acts_between_any_two_calls(disk: SimDisk) -> None:
    def hook(op: str, path: str, phase: str) -> None:
        if (op, phase) == ("open_read", "before"):
            disk.user.save("f", b"newer")
        if (op, phase) == ("read", "before"):
            disk.user.append("f", b"!")
        if (op, phase) == ("rename", "before"):
            disk.user.write("g", b"taken")

    files = disk.files(hook=hook)
    with files.open_read("f") as file:
        assert file.read() == b"newer!"
    with pytest.raises(FileExistsError):
        files.rename("f", "g")


def test_a_torn_list_misses_what_comes_and_goes_meanwhile(disk: SimDisk) -> None:
    disk.user.write("g", b"y")
    files = disk.files()
    files.torn_lists = True

    def hook(op: str, path: str, phase: str) -> None:
        if (op, path) == ("list_entry", "f"):
            disk.user.delete("g")
            disk.user.write("h", b"z")

    files.hook = hook
    assert [stat.name for stat in files.list_folder("")] == ["f"]
    assert list(disk.user.tree()) == ["f", "h"]


# -- users -----------------------------------------------------------------------------------------------------------------------


def test_an_editor_keeps_the_mode_and_leaves_nothing_beside(disk: SimDisk) -> None:
    disk.user.chmod("f", True)
    for save in (disk.user.save, disk.user.save_backup):
        save("f", b"new")
        assert disk.user.tree() == {"f": (Kind.FILE, b"new", True)}


def test_a_poke_stays_within_the_file(disk: SimDisk) -> None:
    disk.user.poke("f", b"yz")
    assert disk.user.read("f") == b"y"


def test_a_writer_keeps_to_its_file(disk: SimDisk) -> None:
    writer = disk.user.open_writer("f")
    disk.user.save("f", b"other")
    writer.write(b"lost")
    assert disk.user.read("f") == b"other"
    disk.user.link("f", "g")
    again = disk.user.open_writer("f")
    disk.user.delete("f")
    again.write(b"!")
    assert disk.user.read("g") == b"other!"


def test_folders_know_their_path() -> None:
    disk = SimDisk(Random(1), Clock())
    disk.user.mkdir("a")
    disk.user.mkdir("a/b")
    root: Inode = disk.tree.folder(disk.tree.top, "sync")
    inner = disk.tree.folder(root, "a/b")
    assert (inner.path_from(root), root.path_from(root)) == ("a/b", "")
    disk.outside.move("sync/a", "out")
    assert inner.path_from(root) is None
