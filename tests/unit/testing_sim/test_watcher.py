"""What may befall the simulated watcher: what the contract with inotify leaves open."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from random import Random

import pytest

from syncline.adapters.disk.inotify import OVERFLOWED, WATCHES_USED_UP
from syncline.ports.watcher import Hint, Hints
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.watcher import SimWatcher, WatcherFaults


class Clock:
    def now_us(self) -> int:
        return 1_700_000_000_000_000

    def monotonic_s(self) -> float:
        return 0.0


def watched(faults: WatcherFaults | None = None, seed: int = 1) -> tuple[SimDisk, SimWatcher]:
    disk = SimDisk(Random(seed), Clock())
    disk.user.mkdir("d")
    disk.user.write("d/f", b"x")
    watcher = SimWatcher(disk, faults=faults)
    watcher.watch("")
    watcher.watch("d")
    return disk, watcher


def places(hints: Hints | None) -> list[tuple[str, str]]:
    return [] if hints is None else [(hint.folder, hint.name) for hint in hints.seen]


async def test_who_waits_is_woken_by_what_the_engine_does_too() -> None:
    disk, watcher = watched()
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    disk.files().make_folder("d/new")
    assert await waiting == Hints([Hint("d", "new")])
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    watcher.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    disk.user.mkdir("d/other")
    assert watcher.take() is None


async def test_a_mapped_file_says_nothing() -> None:
    disk, watcher = watched()
    disk.user.poke("d/f", b"y")
    assert watcher.take() is None


async def test_a_delay_passes_by_itself_where_a_loop_runs() -> None:
    disk, watcher = watched(WatcherFaults(delay=1.0, delay_s=(0.0, 0.0)))
    disk.user.mkdir("new")
    assert (watcher.take(), watcher.held) == (None, 1)
    assert places(await asyncio.wait_for(watcher.next(), 5)) == [("", "new")]


def test_what_is_delayed_comes_when_it_is_delivered_and_tells_of_paths_gone() -> None:
    disk, watcher = watched(WatcherFaults(delay=1.0))
    disk.user.mkdir("new")
    disk.user.delete("new")
    disk.user.move("d", "e")
    watcher.moved("d", "e")
    assert watcher.take() is None
    watcher.deliver()
    assert places(watcher.take()) == [("", "new"), ("", "d"), ("", "e"), ("e", "")]


def test_the_halves_of_a_move_come_apart() -> None:
    disk, watcher = watched(WatcherFaults(split=1.0))
    disk.user.move("d/f", "g")
    assert (places(watcher.take()), places(watcher.take()), watcher.take()) == ([("d", "f")], [("", "g")], None)


def test_the_halves_of_a_move_come_in_the_other_order() -> None:
    disk, watcher = watched(WatcherFaults(split=1.0, swap=1.0, delay=1.0))
    disk.user.move("d/f", "g")
    watcher.deliver()
    assert (places(watcher.take()), places(watcher.take()), watcher.take()) == ([("", "g")], [("d", "f")], None)


def test_a_duplicate_comes_in_a_later_batch() -> None:
    disk, watcher = watched(WatcherFaults(duplicate=1.0))
    disk.user.mkdir("new")
    assert (places(watcher.take()), places(watcher.take()), watcher.take()) == ([("", "new")], [("", "new")], None)


def test_coalesced_events_name_the_folder_alone() -> None:
    disk, watcher = watched(WatcherFaults(coalesce=1.0))
    disk.user.save("d/f", b"y")
    assert watcher.take() == Hints([Hint("d", "")])


def test_a_full_queue_is_told_once_and_works_again_when_it_was_emptied() -> None:
    disk, watcher = watched(WatcherFaults(queue_max=3))
    for number in range(9):
        disk.user.mkdir(str(number))
    hints = watcher.take()
    assert hints is not None
    assert (places(hints), hints.lost) == ([("", "0"), ("", "1"), ("", "2")], OVERFLOWED)
    disk.user.mkdir("more")
    assert watcher.take() == Hints([Hint("", "more")])


def test_a_loss_may_be_brought_about() -> None:
    disk, watcher = watched()
    disk.user.mkdir("new")
    watcher.lose()
    assert watcher.take() == Hints([], lost=OVERFLOWED)
    assert watcher.take() is None


def test_watches_that_are_used_up_are_told_once() -> None:
    disk, watcher = watched(WatcherFaults(watches_max=2))
    disk.user.mkdir("e")
    assert watcher.take() == Hints([Hint("", "e")])
    for _ in range(2):
        watcher.watch("e")
    assert watcher.take() == Hints([], lost=WATCHES_USED_UP)
    watcher.watch("e")
    assert watcher.take() is None
    watcher.unwatch("d")
    watcher.watch("e")
    assert watcher.paths() == ["", "e"]
    watcher.watch("d")
    assert watcher.take() == Hints([], lost=WATCHES_USED_UP)


def test_a_folder_that_cannot_be_watched_is_told_and_one_that_is_gone_is_not() -> None:
    _, watcher = watched()
    watcher.watch("gone")
    watcher.watch("d/f")
    assert watcher.take() is None
    watcher.refuse = lambda folder: errno.EACCES if folder == "d" else None
    watcher.watch("d")
    assert watcher.take() == Hints([], lost="d cannot be watched: Permission denied")


def test_a_deaf_watcher_says_nothing_and_hears_again() -> None:
    disk, watcher = watched()
    watcher.is_deaf = True
    disk.user.delete("d")
    disk.user.mkdir("d")
    watcher.watch("d")
    assert watcher.take() is None
    watcher.is_deaf = False
    disk.user.write("d/new", b"")
    assert places(watcher.take()) == [("d", "new")]


def test_a_disk_pulled_out_takes_its_watches_along() -> None:
    disk, watcher = watched()
    disk.unmount(empty=True)
    hints = watcher.take()
    assert hints is not None
    assert {(hint.folder, hint.folder_gone) for hint in hints.seen} == {("", True), ("d", True)}
    watcher.watch("")
    assert watcher.take() == Hints([], lost="the folder cannot be watched: Input/output error")
    disk.mount()
    watcher.watch("")
    disk.user.mkdir("new")
    assert places(watcher.take()) == [("", "new")]


def test_the_power_going_ends_all_watches() -> None:
    disk, watcher = watched()
    disk.power_loss()
    disk.user.mkdir("new")
    assert watcher.take() is None
    watcher.close()
    again = SimWatcher(disk)
    again.watch("")
    disk.user.mkdir("newer")
    assert places(again.take()) == [("", "newer")]


def test_a_closed_watcher_holds_nothing() -> None:
    disk, watcher = watched()
    root = disk.tree.folder(disk.tree.top, "sync")
    held = root.handles
    watcher.close()
    watcher.close()
    assert (root.handles, root.watchers) == (held - 1, {})


def test_whatever_befalls_it_every_change_is_told_in_the_end() -> None:
    """With every fault but the overflow at work, in some order and some batch the folder of each change is named."""
    kinds: Counter[int] = Counter()
    for seed in range(200):
        faults = WatcherFaults(delay=0.4, split=0.3, swap=0.5, duplicate=0.2, coalesce=0.2)
        runs = []
        for _ in range(2):
            disk, watcher = watched(faults, seed)
            rng, told, due = Random(seed), [], set()
            for number in range(20):
                folder = rng.choice(("", "d"))
                disk.user.mkdir(f"{folder}/{number}".strip("/"))
                due.add(folder)
                hints = watcher.take() if rng.random() < 0.5 else None
                told += places(hints)
            watcher.deliver()
            batches = 0
            while (hints := watcher.take()) is not None:
                told += places(hints)
                batches += 1
            assert due <= {folder for folder, _ in told}
            assert watcher.held == 0
            kinds[batches] += 1
            runs.append(told)
        assert runs[0] == runs[1]
    assert len(kinds) > 3
