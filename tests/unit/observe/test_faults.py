"""Disks that lie, fail or vanish: every doubt resolves to keeping."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.observe.world import World

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.observe.racy import TICK_MAX_NS, is_racy, is_racy_though_set
from syncline.model.entries import Kind, Signature
from syncline.model.ids import Digest
from syncline.ports.local_files import Stat


class BentFiles(LinuxFiles):
    """The real disk, bent: some folders fail, and what is seen may be altered on the way."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failing: dict[str, int] = {}
        self.failing_once: dict[str, int] = {}
        """Single looks that fail."""
        self.bend: Callable[[str, Stat], Stat] = lambda path, stat: stat

    def list_folder(self, path: str) -> list[Stat]:
        if path in self.failing:
            raise OSError(self.failing[path], os.strerror(self.failing[path]), path)
        return [self.bend(f"{path}/{stat.name}".lstrip("/"), stat) for stat in super().list_folder(path)]

    def stat(self, path: str) -> Stat:
        if code := self.failing_once.pop(path, 0):
            raise OSError(code, os.strerror(code), path)
        return self.bend(path, super().stat(path))


@pytest.fixture
def files(tmp_path: Path) -> BentFiles:
    (tmp_path / "root").mkdir()
    return BentFiles(tmp_path / "root")


@pytest.fixture
def world(tmp_path: Path, files: BentFiles) -> World:
    return World(tmp_path / "root", files=files)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_below_an_unreadable_folder_nothing_is_deleted(world: World, files: BentFiles, code: int) -> None:
    world.write("d/e/a.txt")
    world.write("d/b.txt")
    world.write("c.txt")
    world.full()
    before = world.ids()
    world.remove("d/e/a.txt")
    files.failing["d"] = code
    observed = world.full()
    assert world.ids() == before
    assert observed.unreadable == ["d"]
    assert [(problem.code, problem.path) for problem in observed.problems] == [("folder.unreadable", "d")]
    assert observed.complete, "the rest was seen"
    del files.failing["d"]
    observed = world.full()
    world.settle()
    assert observed.problems == []
    assert "d/e/a.txt" not in world.shape()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOENT])
def test_what_was_not_believed_of_a_folder_is_looked_at_again(world: World, files: BentFiles, code: int) -> None:
    """The last file has left it, and the look at the folder itself that would tell so fails once."""
    world.write("d/a.txt")
    world.write("e/b.txt")
    world.full()
    world.agree()
    world.move("d/a.txt", "e/a.txt")
    files.failing_once["d"] = code
    world.look("d/", "e/a.txt", moved_in=True)
    assert files.failing_once == {}
    world.settle()
    assert set(world.shape()) == {"d", "e", "e/a.txt", "e/b.txt"}
    assert world.observer.scan(full=False).problems == []


def test_a_new_unreadable_folder_is_told_and_found_later(world: World, files: BentFiles) -> None:
    world.write("d/a.txt")
    files.failing["d"] = errno.EACCES
    observed = world.full()
    assert world.shape() == {}
    assert [(problem.code, problem.path) for problem in observed.problems] == [("folder.unreadable", "d")]
    files.failing.clear()
    world.full()
    assert world.shape() == {"d": Kind.DIR, "d/a.txt": Kind.FILE}


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EIO, errno.ENOTCONN])
def test_a_root_that_cannot_be_listed_deletes_nothing(world: World, files: BentFiles, code: int) -> None:
    world.write("d/a.txt")
    world.full()
    before = world.ids()
    files.failing[""] = code
    for full in (True, False):
        world.wind(10)
        world.observer.mark_folders(["", "d"])
        observed = world.observer.scan(full=full)
        assert world.ids() == before
        assert not observed.complete
    files.failing.clear()
    assert world.full().complete
    assert world.full().problems == []


def test_a_root_without_its_marker_deletes_nothing(world: World) -> None:
    world.write("d/a.txt")
    world.write("b.txt")
    world.full()
    before = world.ids()
    world.remove(".syncline")
    world.remove("d")
    world.remove("b.txt")
    for full in (True, False):
        world.wind(10)
        world.observer.mark_folders([""])
        observed = world.observer.scan(full=full)
        assert not observed.complete
        assert world.ids() == before
        assert "root.marker_missing" in {problem.code for problem in observed.problems}


def test_what_the_engine_has_on_its_way_between_two_places_is_not_deleted(world: World) -> None:
    world.write("d/a.txt")
    world.write("b.txt")
    world.full()
    before = world.ids()
    world.trees.away = frozenset((before["d"],))
    (world.at / "d").rename(world.at.parent / "staged")
    for _ in range(3):
        world.full()
    assert world.ids() == before
    world.trees.away = frozenset()
    world.full()
    world.settle()
    assert world.shape() == {"b.txt": Kind.FILE}


def test_a_disk_unmounted_inside_the_root_deletes_nothing(world: World, files: BentFiles, tmp_path: Path) -> None:
    world.write("photos/a.jpg")
    world.write("photos/2026/b.jpg")
    world.write("c.txt")

    def mounted(path: str, stat: Stat) -> Stat:
        return replace(stat, signature=replace(stat.signature, device=777)) if path.startswith("photos") else stat

    files.bend = mounted
    world.full()
    before = world.ids()
    files.bend = lambda path, stat: stat
    world.move("photos/a.jpg", "../a.jpg")
    world.move("photos/2026", "../2026")
    for _ in range(2):
        observed = world.full()
        world.settle()
        assert world.ids() == before
        assert [(problem.code, problem.path) for problem in observed.problems] == [("folder.unmounted", "photos")]
    world.look("photos/a.jpg")
    world.settle()
    assert world.ids() == before, "hints about the emptied folder do not delete either"
    world.move("../a.jpg", "photos/a.jpg")
    world.move("../2026", "photos/2026")
    files.bend = mounted
    assert world.full().problems == []
    assert world.ids() == before


def test_new_device_numbers_after_a_restart_change_no_content(world: World, files: BentFiles) -> None:
    world.write("d/a.txt")
    world.write("b.txt")
    world.full()
    world.agree()
    before = {path: world.node(path).content_hash for path in world.shape()}
    files.bend = lambda path, stat: replace(stat, signature=replace(stat.signature, device=4711))
    world.remove("b.txt")
    world.full()
    world.settle()
    assert {path: world.node(path).content_hash for path in world.shape()} == {"d": None, "d/a.txt": before["d/a.txt"]}
    assert world.node("d/a.txt").signature.device == 4711
    assert world.hashed == []
    assert world.full().changed == 0


def test_an_inode_given_to_another_file_of_the_same_size_is_no_move(world: World, files: BentFiles) -> None:
    """The file system hands out the freed inode at once, and its clock is so coarse that even the times agree."""
    world.write("a.txt", "four")
    world.full()
    world.agree()
    old = world.node("a.txt")
    world.remove("a.txt")
    world.write("b.txt", "five")
    inode = old.signature.inode

    def reused(path: str, stat: Stat) -> Stat:
        return replace(stat, signature=replace(stat.signature, inode=inode)) if path == "b.txt" else stat

    files.bend = reused
    world.full()
    assert world.node("b.txt").id != old.id
    assert world.hashed == ["b.txt"], "the content decided"


def test_a_reused_folder_inode_needs_a_surviving_child(world: World, files: BentFiles) -> None:
    world.write("a/x.txt")
    world.full()
    old = world.node("a")
    world.remove("a")
    world.write("b/y.txt")
    files.bend = lambda path, stat: (
        replace(stat, signature=replace(stat.signature, inode=old.signature.inode)) if path == "b" else stat
    )
    world.full()
    assert world.node("b").id != old.id
    assert set(world.shape()) == {"b", "b/y.txt"}


def test_a_folder_replaced_under_its_name_is_watched_anew(world: World) -> None:
    world.write("a/x.txt")
    world.full()
    before = world.ids()
    world.move("a", "../old")
    world.write("a/x.txt", "another")
    assert world.watcher is not None
    world.watcher.calls.clear()
    world.look("a", moved_in=True)
    world.settle()
    assert world.ids() == before, "same path, same kind, same node"
    assert world.watcher.calls.index(("unwatch", "a")) < world.watcher.calls.index(("watch", "a"))


# -- racy signatures ---------------------------------------------------------------------------------------------------------------


def _coarse() -> Callable[[str, Stat], Stat]:
    """A file system that counts time in two-second ticks, the first of which begins now."""
    tick, first = 2_000_000_000, time.time_ns() // TICK_MAX_NS * TICK_MAX_NS

    def told(time_ns: int) -> int:
        return first + (time_ns - first) // tick * tick

    def bend(_: str, stat: Stat) -> Stat:
        signature = stat.signature
        return replace(stat, signature=replace(signature, mtime_ns=told(signature.mtime_ns), ctime_ns=told(signature.ctime_ns)))

    return bend


def _agreed_while_racy(world: World, files: BentFiles) -> None:
    files.bend = _coarse()
    world.write("a.txt", "one", age_s=0)
    world.observer.mark_folders([""])
    world.look("a.txt", closed=True)
    assert world.node("a.txt").racy
    content = world.hash_file("a.txt", world.node("a.txt").signature)
    world.agree()
    world.trees.put_local(replace(world.node("a.txt"), racy=True, content_hash=content))
    world.trees.drain()
    world.trees.open.clear()
    world.hashed.clear()


def test_a_racy_file_is_read_again_once_and_nothing_comes_of_it(world: World, files: BentFiles) -> None:
    _agreed_while_racy(world, files)
    content = world.node("a.txt").content_hash
    world.full()
    assert world.hashed == ["a.txt"]
    assert world.node("a.txt").content_hash == content
    assert not world.node("a.txt").racy
    assert world.full().changed == 0
    assert world.hashed == ["a.txt"]


def test_a_change_hidden_in_the_tick_is_found(world: World, files: BentFiles) -> None:
    _agreed_while_racy(world, files)
    signature = world.node("a.txt").signature
    times = (world.at / "a.txt").stat()
    (world.at / "a.txt").write_text("two")
    os.utime(world.at / "a.txt", ns=(times.st_mtime_ns, times.st_mtime_ns))
    files.bend = lambda path, stat: replace(stat, signature=signature) if path == "a.txt" else stat
    before = world.node("a.txt").content_hash
    world.full()
    assert world.node("a.txt").signature == signature
    assert world.node("a.txt").content_hash != before


def test_a_hint_about_a_file_too_young_to_show_a_write_brings_another_look_once_it_would(world: World, files: BentFiles) -> None:
    """Without it, whoever is asked would say "in sync" until the next full scan."""
    _agreed_while_racy(world, files)
    signature, before = world.node("a.txt").signature, world.node("a.txt").content_hash
    (world.at / "a.txt").write_text("two")
    files.bend = lambda path, stat: replace(stat, signature=signature) if path == "a.txt" else stat
    world.look("a.txt", closed=True)
    assert (world.node("a.txt").content_hash, world.hashed) == (before, [])
    assert world.observer.is_dirty
    world.settle()
    assert world.node("a.txt").content_hash != before
    assert not world.node("a.txt").racy
    assert not world.observer.is_dirty


def test_a_mode_that_changed_within_the_tick_is_seen_and_nothing_is_read(world: World, files: BentFiles) -> None:
    world.write("run.sh")
    world.full()
    world.agree()
    before = world.node("run.sh")
    os.chmod(world.at / "run.sh", 0o755)
    files.bend = lambda path, stat: replace(stat, signature=before.signature) if path == "run.sh" else stat
    assert world.full().changed == 1
    assert world.node("run.sh") == replace(before, executable=True)
    assert world.hashed == []


def test_a_mode_that_changed_within_the_tick_is_seen_where_the_file_is_read_again(world: World, files: BentFiles) -> None:
    _agreed_while_racy(world, files)
    signature, content = world.node("a.txt").signature, world.node("a.txt").content_hash
    os.chmod(world.at / "a.txt", 0o755)
    files.bend = lambda path, stat: replace(stat, signature=signature) if path == "a.txt" else stat
    world.full()
    found = world.node("a.txt")
    assert (found.executable, found.racy, found.content_hash) == (True, False, content)


def test_without_a_reader_the_planner_is_asked(world: World, files: BentFiles) -> None:
    _agreed_while_racy(world, files)
    world.hash_file = None  # type: ignore[assignment,method-assign]
    world.observer = world.fresh_observer()
    world.full()
    assert world.node("a.txt").content_hash is None
    assert not world.node("a.txt").racy, "asked once, not for ever"


def test_a_racy_file_whose_hash_fails_is_left_to_the_planner(world: World, files: BentFiles) -> None:
    _agreed_while_racy(world, files)

    def fails(path: str, signature: Signature) -> Digest:
        raise PermissionError(errno.EACCES, "no")

    world.hash_file = fails  # type: ignore[method-assign]
    world.observer = world.fresh_observer()
    world.full()
    assert world.node("a.txt").content_hash is None


@pytest.mark.parametrize(
    ("age_ns", "ctime_tail", "racy"),
    [
        (0, 1, True),
        (39_000_000, 1, True),
        (50_000_000, 1, False),
        (50_000_000, 0, True),
        (1_999_000_000, 0, True),
        (2_000_000_000, 0, False),
        (-1_000_000, 0, True),
        (-3_000_000_000, 0, False),
    ],
)
def test_a_signature_is_racy_for_as_long_as_its_clock_is_coarse(age_ns: int, ctime_tail: int, racy: bool) -> None:
    then = 1_700_000_000_000_000_000 + ctime_tail
    assert is_racy(Signature(1, 2, 3, then, then), then + age_ns) is racy


@pytest.mark.parametrize(("mtime_age_ns", "racy"), [(0, True), (39_000_000, True), (50_000_000, False), (10**18, False)])
def test_a_time_that_was_set_hides_a_write_only_in_the_tick_that_it_names(mtime_age_ns: int, racy: bool) -> None:
    """Whatever the change time: a later write gives the file the time of that write."""
    now = 1_700_000_000_000_000_001
    assert is_racy_though_set(Signature(1, 2, 3, now - mtime_age_ns, now), now) is racy


def test_a_folder_that_can_be_read_again_is_read_at_the_next_hint(world: World, files: BentFiles) -> None:
    world.write("d/a.txt")
    world.full()
    files.failing["d"] = errno.EACCES
    world.full()
    world.write("d/b.txt")
    files.failing.clear()
    observed = world.look("d")
    assert "d/b.txt" in world.shape()
    assert observed.problems == []


def test_after_a_scan_that_failed_everything_is_looked_at_again(world: World, files: BentFiles) -> None:
    world.write("d/a.txt")
    world.full()
    world.write("d/b.txt")
    files.failing["d"] = errno.ENOENT
    files.failing[""] = errno.EIO
    world.look("d/b.txt", closed=True)
    files.failing.clear()
    assert world.observer.is_dirty
    world.settle()
    assert "d/b.txt" in world.shape()
