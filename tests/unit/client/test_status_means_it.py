"""Status that means it: "in sync" is never said of anything that is not so, and what disagrees is found, told and mended."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.client.test_engine import Device, failing, names, until

from syncline.adapters.disk import linux
from syncline.adapters.machine import MachineClock
from syncline.client.status import State
from syncline.model.errors import Unavailable
from syncline.model.ids import Digest
from syncline.model.limits import HEAD_CHECK_MAX_S
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME, JournalRemote

TWO = Digest("2" * 64)
DAY_US = 86_400_000_000


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


@pytest.fixture
def device(tmp_path: Path, remote: JournalRemote) -> Device:
    return Device(tmp_path, remote)


def doubts(device: Device) -> set[str]:
    return {reason.code for reason in device.engine.claim()[2]}


async def rests_in_sync(device: Device) -> None:
    """Also the echo of the device's own doings has been looked at."""
    assert await device.engine.wait(20)
    await until(lambda: device.engine.state() is State.IN_SYNC)


async def test_what_was_done_before_the_question_is_known_to_the_answer(device: Device, remote: JournalRemote) -> None:
    """Without one step of the event loop in between: the kernel's queue itself is asked."""
    async with device.running() as engine:
        device.write("d/old", "text")
        await rests_in_sync(device)
        assert engine.claim()[2] == []
        acts = [
            lambda: device.write("d/new", "text"),
            lambda: device.write("d/old", "edited"),
            lambda: (device.root / "d/old").rename(device.root / "moved"),
            lambda: (device.root / "moved").unlink(),
            lambda: device.write("deep/er/and/deeper", "text"),
            lambda: (device.root / "deep").rename(device.root / "d/deep"),
            lambda: (device.root / "d/new").chmod(0o755),
            lambda: (device.root / "empty").mkdir(),
        ]
        for act in acts:
            act()
            assert engine.state() is State.SYNCING
            assert "hints.pending" in doubts(device)
            await rests_in_sync(device)
        assert names(remote) == {"d", "new", "deep", "er", "and", "deeper", "empty"}


async def test_news_of_the_server_is_no_sync_until_it_is_here(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await rests_in_sync(device)
        for number in range(20):
            remote.put(f"theirs{number}")
            async with asyncio.timeout(10):
                while not (device.root / f"theirs{number}").exists():
                    heard = engine.parts.puller.cursors[HOME].sequence == remote.head or engine.contact.wanted
                    assert not (heard and engine.state() is State.IN_SYNC)
                    await asyncio.sleep(0)
            await rests_in_sync(device)


async def test_times_of_the_last_looks_are_told(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert engine.lookout.scanned_us is None
        assert engine.state() is not State.IN_SYNC
        await rests_in_sync(device)
        now_us = device.parts.clock.now_us()
        told = (
            engine.lookout.scanned_us,
            engine.contact.heard_us,
            engine.witness.auditor.passed_us,
            engine.witness.verified_us[HOME],
        )
        assert all(time_us is not None and 0 <= now_us - time_us < 20_000_000 for time_us in told)


@pytest.mark.parametrize("planted", ["base", "remote", "disk", "closed", "sums"])
async def test_a_planted_disagreement_is_found_told_and_mended(device: Device, remote: JournalRemote, planted: str) -> None:
    """Each behind the engine's back: nothing but the roots can notice it."""
    for number in range(5):
        device.write(f"d/f{number}", f"text {number}")
    async with device.running() as engine:
        await rests_in_sync(device)
        trees = engine.parts.trees
        node = next(base for base in trees.synced if base.name == "f3")
        if planted == "base":
            trees.put_synced(replace(node, content_hash=TWO))
        elif planted == "remote":
            trees.put_remote(replace(trees.remote[node.id], name="other"))
        elif planted == "disk":
            trees.put_local(replace(trees.local[node.id], content_hash=TWO))
        elif planted == "closed":
            trees.remove_local(node.id)
        else:
            trees.here._disk += 1
            trees.here.version += 1
        trees.open.discard(node.id)
        if planted == "remote":
            # What the disk holds is what the server has: nothing claimed is false, and only the daily audit looks there.
            engine.witness.auditor._last_s = float("-inf")
        assert engine.state() is State.SYNCING, "the trees are not those the verdict was about"
        seen: set[State] = set()
        engine.parts.observer.mark_folders([""])
        engine._nudge()
        async with asyncio.timeout(20):
            while not [line for line in engine.parts.activity.latest(50) if line.event == "healed"]:
                seen.add(engine.state())
                await asyncio.sleep(0)
        assert planted == "remote" or State.IN_SYNC not in seen
        told = [line for line in engine.parts.activity.latest(50) if line.event == "problem"]
        assert len(told) == 1
        assert told[0].path in ("d/f3", "d/other", "")
        await rests_in_sync(device)
        assert device.codes() == set()
        assert {path.name: path.read_text() for path in (device.root / "d").iterdir()} == {f"f{n}": f"text {n}" for n in range(5)}
        assert engine.parts.trees.here.root(HOME) == remote.heads[-1][1]


async def test_a_disagreement_that_stays_is_degraded_and_does_not_run_hot(
    device: Device, remote: JournalRemote, monkeypatch: Any
) -> None:
    async with device.running() as engine:
        device.write("a", "text")
        await rests_in_sync(device)
        monkeypatch.setattr("syncline.client.witness.doubt", lambda *_: "The roots will never agree.")
        assert not await engine.wait(10)
        await until(lambda: engine.state() is State.DEGRADED)
        assert device.codes() == {"proof.mismatch"}
        assert await device.rests() <= 1
        monkeypatch.undo()
        await rests_in_sync(device)
        assert device.codes() == set()


async def test_the_daily_audit_costs_one_comparison_and_finds_nothing(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        device.write("a", "text")
        await rests_in_sync(device)
        first_us = engine.witness.auditor.passed_us
        engine.witness.auditor._last_s = float("-inf")
        device.write("b", "text")
        await until(lambda: engine.witness.auditor.passed_us != first_us)
        await rests_in_sync(device)
        assert [line.event for line in engine.parts.activity.latest(50) if line.event in ("problem", "healed")] == []


async def test_what_is_kept_off_this_disk_is_counted_and_proven(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await rests_in_sync(device)
        away = remote.put("not here")
        engine.parts.excluded = frozenset((away,))
        remote.put("here")
        await rests_in_sync(device)
        assert engine.parts.trees.here.not_here(HOME) == 1
        assert engine.parts.trees.here.root(HOME) == remote.heads[-1][1]
        assert not (device.root / "not here").exists()


async def test_a_folder_that_cannot_be_watched_is_degraded_and_a_barrier_still_answers(
    device: Device, remote: JournalRemote, monkeypatch: Any
) -> None:
    real = linux.inotify_watch

    def refuse(queue: int, folder: int, mask: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with device.running() as engine:
        await rests_in_sync(device)
        monkeypatch.setattr(linux, "inotify_watch", refuse)
        device.write("d/a", "text")
        await until(lambda: names(remote) == {"d", "a"})
        await until(lambda: engine.state() is State.DEGRADED)
        assert device.codes() == {"watcher.deaf"}
        assert doubts(device) == {"watcher.deaf"}
        device.write("d/unseen", "text")
        assert await engine.wait(20), "a barrier looks for itself"
        assert names(remote) == {"d", "a", "unseen"}
        monkeypatch.setattr(linux, "inotify_watch", real)
        engine.refresh()
        await rests_in_sync(device)
        assert device.codes() == set()


async def test_a_server_that_was_not_heard_of_for_long_is_asked(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await rests_in_sync(device)
        asked = remote.calls.count("changes")
        assert engine.contact._heard_s is not None
        engine.contact._heard_s -= HEAD_CHECK_MAX_S + 1
        assert engine.state() is not State.IN_SYNC
        assert "head.stale" in doubts(device)
        engine._nudge()
        await rests_in_sync(device)
        assert remote.calls.count("changes") == asked + 1
        assert "head.stale" not in device.codes()


async def test_offline_is_told_with_its_beginning(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await rests_in_sync(device)
        failing(remote, Unavailable(what="the server"), "changes", "namespaces", "poll")
        engine.refresh()
        await until(lambda: engine.state() is State.OFFLINE)
        assert any("offline since 20" in reason.message for reason in engine.claim()[2])
        failing(remote, None)
        await rests_in_sync(device)
        assert engine.contact.offline_since_us is None


@pytest.mark.parametrize("jump_us", [-DAY_US, DAY_US])
async def test_a_clock_set_by_a_day_while_it_runs_costs_one_look_and_loses_nothing(
    device: Device, remote: JournalRemote, monkeypatch: Any, jump_us: int
) -> None:
    """Quiet windows, racy files, moves and deletes across a jump; and nothing said of before is claimed after."""
    real = MachineClock.now_us
    async with device.running() as engine:
        for number in range(20):
            device.write(f"f{number}", str(number))
        await rests_in_sync(device)
        device.write("before", "written a moment before the jump")
        monkeypatch.setattr(MachineClock, "now_us", lambda clock: real(clock) + jump_us)
        assert engine.state() is State.SYNCING
        await rests_in_sync(device)
        assert [line.event for line in engine.parts.activity.latest(50)].count("clock") == 1
        device.write("after", "text")
        device.write("f0", "edited")
        (device.root / "f1").rename(device.root / "moved")
        (device.root / "f2").unlink()
        node = next(node for node in engine.parts.trees.remote if node.name == "f3")
        remote.change(Change(op=Op.MOVE, node_id=node.id, name="theirs"))
        await rests_in_sync(device)
        assert {path.name for path in device.root.iterdir()} - {".syncline"} == names(remote)
        assert names(remote) == {*(f"f{n}" for n in range(4, 20)), "f0", "moved", "theirs", "before", "after"}
        monkeypatch.setattr(MachineClock, "now_us", real)
        await rests_in_sync(device)
        assert device.codes() == set()


async def test_a_file_being_written_is_named_while_it_is_waited_for(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        await rests_in_sync(device)
        with (device.root / "growing").open("w") as file:
            file.write("a line")
            file.flush()
            await until(lambda: [reason.path for reason in engine.claim()[2] if reason.code == "file.unquiet"] == ["growing"])
            assert engine.state() is State.SYNCING
        await rests_in_sync(device)
