"""What only a simulated disk can be asked to be: poor, coarse, or of a spelling of its own."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest
from tests.contract.disks import HOUR_US, Hands, simulated

from syncline.model.entries import Kind
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.profile import DiskProfile


def test_names_that_differ_by_case_are_one_where_the_disk_folds_case() -> None:
    _, subject = simulated(DiskProfile(names="insensitive"))
    user, files = subject.user, subject.files
    user.write("Straße", b"x")
    assert files.stat("STRASSE").name == "STRASSE"
    assert [stat.name for stat in files.list_folder("")] == ["Straße"]
    assert user.read("strasse") == b"x"
    with pytest.raises(FileExistsError):
        files.create("STRASSE")
    user.write("strasse", b"y")
    assert user.tree() == {"Straße": (Kind.FILE, b"y", False)}
    with pytest.raises(FileExistsError):
        files.rename("straße", "STRASSE")
    user.move("straße", "STRASSE")
    assert list(user.tree()) == ["STRASSE"]
    user.save("strasse", b"z")
    user.mkdir("É")
    with pytest.raises(FileExistsError):
        files.make_folder("e\u0301")
    files.rename("strasse", "e\u0301/x")
    assert user.tree() == {"É": (Kind.DIR, None, None), "É/x": (Kind.FILE, b"z", False)}


def test_names_are_stored_decomposed_where_the_disk_does_so() -> None:
    _, subject = simulated(DiskProfile(names="nfd"))
    subject.put("é")
    assert [stat.name for stat in subject.files.list_folder("")] == ["e\u0301"]
    assert subject.files.stat("é").signature == subject.files.stat("e\u0301").signature
    subject.put("É")
    subject.files.rename("É", "ü")
    assert sorted(subject.user.tree()) == ["e\u0301", "u\u0308"]
    with pytest.raises(FileExistsError):
        subject.files.rename("é", "u\u0308")


@pytest.mark.parametrize("tick_ns", [1, 10_000_000, 1_000_000_000, 2_000_000_000])
def test_times_are_as_coarse_as_the_disks_tick(tick_ns: int) -> None:
    disk, subject = simulated(DiskProfile(tick_ns=tick_ns))
    subject.put("f")
    first = subject.signature("f")
    disk.user.write("f", b"y")
    assert (subject.signature("f") == first) == (tick_ns > 1)
    with subject.files.open_write("f") as file:
        subject.files.set_attributes(file, executable=False, mtime_us=1_600_000_001_234_567)
    assert subject.signature("f").mtime_ns == 1_600_000_001_234_567_000 // tick_ns * tick_ns
    assert subject.signature("f").ctime_ns % tick_ns == 0


def test_a_clock_that_goes_back_takes_the_times_along() -> None:
    clock = Hands()
    disk = SimDisk(Random(1), clock)
    files = disk.files()
    disk.user.write("f", b"x")
    before = files.stat("f").signature
    clock.now -= HOUR_US
    disk.user.write("f", b"y")
    assert files.stat("f").signature.mtime_ns < before.mtime_ns - 1000 * (HOUR_US - 10)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_freed_inode_goes_to_the_very_next_file(reuse: bool) -> None:
    _, subject = simulated(DiskProfile(reuse_inodes=reuse))
    subject.put("a")
    number = subject.signature("a").inode
    held = subject.files.open_read("a")
    subject.user.delete("a")
    subject.put("b")
    assert subject.signature("b").inode != number
    held.close()
    subject.put("c")
    assert (subject.signature("c").inode == number) == reuse


def test_what_a_poor_disk_cannot_do() -> None:
    _, subject = simulated(DiskProfile(has_exec=False, exchange=False))
    subject.put("a")
    subject.put("b")
    subject.files.set_executable("a", True)
    assert subject.files.stat("a").executable is None
    assert subject.user.tree()["a"] == (Kind.FILE, b"x", None)
    with pytest.raises(OSError) as refused:
        subject.files.exchange("a", "b")
    assert refused.value.errno == errno.EINVAL


def test_reads_may_be_short_but_a_bounded_read_once_is_whole() -> None:
    _, subject = simulated()
    files: Any = subject.files
    subject.put("f", b"0123456789")
    files.short_read = lambda size: size // 2
    files.short_write = lambda size: 3
    with files.open_read("f") as file:
        assert (file.read(8), file.read(1), file.readinto(bytearray(4)), file.read(100)) == (b"0123", b"4", 2, b"789")
        into = bytearray(10)
        assert files.read_once(file, 0, memoryview(into)) == 10
    with files.create("g") as file:
        assert (file.write(b"abcdef"), file.write(b"d")) == (3, 1)
    assert subject.user.read("g") == b"abcd"
