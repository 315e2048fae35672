"""What every synced root on a disk promises (`ports/local_files.py`), asked of the real one and of the simulated one.

The user's side goes through `UserDisk`, over the same folder. Times are the disk's: between two looks that should differ the
clock moves.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.contract.disks import Subject, simulated

from syncline.adapters.disk.files import LinuxFiles
from syncline.model.entries import Kind
from syncline.ports.local_files import Stat
from syncline.testing.folder import FolderUser


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Subject]:
    root = tmp_path / "root"
    root.mkdir()
    files = LinuxFiles(root, umask=0o022)
    # Kernels stamp times at their clock's tick.
    yield Subject(files, FolderUser(root), lambda: time.sleep(0.011))
    files.close()


@pytest.fixture
def sim() -> Subject:
    return simulated()[1]


@pytest.fixture(params=["real", "sim"])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found


def changed(subject: Subject, act: Callable[[], object], *paths: str) -> dict[str, set[str]]:
    """Which numbers of what lies at these paths changed; a pair "old new" follows a rename."""
    ways = [path.split(" ") if " " in path else [path, path] for path in paths]
    before = [subject.files.stat(way[0]) for way in ways]
    subject.tick()
    act()
    after = [subject.files.stat(way[1]) for way in ways]
    found: dict[str, set[str]] = {}
    for path, one, other in zip(paths, before, after, strict=True):
        names = ("device", "inode", "size", "mtime_ns", "ctime_ns")
        moved = {name for name in names if getattr(one.signature, name) != getattr(other.signature, name)}
        moved |= {name for name in ("links", "executable", "kind") if getattr(one, name) != getattr(other, name)}
        found[path] = moved
    return found


# -- looking ---------------------------------------------------------------------------------------------------------------------


def test_a_folder_lists_every_entry_with_what_a_look_at_each_finds(subject: Subject) -> None:
    user, files = subject.user, subject.files
    user.mkdir("d")
    user.write("d/file", b"12345")
    user.mkdir("d/folder")
    user.symlink("d/link", "file")
    found = {stat.name: stat for stat in files.list_folder("d")}
    assert {name: stat.kind for name, stat in found.items()} == {"file": Kind.FILE, "folder": Kind.DIR, "link": None}
    assert all(files.stat(f"d/{name}") == stat for name, stat in found.items())
    assert (found["file"].signature.size, found["file"].links, found["file"].executable) == (5, 1, False)
    assert found["folder"].executable is None
    assert [stat.name for stat in files.list_folder("")] == ["d"]
    assert files.list_folder("d/folder") == []
    assert files.stat("").kind is Kind.DIR
    assert files.root_stat().signature == files.stat("").signature


ENOENT, ENOTDIR, EISDIR = FileNotFoundError, NotADirectoryError, IsADirectoryError
LOOKS = ("stat", "list_folder", "open_read", "open_write")


@pytest.mark.parametrize(
    ("path", "op", "error"),
    [
        *((path, op, ENOENT) for path in ("gone", "gone/below") for op in (*LOOKS, "remove_file", "remove_folder")),
        *(("gone/below", op, ENOENT) for op in ("create", "make_folder")),
        *(("file/below", op, ENOTDIR) for op in (*LOOKS, "create", "make_folder", "remove_file", "remove_folder")),
        ("file", "list_folder", ENOTDIR),
        *(("folder", op, EISDIR) for op in ("open_read", "open_write", "remove_file")),
        *((path, op, FileExistsError) for path in ("file", "folder", "link") for op in ("create", "make_folder")),
        ("file", "remove_folder", ENOTDIR),
        ("full", "remove_folder", errno.ENOTEMPTY),
        *(("link", op, errno.ELOOP) for op in ("open_read", "open_write")),
        ("link", "list_folder", ENOTDIR),
        *((f"{link}/x", op, ENOTDIR) for link in ("link", "way") for op in ("stat", "list_folder", "make_folder", "remove_file")),
        *((f"{link}/x", op, errno.ELOOP) for link in ("link", "way") for op in ("open_read", "open_write", "create")),
        *(("n" * 256, op, errno.ENAMETOOLONG) for op in ("stat", "open_read", "create", "make_folder")),
        *(("é" * 128, op, errno.ENAMETOOLONG) for op in ("stat", "create")),
        *(("", op, errno.EINVAL) for op in ("make_folder", "remove_folder", "remove_file")),
        ("", "open_read", EISDIR),
    ],
)
def test_refusals(subject: Subject, path: str, op: str, error: type[OSError] | int) -> None:
    user = subject.user
    user.write("file", b"x")
    user.mkdir("folder")
    user.mkdir("full")
    user.write("full/x", b"x")
    user.symlink("link", "file")
    user.symlink("way", "full")
    before = user.tree()
    with pytest.raises(OSError) as refused:
        getattr(subject.files, op)(path)
    if isinstance(error, int):
        assert refused.value.errno == error
    else:
        assert type(refused.value) is error
    assert user.tree() == before


def test_an_executable_bit_is_for_files_alone(subject: Subject) -> None:
    subject.user.mkdir("d")
    subject.user.symlink("link", "d")
    with pytest.raises(IsADirectoryError):
        subject.files.set_executable("d", True)
    with pytest.raises(OSError) as refused:
        subject.files.set_executable("link", True)
    assert refused.value.errno == errno.ELOOP


# -- files -----------------------------------------------------------------------------------------------------------------------


def test_a_file_is_written_and_read_back(subject: Subject) -> None:
    files = subject.files
    with files.create("f") as file:
        assert file.write(b"hello world") == 11
        assert file.tell() == 11
        file.seek(6)
        assert file.write(memoryview(b"WORLD!")) == 6
        file.seek(0)
        assert file.read(5) == b"hello"
        into = bytearray(10)
        assert file.readinto(into) == 7  # type: ignore[attr-defined]
        assert bytes(into[:7]) == b" WORLD!"
        assert file.read(1) == b""
        assert file.seek(0, 2) == 12
    assert subject.user.read("f") == b"hello WORLD!"
    with files.open_read("f") as file:
        assert file.read() == b"hello WORLD!"
        with pytest.raises(OSError):
            file.write(b"x")
    with pytest.raises(ValueError):
        file.read()


def test_opening_to_write_keeps_what_is_there(subject: Subject) -> None:
    subject.put("f", b"abc")
    with subject.files.open_write("f") as file:
        file.seek(1)
        file.write(b"X")
        assert file.read() == b"c"
        file.truncate(5)
    assert subject.user.read("f") == b"aXc\0\0"
    with subject.files.open_write("f") as file:
        file.truncate(2)
        file.seek(4)
        file.write(b"z")
    assert subject.user.read("f") == b"aX\0\0z"


def test_reading_once_goes_by_offset(subject: Subject) -> None:
    subject.put("f", bytes(range(100)))
    into = bytearray(40)
    with subject.files.open_read("f") as file:
        assert subject.files.read_once(file, 80, memoryview(into)) == 20
        assert bytes(into[:20]) == bytes(range(80, 100))
        assert subject.files.read_once(file, 10, memoryview(into)) == 40
        assert bytes(into) == bytes(range(10, 50))
        assert subject.files.read_once(file, 200, memoryview(into)) == 0
        assert file.tell() == 0


def test_ranges_are_copied_between_positions(subject: Subject) -> None:
    subject.put("one", b"0123456789")
    with subject.files.open_read("one") as source, subject.files.create("other") as target:
        source.seek(2)
        assert subject.files.copy_range(source, target, 5) == 5
        assert (source.tell(), target.tell()) == (7, 5)
        assert subject.files.copy_range(source, target, 50) == 3
        assert subject.files.copy_range(source, target, 50) == 0
        subject.files.settle(target, 0, 8)
        subject.files.sync_files([target])
    assert subject.user.read("other") == b"23456789"


def test_attributes_are_set_on_what_is_open(subject: Subject) -> None:
    subject.put("f")
    with subject.files.open_read("f") as file:
        subject.files.set_attributes(file, executable=True, mtime_us=1_600_000_000_000_000)
        assert subject.files.fstat_signature(file) == subject.signature("f")
    found = subject.files.stat("f")
    assert (found.executable, found.signature.mtime_ns) == (True, 1_600_000_000_000_000_000)


def test_an_open_file_stays_with_its_bytes_whatever_its_name(subject: Subject) -> None:
    subject.put("f", b"old")
    with subject.files.open_read("f") as file:
        held = subject.files.fstat_signature(file)
        subject.user.save("f", b"new")
        assert subject.files.fstat_signature(file).inode == held.inode
        assert file.read() == b"old"
        assert subject.signature("f").inode != held.inode
    writer = subject.user.open_writer("f")
    subject.user.move("f", "g")
    writer.write(b"er")
    subject.user.delete("g")
    writer.write(b"lost")
    writer.close()
    subject.user.write("g", b"other")
    assert subject.user.read("g") == b"other"


def test_a_birth_is_kept_whatever_becomes_of_the_file(subject: Subject) -> None:
    subject.put("a")
    born = subject.files.birth_ns("a")
    subject.tick()
    with subject.files.open_write("a") as file:
        file.write(b"more")
        subject.files.set_attributes(file, executable=True, mtime_us=1)
    subject.files.rename("a", "b")
    subject.put("c")
    assert born is not None
    assert subject.files.birth_ns("b") == born
    assert subject.files.birth_ns("c") != born
    subject.files.exchange("b", "c")
    assert subject.files.birth_ns("c") == born
    with pytest.raises(FileNotFoundError):
        subject.files.birth_ns("a")


def test_room_is_told(subject: Subject) -> None:
    assert subject.files.free_bytes() > 0


# -- names -----------------------------------------------------------------------------------------------------------------------


def test_a_rename_never_replaces(subject: Subject) -> None:
    user, files = subject.user, subject.files
    user.write("a", b"a")
    user.write("b", b"b")
    user.mkdir("d")
    user.mkdir("d/in")
    user.symlink("link", "a")
    for source, target in (("a", "b"), ("a", "d"), ("d", "a"), ("a", "a"), ("d", "d"), ("a", "link"), ("d", "d/in")):
        with pytest.raises(FileExistsError):
            files.rename(source, target)
    with pytest.raises(OSError) as refused:
        files.rename("d", "d/in/side")
    assert refused.value.errno == errno.EINVAL
    for source, target in (("gone", "x"), ("gone", "b"), ("a", "gone/x")):
        with pytest.raises(FileNotFoundError):
            files.rename(source, target)
    with pytest.raises(NotADirectoryError):
        files.rename("a", "b/x")
    files.rename("a", "d/a")
    files.rename("link", "d/in/link")
    files.rename("d", "e")
    assert set(user.tree()) == {"b", "e", "e/a", "e/in", "e/in/link"}


def test_an_exchange_swaps_whatever_both_are(subject: Subject) -> None:
    user, files = subject.user, subject.files
    user.write("a", b"a")
    user.mkdir("d")
    user.write("d/b", b"b")
    one, other = subject.signature("a").inode, subject.signature("d/b").inode
    files.exchange("a", "d/b")
    assert (user.read("a"), user.read("d/b")) == (b"b", b"a")
    assert (subject.signature("a").inode, subject.signature("d/b").inode) == (other, one)
    user.mkdir("e")
    files.exchange("a", "e")
    assert (user.read("e"), files.stat("a").kind) == (b"b", Kind.DIR)
    for pair in (("a", "gone"), ("gone", "a"), ("gone", "nowhere")):
        with pytest.raises(FileNotFoundError):
            files.exchange(*pair)
    with pytest.raises(OSError) as refused:
        files.exchange("d", "d/b")
    assert refused.value.errno == errno.EINVAL


def test_folders_come_and_go(subject: Subject) -> None:
    files = subject.files
    files.make_folder("d")
    files.make_folder("d/e")
    assert (files.stat("").links, files.stat("d").links) == (3, 3)
    files.sync_folders(["", "d", "gone", "d/e"])
    files.remove_folder("d/e")
    files.remove_folder("d")
    assert files.list_folder("") == []
    subject.put("f")
    files.sync_folders(["f"])
    files.remove_file("f")
    subject.user.symlink("link", "nowhere")
    files.remove_file("link")
    assert subject.user.tree() == {}


# -- signatures ------------------------------------------------------------------------------------------------------------------

TOUCHED = {"mtime_ns", "ctime_ns"}


def test_what_a_write_changes(subject: Subject) -> None:
    user = subject.user
    user.mkdir("d")
    user.write("d/f", b"x")
    assert changed(subject, lambda: user.append("d/f", b"y"), "d", "d/f", "") == {"d": set(), "d/f": {"size", *TOUCHED}, "": set()}
    assert changed(subject, lambda: user.write("d/f", b"zz"), "d", "d/f") == {"d": set(), "d/f": TOUCHED}
    assert changed(subject, lambda: user.poke("d/f", b"q"), "d/f") == {"d/f": TOUCHED}
    assert changed(subject, lambda: user.append("d/f", b""), "d/f") == {"d/f": set()}
    assert changed(subject, lambda: user.save("d/f", b"ab"), "d", "d/f") == {"d": TOUCHED, "d/f": {"inode", *TOUCHED}}
    assert changed(subject, lambda: user.save_backup("d/f", b"ac"), "d", "d/f") == {"d": TOUCHED, "d/f": {"inode", *TOUCHED}}
    assert user.tree() == {"d": (Kind.DIR, None, None), "d/f": (Kind.FILE, b"ac", False)}


def test_what_attributes_change(subject: Subject) -> None:
    user, files = subject.user, subject.files
    user.write("f", b"x")
    assert changed(subject, lambda: files.set_executable("f", True), "f", "") == {"f": {"ctime_ns", "executable"}, "": set()}
    assert changed(subject, lambda: files.set_executable("f", True), "f") == {"f": set()}
    assert changed(subject, lambda: user.chmod("f", False), "f") == {"f": {"ctime_ns", "executable"}}
    assert changed(subject, lambda: user.chmod("f", False), "f") == {"f": {"ctime_ns"}}
    assert changed(subject, lambda: user.touch("f", 10**18), "f") == {"f": TOUCHED}
    assert changed(subject, lambda: user.touch("f", 10**18), "f") == {"f": {"ctime_ns"}}
    assert subject.signature("f").mtime_ns == 10**18
    assert changed(subject, lambda: user.touch("f"), "f") == {"f": TOUCHED}


def test_what_links_change(subject: Subject) -> None:
    user, files = subject.user, subject.files
    user.mkdir("d")
    user.write("f", b"x")
    assert changed(subject, lambda: user.link("f", "d/g"), "f", "d", "") == {"f": {"ctime_ns", "links"}, "d": TOUCHED, "": set()}
    assert subject.signature("d/g") == subject.signature("f")
    assert changed(subject, lambda: user.append("f", b"y"), "d/g", "d") == {"d/g": {"size", *TOUCHED}, "d": set()}
    assert changed(subject, lambda: files.remove_file("f"), "d/g", "d", "") == {
        "d/g": {"ctime_ns", "links"},
        "d": set(),
        "": TOUCHED,
    }


@pytest.mark.parametrize("who", ["engine", "user"])
def test_what_a_rename_changes(subject: Subject, who: str) -> None:
    user = subject.user
    rename = subject.files.rename if who == "engine" else user.move
    for folder in ("d", "d/s", "e"):
        user.mkdir(folder)
    user.write("d/s/k", b"x")
    user.write("d/f", b"x")
    assert changed(subject, lambda: rename("d/f", "d/g"), "d", "d/f d/g", "") == {"d": TOUCHED, "d/f d/g": {"ctime_ns"}, "": set()}
    assert changed(subject, lambda: rename("d/g", "e/g"), "d", "e", "d/g e/g") == {
        "d": TOUCHED,
        "e": TOUCHED,
        "d/g e/g": {"ctime_ns"},
    }
    assert changed(subject, lambda: rename("d/s", "e/s"), "d", "e", "d/s e/s", "d/s/k e/s/k") == {
        "d": {"links", *TOUCHED},
        "e": {"links", *TOUCHED},
        "d/s e/s": {"ctime_ns"},
        "d/s/k e/s/k": set(),
    }
    assert changed(subject, lambda: rename("e/s", "e/t"), "e", "e/s e/t", "e/s/k e/t/k") == {
        "e": TOUCHED,
        "e/s e/t": {"ctime_ns"},
        "e/s/k e/t/k": set(),
    }


def test_what_an_exchange_changes(subject: Subject) -> None:
    user = subject.user
    user.mkdir("d")
    user.write("a", b"a")
    user.write("d/b", b"b")
    assert changed(subject, lambda: subject.files.exchange("a", "d/b"), "", "d", "a d/b", "d/b a") == {
        "": TOUCHED,
        "d": TOUCHED,
        "a d/b": {"ctime_ns"},
        "d/b a": {"ctime_ns"},
    }


def test_what_folders_change(subject: Subject) -> None:
    files = subject.files
    files.make_folder("d")
    assert changed(subject, lambda: files.make_folder("d/e"), "d", "") == {"d": {"links", *TOUCHED}, "": set()}
    assert changed(subject, lambda: files.remove_folder("d/e"), "d", "") == {"d": {"links", *TOUCHED}, "": set()}
    assert changed(subject, lambda: subject.put("d/f"), "d", "") == {"d": TOUCHED, "": set()}
    assert changed(subject, lambda: files.list_folder("d"), "d", "d/f") == {"d": set(), "d/f": set()}


OPS = (
    *("write", "save", "save_backup", "append", "mkdir", "mkdir", "delete", "move", "move", "chmod", "link", "touch"),
    *("rename", "exchange", "set_executable", "make_folder", "remove_folder", "remove_file", "create"),
)


@pytest.mark.parametrize("seed", range(4))
def test_any_course_of_things_changes_the_same_on_both(real: Subject, sim: Subject, seed: int) -> None:
    rng = Random(seed)
    seen = [looks(real), looks(sim)]
    done = 0
    for _ in range(50):
        tree = sorted(sim.user.tree())
        one, other = (
            rng.choice(tree or ["x"]) if rng.random() < 0.6 else f"{rng.choice(['', *tree])}/{rng.choice('abc')}".strip("/")
            for _ in "12"
        )
        op, flag = rng.choice(OPS), rng.random() < 0.5
        answers = []
        for subject in (real, sim):
            subject.tick()
            try:
                do(subject, op, one, other, flag)
            except OSError as error:
                answers.append(error.errno)
            else:
                answers.append(None)
        assert answers[0] == answers[1], (op, one, other)
        now = [looks(real), looks(sim)]
        assert differences(seen[0], now[0]) == differences(seen[1], now[1]), (op, one, other)
        seen = now
        done += answers[0] is None
    assert done > 10


def do(subject: Subject, op: str, one: str, other: str, flag: bool) -> None:
    user: Any = subject.user
    files: Any = subject.files
    if op == "create":
        with files.create(one) as file:
            file.write(b"1")
            files.set_attributes(file, executable=flag, mtime_us=5)
    elif op in ("write", "save", "save_backup", "append"):
        getattr(user, op)(one, b"x" if flag else b"yy")
    elif op == "move":
        # Which of two refusals comes first, of a source and of a target, is the user's program's own.
        subject.files.stat(one)
        user.move(one, other)
    elif op == "chmod":
        if user.read(one) is not None:
            user.chmod(one, flag)
    elif op == "touch":
        user.touch(one, 10**18 if flag else None)
    else:
        arguments = {"link": (one, other), "rename": (one, other), "exchange": (one, other), "set_executable": (one, flag)}
        getattr(user if op in ("mkdir", "delete", "link") else files, op)(*arguments.get(op, (one,)))


def looks(subject: Subject) -> dict[str, Stat]:
    """Every path and what a look at it finds; a listing finds the same."""
    found = {"": subject.files.stat("")}
    frontier = [""]
    while frontier:
        folder = frontier.pop()
        for listed in subject.files.list_folder(folder):
            path = f"{folder}/{listed.name}".strip("/")
            found[path] = subject.files.stat(path)
            assert found[path] == listed
            if listed.kind is Kind.DIR:
                frontier.append(path)
    return found


def differences(before: dict[str, Stat], after: dict[str, Stat]) -> dict[str, Any]:
    """What changed of each path, as long as the same inode has it."""
    found: dict[str, Any] = {}
    for path in {*before, *after}:
        one, other = before.get(path), after.get(path)
        if one is None or other is None or one.signature.inode != other.signature.inode:
            found[path] = (one is None, other is None, other and (other.kind, other.links, other.executable))
        else:
            found[path] = {
                "size": other.signature.size - one.signature.size if other.kind is Kind.FILE else 0,
                "mtime": other.signature.mtime_ns != one.signature.mtime_ns,
                "ctime": other.signature.ctime_ns != one.signature.ctime_ns,
                "rest": (other.kind, other.links, other.executable),
            }
    return found


# -- the user --------------------------------------------------------------------------------------------------------------------


def test_the_users_side(subject: Subject) -> None:
    user, files = subject.user, subject.files
    files.make_folder(".syncline")
    subject.put(".syncline/x", b"ours")
    user.mkdir("d")
    user.write("d/f", b"1")
    user.chmod("d/f", True)
    user.save("d/f", b"2")
    user.symlink("d/l", "f")
    seen = {"d": (Kind.DIR, None, None), "d/f": (Kind.FILE, b"2", True), "d/l": (None, None, None)}
    assert user.tree() == seen
    ours = {".syncline": (Kind.DIR, None, None), ".syncline/x": (Kind.FILE, b"ours", False)}
    assert user.everything() == seen | ours
    assert (user.read("d"), user.read("gone"), user.read("d/f")) == (None, None, b"2")
    with pytest.raises(FileExistsError):
        user.move("d/f", "d/l")
    for act in (
        lambda: user.append("gone", b""),
        lambda: user.delete("gone"),
        lambda: user.move("gone", "x"),
        lambda: user.write("gone/x", b""),
        lambda: user.save("gone/x", b""),
        lambda: user.save_backup("gone", b""),
        lambda: user.poke("gone", b""),
        lambda: user.open_writer("gone"),
        lambda: user.chmod("gone", True),
        lambda: user.touch("gone"),
        lambda: user.link("gone", "x"),
    ):
        with pytest.raises(FileNotFoundError):
            act()
    with pytest.raises(IsADirectoryError):
        user.write("d", b"")
    with pytest.raises(OSError):
        user.move("d", "d/e")
    assert user.tree() == seen
    user.delete("d")
    assert user.tree() == {}
