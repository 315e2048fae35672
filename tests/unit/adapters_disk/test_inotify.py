"""`InotifyWatcher`: every change leaves a hint, and what could not be seen is told."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.adapters.disk import linux
from syncline.adapters.disk.inotify import InotifyWatcher
from syncline.adapters.disk.watched import Watched
from syncline.ports.watcher import Hint, Hints


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "d/e").mkdir(parents=True)
    return folder


@pytest.fixture
def watcher(root: Path) -> Iterator[InotifyWatcher]:
    made = InotifyWatcher(root)
    for folder in ("", "d", "d/e"):
        made.watch(folder)
    yield made
    made.close()


async def after(watcher: InotifyWatcher) -> dict[tuple[str, str], Hint]:
    """Everything seen since the last look."""
    hints = await asyncio.wait_for(watcher.next(), 5)
    assert hints.lost is None
    return {(hint.folder, hint.name): hint for hint in hints.seen}


async def quiet(watcher: InotifyWatcher) -> bool:
    try:
        await asyncio.wait_for(watcher.next(), 0.1)
    except TimeoutError:
        return True
    return False


async def test_a_saved_file(watcher: InotifyWatcher, root: Path) -> None:
    (root / "d/a").write_bytes(b"x")
    assert await after(watcher) == {("d", "a"): Hint("d", "a", closed=True)}


async def test_a_file_being_written(watcher: InotifyWatcher, root: Path) -> None:
    with open(root / "d/a", "wb", buffering=0) as file:
        file.write(b"x")
        assert await after(watcher) == {("d", "a"): Hint("d", "a", written=True)}
        file.write(b"y")
        os.utime(root / "d/a")
        assert (await after(watcher))["d", "a"].written
    assert (await after(watcher))["d", "a"].closed


async def test_a_write_after_a_close_counts_as_being_written(watcher: InotifyWatcher, root: Path) -> None:
    with open(root / "a", "wb", buffering=0) as held:
        (root / "a").write_bytes(b"x")
        held.write(b"y")
        hint = (await after(watcher))["", "a"]
        assert (hint.written, hint.closed) == (True, False)


async def test_deletions_modes_and_folders(watcher: InotifyWatcher, root: Path) -> None:
    (root / "a").touch()
    (root / "b").touch()
    await after(watcher)
    (root / "a").unlink()
    (root / "b").chmod(0o700)
    (root / "new").mkdir()
    assert set(await after(watcher)) == {("", "a"), ("", "b"), ("", "new")}


async def test_both_halves_of_a_rename(watcher: InotifyWatcher, root: Path) -> None:
    (root / "a").touch()
    await after(watcher)
    (root / "a").rename(root / "d/b")
    seen = await after(watcher)
    assert seen["d", "b"].moved_in
    assert ("", "a") in seen


async def test_equal_hints_are_one(watcher: InotifyWatcher, root: Path) -> None:
    for _ in range(200):
        for name in ("a", "b"):
            with open(root / name, "ab") as file:
                file.write(b"x")
    assert sorted(await after(watcher)) == [("", "a"), ("", "b")]
    assert await quiet(watcher)


async def test_a_folder_that_goes_away(watcher: InotifyWatcher, root: Path) -> None:
    (root / "d/e").rmdir()
    seen = await after(watcher)
    assert seen["d/e", ""].folder_gone
    assert ("d", "e") in seen
    (root / "d/e").mkdir()
    watcher.watch("d/e")
    await after(watcher)
    (root / "d/e/a").touch()
    assert ("d/e", "a") in await after(watcher)


async def test_the_root_going_away_is_seen(watcher: InotifyWatcher, root: Path) -> None:
    root.rename(root.with_name("gone"))
    assert (await after(watcher))["", ""].folder_gone


async def test_a_moved_folder_is_told_under_its_new_name(watcher: InotifyWatcher, root: Path) -> None:
    (root / "d").rename(root / "new")
    watcher.moved("d", "new")
    await after(watcher)
    (root / "new/e/a").touch()
    assert set(await after(watcher)) == {("new/e", "a")}


async def test_watching_a_moved_folder_again_renames_it(watcher: InotifyWatcher, root: Path) -> None:
    (root / "d").rename(root / "new")
    watcher.watch("new")
    await after(watcher)
    (root / "new/e/a").touch()
    assert set(await after(watcher)) == {("new/e", "a")}


async def test_a_folder_replaced_under_its_name_is_watched_afresh(watcher: InotifyWatcher, root: Path) -> None:
    (root / "d/e").rename(root.with_name("elsewhere"))
    (root / "d/e").mkdir()
    watcher.watch("d/e")
    await after(watcher)
    root.with_name("elsewhere").joinpath("a").touch()
    assert await quiet(watcher)
    (root / "d/e/b").touch()
    assert set(await after(watcher)) == {("d/e", "b")}


async def test_unwatching_forgets_what_is_below(watcher: InotifyWatcher, root: Path) -> None:
    watcher.unwatch("d")
    (root / "d/a").touch()
    (root / "d/e/a").touch()
    assert await quiet(watcher)
    watcher.watch("d")
    (root / "d/b").touch()
    assert set(await after(watcher)) == {("d", "b")}


async def test_watching_twice_is_watching_once(watcher: InotifyWatcher, root: Path) -> None:
    watcher.watch("d")
    watcher.watch("d")
    (root / "d/a").touch()
    assert set(await after(watcher)) == {("d", "a")}


async def test_folders_that_are_gone_or_links_are_no_failure(watcher: InotifyWatcher, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside, target_is_directory=True)
    await after(watcher)
    for folder in ("gone", "link", "../outside"):
        watcher.watch(folder)
    (outside / "a").touch()
    assert await quiet(watcher)


async def test_the_state_folder_is_not_watched(watcher: InotifyWatcher, root: Path) -> None:
    (root / ".syncline/tmp").mkdir(parents=True)
    for folder in (".syncline", ".syncline/tmp"):
        watcher.watch(folder)
    (root / ".syncline/tmp/a").touch()
    (root / ".syncline/b").touch()
    assert await quiet(watcher)


async def test_an_overflowing_queue_is_told(watcher: InotifyWatcher, root: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the queue is too large to fill")
    names = [os.fspath(root / name) for name in "ab"]
    for name in names:
        Path(name).touch()
    for _ in range(limit // 2 + 10):
        for name in names:
            os.utime(name)
    lost: str | None = None
    for _ in range(3):
        hints = await asyncio.wait_for(watcher.next(), 5)
        lost = lost or hints.lost
        if lost:
            break
    assert lost
    await quiet(watcher)
    (root / "c").touch()
    assert ("", "c") in await after(watcher)


async def test_a_used_up_limit_is_told_once(watcher: InotifyWatcher, root: Path, monkeypatch: Any) -> None:
    real = linux.inotify_watch

    def refuse(queue: int, folder: int, mask: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    watcher.watch("")
    monkeypatch.setattr(linux, "inotify_watch", refuse)
    for name in ("x", "y"):
        watcher.watch(f"d/{name}")
    watcher.watch("d")
    hints = await asyncio.wait_for(watcher.next(), 5)
    assert hints.lost is not None
    assert "max_user_watches" in hints.lost
    with monkeypatch.context() as once:
        # Every full scan begins at the root, which is watched already.
        once.setattr(linux, "inotify_watch", real)
        watcher.watch("")
    watcher.watch("d")
    assert await quiet(watcher), "a full scan must not cause the next one"
    monkeypatch.setattr(linux, "inotify_watch", real)
    (root / "new").mkdir()
    watcher.watch("new")
    await after(watcher)
    monkeypatch.setattr(linux, "inotify_watch", refuse)
    watcher.watch("d")
    assert (await asyncio.wait_for(watcher.next(), 5)).lost


async def test_a_refusal_in_a_thread_wakes_the_waiter(watcher: InotifyWatcher, monkeypatch: Any) -> None:
    def refuse(queue: int, folder: int, mask: int) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0.05)
    monkeypatch.setattr(linux, "inotify_watch", refuse)
    await asyncio.to_thread(watcher.watch, "d")
    hints = await asyncio.wait_for(waiting, 5)
    assert hints == Hints(seen=[], lost="d cannot be watched: Permission denied")


async def test_a_machine_without_free_queues_is_told(root: Path, monkeypatch: Any) -> None:
    def refuse() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(linux, "inotify_open", refuse)
    watcher = InotifyWatcher(root)
    watcher.watch("d")
    assert (await asyncio.wait_for(watcher.next(), 5)).lost
    assert await quiet(watcher)
    watcher.close()


async def test_closing_cancels_who_waits(root: Path) -> None:
    watcher = InotifyWatcher(root)
    watcher.watch("")
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0.05)
    watcher.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_storm_of_writes_costs_few_batches(watcher: InotifyWatcher, root: Path) -> None:
    batches = 0

    async def read() -> None:
        nonlocal batches
        while True:
            await watcher.next()
            batches += 1

    def storm() -> None:
        end = time.monotonic() + 0.3
        with open(root / "a", "wb", buffering=0) as one, open(root / "b", "wb", buffering=0) as other:
            while time.monotonic() < end:
                one.write(b"x")
                other.write(b"x")

    reader = asyncio.create_task(read())
    await asyncio.to_thread(storm)
    reader.cancel()
    assert 0 < batches <= 30


# -- the names of what is watched ------------------------------------------------------------------------------------------------


def watched(*paths: str) -> Watched:
    made = Watched()
    for number, path in enumerate(paths):
        assert made.put(path, number) == []
    return made


def test_a_subtree_moves_by_one_change() -> None:
    made = watched("", *(f"d/{number}" for number in range(10_000)))
    started = time.perf_counter()
    for number in range(100):
        made.move(f"d{number or ''}", f"d{number + 1}")
    assert time.perf_counter() - started < 0.5
    assert made.path_of(5000) == "d100/4999"
    assert made.number_at("d/4999") is None
    assert made.path_of(0) == ""


def test_moving_over_another_forgets_it() -> None:
    made = watched("a", "a/x", "b", "b/y")
    assert sorted(made.move("a", "b")) == [2, 3]
    assert (made.path_of(0), made.path_of(1), made.path_of(2), len(made)) == ("b", "b/x", None, 2)


def test_moving_up_and_down() -> None:
    made = watched("a", "a/b", "a/b/c")
    assert made.move("a", "a/b/c/d") == []
    assert made.move("a/b", "a") == [0]
    assert (made.path_of(1), made.path_of(2), len(made)) == ("a", "a/c", 2)
    assert made.move("a", "x/y/z") == []
    assert made.path_of(2) == "x/y/z/c"
    assert made.number_at("a") is None


def test_an_inode_found_below_its_old_self() -> None:
    made = watched("a")
    assert made.put("a/b", 0) == []
    assert made.put("a", 7) == []
    assert (made.path_of(0), made.path_of(7)) == ("a/b", "a")


def test_what_the_kernel_dropped_is_forgotten() -> None:
    made = watched("a", "a/b")
    made.ignored(0)
    made.ignored(99)
    assert (made.path_of(0), made.path_of(1), made.number_at("a")) == (None, "a/b", None)
    made.ignored(1)
    assert len(made) == 0
    assert made.drop("a") == []


# -- what a status may rely on ----------------------------------------------------------------------------------------------------


async def test_what_was_done_is_unread_until_its_batch_is_taken(watcher: InotifyWatcher, root: Path) -> None:
    assert not watcher.is_unread()
    for act in (
        lambda: (root / "d/a").write_bytes(b"x"),
        lambda: (root / "d/a").rename(root / "d/e/b"),
        lambda: (root / "d/e/b").chmod(0o700),
        lambda: (root / "d/e/b").unlink(),
        lambda: (root / "d/new").mkdir(),
    ):
        act()
        assert watcher.is_unread()
        await after(watcher)
        assert not watcher.is_unread()
    (root / "d/new/unseen").touch()
    assert not watcher.is_unread(), "nobody watches there"


async def test_it_is_deaf_while_any_folder_is_refused(watcher: InotifyWatcher, root: Path, monkeypatch: Any) -> None:
    real = linux.inotify_watch

    def refuse(queue: int, folder: int, mask: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("x", "x/y", "z"):
        (root / name).mkdir()
    await after(watcher)
    assert watcher.deaf() is None
    monkeypatch.setattr(linux, "inotify_watch", refuse)
    for name in ("x", "x/y", "z"):
        watcher.watch(name)
    assert watcher.is_unread(), "the loss is news"
    assert (await asyncio.wait_for(watcher.next(), 5)).lost
    assert not watcher.is_unread()
    assert "x and 2 more cannot be watched" in (watcher.deaf() or "")
    monkeypatch.setattr(linux, "inotify_watch", real)
    watcher.watch("z")
    assert "x and 1 more" in (watcher.deaf() or ""), "one that is watched again says nothing of the others"
    watcher.unwatch("x")
    assert watcher.deaf() is None, "what is gone need not be watched"


def test_without_a_queue_it_is_deaf_for_good(root: Path, monkeypatch: Any) -> None:
    def refuse() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(linux, "inotify_open", refuse)
    watcher = InotifyWatcher(root)
    watcher.watch("d")
    assert "Too many open files" in (watcher.deaf() or "")
    watcher.close()
