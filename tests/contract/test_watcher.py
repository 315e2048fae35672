"""The simulated watcher says what inotify says: both watch a folder to which the same is done.

The look without the wait is compared (`_take`, `take`), since the kernel queues an event before the call that caused it returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.disk.inotify import InotifyWatcher
from syncline.model.entries import Kind
from syncline.ports.local_files import LocalFiles
from syncline.ports.watcher import Hint, Watcher
from syncline.testing.folder import FolderUser
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.watcher import SimWatcher


class Clock:
    def now_us(self) -> int:
        return 1_700_000_000_000_000

    def monotonic_s(self) -> float:
        return 0.0


class Pair:
    """A real folder and a simulated one, their users, engines and watchers."""

    def __init__(self, folder: Path) -> None:
        root = folder / "root"
        root.mkdir()
        self.disk = SimDisk(Random(1), Clock())
        self.users: tuple[Any, Any] = (FolderUser(root), self.disk.user)
        self.outsides: tuple[Any, Any] = (FolderUser(folder), self.disk.outside)
        self.files: tuple[Any, Any] = (LinuxFiles(root, umask=0o022), self.disk.files())
        self.real, self.sim = InotifyWatcher(root), SimWatcher(self.disk)
        self.watchers: tuple[Watcher, Watcher] = (self.real, self.sim)
        self.roots = ("root", "sync")

    def close(self) -> None:
        self.files[0].close()
        self.real.close()

    def user(self, op: str, *arguments: Any) -> None:
        _same([lambda user=user: getattr(user, op)(*arguments) for user in self.users])

    def engine(self, op: str, *arguments: Any) -> None:
        _same([lambda files=files: getattr(files, op)(*arguments) for files in self.files])

    def watch(self, *folders: str) -> None:
        for watcher in self.watchers:
            for folder in folders:
                watcher.watch(folder)

    def forget(self, op: str, *paths: str) -> None:
        for watcher in self.watchers:
            getattr(watcher, op)(*paths)

    def seen(self) -> dict[tuple[str, str], Hint]:
        """What both say. The order in which a folder's entries are deleted is each disk's own."""
        real = self.real._take()
        sim = self.sim.take()
        assert real.lost is None
        assert sim is None or sim.lost is None
        found = {(hint.folder, hint.name): hint for hint in real.seen}
        assert {(hint.folder, hint.name): hint for hint in (sim.seen if sim else [])} == found
        return found


def _same(acts: list[Callable[[], object]]) -> None:
    """Does both, or neither succeeds, and for one reason."""
    answers = []
    for act in acts:
        try:
            act()
        except OSError as error:
            answers.append(type(error))
        else:
            answers.append(None)
    assert answers[0] == answers[1]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    made.user("mkdir", "d")
    made.user("mkdir", "d/e")
    made.user("write", "d/f", b"x")
    made.watch("", "d", "d/e")
    yield made
    made.close()


ACTS: list[tuple[str, tuple[Any, ...], dict[tuple[str, str], Hint]]] = [
    ("write", ("new", b"x"), {("", "new"): Hint("", "new", closed=True)}),
    ("write", ("d/f", b"y"), {("d", "f"): Hint("d", "f", closed=True)}),
    ("append", ("d/f", b""), {("d", "f"): Hint("d", "f", closed=True)}),
    ("poke", ("d/f", b"y"), {("d", "f"): Hint("d", "f", closed=True)}),
    ("mkdir", ("d/new",), {("d", "new"): Hint("d", "new")}),
    ("chmod", ("d/f", True), {("d", "f"): Hint("d", "f")}),
    ("touch", ("d/f",), {("d", "f"): Hint("d", "f")}),
    ("touch", ("d",), {("", "d"): Hint("", "d"), ("d", ""): Hint("d", "")}),
    ("symlink", ("d/l", "x"), {("d", "l"): Hint("d", "l")}),
    ("link", ("d/f", "g"), {("", "g"): Hint("", "g")}),
    ("delete", ("d/f",), {("d", "f"): Hint("d", "f")}),
    ("delete", ("d/e",), {("d", "e"): Hint("d", "e"), ("d/e", ""): Hint("d/e", "", folder_gone=True)}),
    ("move", ("d/f", "d/g"), {("d", "f"): Hint("d", "f"), ("d", "g"): Hint("d", "g", moved_in=True)}),
    ("move", ("d/f", "g"), {("d", "f"): Hint("d", "f"), ("", "g"): Hint("", "g", moved_in=True)}),
    (
        "move",
        ("d/e", "e"),
        {
            ("d", "e"): Hint("d", "e"),
            ("", "e"): Hint("", "e", moved_in=True),
            ("d/e", ""): Hint("d/e", "", folder_gone=True),
        },
    ),
]


@pytest.mark.parametrize(("op", "arguments", "expected"), ACTS)
def test_what_each_act_says(pair: Pair, op: str, arguments: tuple[Any, ...], expected: dict[tuple[str, str], Hint]) -> None:
    if op == "poke":
        # Through a file opened to write, which says so when it is closed: the simulated one is mapped, and says nothing.
        pair.disk.user.poke(*arguments)
        assert pair.sim.take() is None
        return
    pair.user(op, *arguments)
    assert pair.seen() == expected


@pytest.mark.parametrize("save", ["save", "save_backup"])
def test_editors(pair: Pair, save: str) -> None:
    pair.user(save, "d/f", b"new")
    assert pair.seen()["d", "f"]


def test_a_program_that_goes_on_writing(pair: Pair) -> None:
    writers = [user.open_writer("d/f") for user in pair.users]
    for names in (("d/f", "d/g"), ("d/g", "out"), None):
        for writer in writers:
            writer.write(b"x")
        assert any(hint.written for hint in pair.seen().values())
        if names:
            pair.user("move", *names)
            pair.seen()
    pair.user("delete", "out")
    pair.seen()
    for writer in writers:
        writer.write(b"x")
        writer.close()
    assert pair.seen() == {}, "what has no name says nothing"


def test_the_root_going_away(pair: Pair) -> None:
    for outside, root in zip(pair.outsides, pair.roots, strict=True):
        outside.move(root, "away")
    assert pair.seen() == {("", ""): Hint("", "", folder_gone=True)}


def test_the_root_being_deleted_while_it_is_held(pair: Pair) -> None:
    """What was in it says so; the folder itself is not gone as long as somebody holds it."""
    for outside, root in zip(pair.outsides, pair.roots, strict=True):
        outside.delete(root)
    assert {place for place, hint in pair.seen().items() if hint.folder_gone} == {("d", ""), ("d/e", "")}


def test_a_folder_is_gone_once_nothing_of_it_is_open(pair: Pair) -> None:
    writers = [user.open_writer("d/f") for user in pair.users]
    pair.user("delete", "d")
    assert not any(hint.folder == "d" and hint.folder_gone for hint in pair.seen().values())
    for writer in writers:
        writer.close()
    assert pair.seen() == {("d", ""): Hint("d", "", folder_gone=True)}


def test_syncline_own_folder_says_nothing(pair: Pair) -> None:
    pair.engine("make_folder", ".syncline")
    pair.watch(".syncline")
    pair.user("write", ".syncline/x", b"")
    assert pair.seen() == {}


def test_watches_follow_inodes(pair: Pair) -> None:
    pair.user("move", "d", "c")
    pair.seen()
    pair.user("write", "c/e/x", b"")
    assert ("d/e", "x") in pair.seen()
    pair.forget("moved", "d", "c")
    pair.user("write", "c/e/y", b"")
    assert set(pair.seen()) == {("c/e", "y")}
    pair.forget("unwatch", "c")
    pair.user("write", "c/e/z", b"")
    assert pair.seen() == {}


OPS = ("write", "save", "append", "mkdir", "mkdir", "delete", "move", "move", "chmod", "link", "rename", "exchange", "download")


def download(files: LocalFiles, path: str) -> None:
    with files.create(path) as file:
        file.truncate(3)
        file.write(b"abc")
        files.set_attributes(file, executable=True, mtime_us=1_600_000_000_000_000)


@pytest.mark.parametrize("seed", range(30))
def test_any_course_of_things_says_the_same(tmp_path: Path, seed: int) -> None:
    """User and engine do anything, what appears is watched or not, and moves are told or found out."""
    pair, rng = Pair(tmp_path), Random(seed)
    pair.watch("")
    done: Counter[str] = Counter()
    writers: list[list[Any]] = []

    def path() -> str:
        tree = pair.disk.user.tree()
        folders = ["", *(path for path, seen in tree.items() if seen[0] is Kind.DIR)]
        if rng.random() < 0.6:
            return rng.choice(sorted(tree) or ["x"])
        return f"{rng.choice(sorted(folders))}/{rng.choice('abc')}".strip("/")

    for _ in range(120):
        op = rng.choice(OPS)
        one, other = path(), path()
        if op in ("write", "save", "append"):
            pair.user(op, one, rng.choice((b"", b"x")))
        elif op in ("move", "link"):
            pair.user(op, one, other)
        elif op in ("rename", "exchange"):
            pair.engine(op, one, other)
        elif op == "download":
            _same([partial(download, files, one) for files in pair.files])
        elif op == "chmod":
            if pair.disk.user.read(one) is not None:
                pair.user(op, one, rng.random() < 0.5)
        else:
            pair.user(op, one)
        if rng.random() < 0.2 and pair.disk.user.read(one) is not None:
            writers.append([user.open_writer(one) for user in pair.users])
        if writers and rng.random() < 0.3:
            both = rng.choice(writers)
            for writer in both:
                writer.write(b"w")
            if rng.random() < 0.3:
                writers.remove(both)
                for writer in both:
                    writer.close()
        if rng.random() < 0.7:
            done[op] += len(pair.seen())
        what = rng.random()
        if what < 0.5:
            pair.watch(one, other)
        elif what < 0.6:
            pair.forget("moved", one, other)
        elif what < 0.65:
            pair.forget("unwatch", one)
    pair.seen()
    assert pair.users[0].tree() == pair.users[1].tree()
    for writer in (each for both in writers for each in both):
        writer.close()
    assert sum(done.values()) > 20
    pair.close()
