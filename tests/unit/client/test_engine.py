"""The engine whole, on a real folder, against a server in memory: it comes to rest, stays at rest, and says what is so."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.disk.inotify import InotifyWatcher
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.state.sqlite import SqliteTreeStore
from syncline.client.activity import Activity
from syncline.client.commits import Committer
from syncline.client.engine import Engine
from syncline.client.execute import Executor
from syncline.client.hashing import Hasher, hash_file
from syncline.client.intents import Intents
from syncline.client.observe.pull import Puller
from syncline.client.observe.scan import Observer
from syncline.client.parking import Parking
from syncline.client.parts import Parts
from syncline.client.plan.steps import Adopt, Plan
from syncline.client.receive.apply import Applier, Outcome
from syncline.client.receive.receiver import Receiver
from syncline.client.send.sender import Sender
from syncline.client.status import Problem, State
from syncline.client.trees.trees import Trees
from syncline.model.errors import CommitRefused, Corrupt, QuotaExceeded, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import Digest, NodeId
from syncline.ports.clock import Ids
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME, JournalRemote


class Device:
    """A folder and an engine over it. `rounds` counts what the control loop did."""

    def __init__(self, at: Path, remote: JournalRemote, *, once: bool = False) -> None:
        self.root = at / "root"
        self.root.mkdir(parents=True)
        self.remote = remote
        self.rounds = 0
        clock, chance = MachineClock(), MachineChance()
        ids = Ids(clock, chance)
        server: Any = remote
        self.store = SqliteTreeStore(at / "state.db")
        self.files = LinuxFiles(self.root)
        trees = Trees(HOME)
        applier = Applier(self.files, self.store, trees, ids, clock, "device")
        root_id = applier.prepare_root(None)
        activity, parking, hasher = Activity(clock), Parking(trees, clock), Hasher(self.files)
        self.watcher = InotifyWatcher(self.root)
        sender = Sender(self.files, server, self.store, at / "spool", clock, chance, lambda _: False)
        receiver = Receiver(self.files, server, self.store, clock, chance, lambda _: None)
        executor = Executor(
            trees=trees,
            store=self.store,
            applier=applier,
            sender=sender,
            receiver=receiver,
            hasher=hasher,
            committer=Committer(server, trees, ids, Intents(self.store, ids, clock)),
            parking=parking,
            activity=activity,
        )
        self.parts = Parts(
            trees=trees,
            store=self.store,
            remote=server,
            observer=Observer(self.files, self.watcher, trees, ids, clock, lambda path, known: hash_file(self.files, path, known)),
            watcher=self.watcher,
            puller=Puller(server, trees, self.store, (), fresh_id=lambda: NodeId(ids.fresh())),
            applier=applier,
            sender=sender,
            receiver=receiver,
            hasher=hasher,
            executor=executor,
            parking=parking,
            activity=activity,
            clock=clock,
            chance=chance,
            ids=ids,
            device_name="device",
            root_id=root_id,
        )
        self.engine = Engine(self.parts, once=once)
        one_round = self.engine._round

        async def counted() -> None:
            self.rounds += 1
            await one_round()

        self.engine._round = counted  # type: ignore[method-assign]

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def close(self) -> None:
        self.watcher.close()
        self.store.close()
        self.files.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        task = asyncio.create_task(self.engine.run())
        try:
            yield self.engine
        finally:
            self.engine.stop()
            await asyncio.wait_for(task, 10)
            self.close()

    async def rests(self, seconds: float = 0.5) -> int:
        """Rounds made while nothing happens."""
        await asyncio.sleep(0.2)
        before = self.rounds
        await asyncio.sleep(seconds)
        return self.rounds - before

    def codes(self) -> set[str]:
        return {problem.code for problem in self.engine.problems()}


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(checks_blocks=True)


@pytest.fixture
def device(tmp_path: Path, remote: JournalRemote) -> Device:
    return Device(tmp_path, remote)


def failing(remote: JournalRemote, error: SynclineError | None, *calls: str) -> None:
    def fault(call: str, is_after: bool) -> None:
        if error is not None and call in calls and not is_after:
            raise error

    remote.fault = fault


def names(remote: JournalRemote) -> set[str]:
    return {row.name for row in remote.nodes.values() if not row.deleted}


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def test_it_comes_to_rest_in_sync_and_stays_there(device: Device, remote: JournalRemote) -> None:
    for number in range(30):
        device.write(f"d{number % 3}/f{number}", str(number))
    async with device.running() as engine:
        assert await engine.wait(20)
        assert engine.state() is State.IN_SYNC
        assert len(names(remote)) == 33
        assert await device.rests() <= 1
        assert engine.parts.puller.roots.text(HOME) == remote.heads[-1][1]
        assert len(engine.parts.trees.synced) == 33
        assert not engine.parts.executor._outgoing.prepared


async def test_once_ends_when_all_is_done(tmp_path: Path, remote: JournalRemote) -> None:
    device = Device(tmp_path, remote, once=True)
    device.write("a/b", "text")
    await asyncio.wait_for(device.engine.run(), 20)
    assert device.engine.state() is State.IN_SYNC
    assert names(remote) == {"a", "b"}
    device.close()


@pytest.mark.parametrize(
    "error", [Unavailable(what="the server"), Unauthenticated(reason="ended"), Corrupt(what="An answer", reason="odd")]
)
async def test_once_ends_when_nothing_can_be_done(tmp_path: Path, remote: JournalRemote, error: SynclineError) -> None:
    failing(remote, error, "namespaces", "changes", "snapshot", "commit")
    device = Device(tmp_path, remote, once=True)
    device.write("a", "text")
    await asyncio.wait_for(device.engine.run(), 20)
    assert device.engine.state() is not State.IN_SYNC
    assert error.code in device.codes()
    device.close()


async def test_a_change_elsewhere_comes_and_a_change_here_goes(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        node = remote.put("theirs")
        await until(lambda: (device.root / "theirs").exists())
        device.write("ours", "text")
        await until(lambda: "ours" in names(remote))
        remote.change(Change(op=Op.DELETE, node_id=node))
        await until(lambda: not (device.root / "theirs").exists())
        assert await engine.wait(20)


async def test_the_log_names_what_was_moved_and_deleted_here(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        node = remote.put("theirs")
        assert await engine.wait(20)
        remote.change(Change(op=Op.MOVE, node_id=node, name="elsewhere"))
        assert await engine.wait(20)
        remote.change(Change(op=Op.DELETE, node_id=node))
        assert await engine.wait(20)
        told = [(line.event, line.path, line.detail) for line in engine.parts.activity.latest(10)]
        assert told == [("downloaded", "theirs", ""), ("moved", "elsewhere", "here, from theirs"), ("deleted", "elsewhere", "here")]


async def test_what_somebody_removed_of_the_state_folder_holds_nothing_up(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        kept, gone = remote.put("kept"), remote.put("gone")
        assert await engine.wait(20)
        for folder in ("tmp", "trash", "stage"):
            shutil.rmtree(device.root / ".syncline" / folder)
        remote.put("fresh")
        remote.change(Change(op=Op.MOVE, node_id=kept, name="moved"))
        remote.change(Change(op=Op.DELETE, node_id=gone))
        assert await engine.wait(20)
        assert {path.name for path in device.root.iterdir()} == {".syncline", "fresh", "moved"}


async def test_paused_it_costs_nothing_whatever_happens(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        engine.pause()
        assert not await engine.wait(5), "a paused device cannot be waited for"
        for number in range(5):
            device.write(f"f{number}", "text")
        failing(remote, Unavailable(what="the server"), "poll", "changes")
        assert await device.rests() <= 5
        assert engine.state() is State.PAUSED
        assert names(remote) == set()
        failing(remote, None)
        engine.resume()
        assert await engine.wait(20)
        assert len(names(remote)) == 5


async def test_without_its_folder_it_rests_and_says_so_at_once(device: Device, remote: JournalRemote, tmp_path: Path) -> None:
    device.write("a", "text")
    async with device.running() as engine:
        assert await engine.wait(20)
        device.root.rename(tmp_path / "away")
        engine.refresh()
        await until(lambda: engine.state() is State.ATTENTION)
        assert await device.rests() <= 1
        assert not await engine.wait(5)
        with pytest.raises(SynclineError):
            await asyncio.wait_for(engine.look(), 5)
        assert names(remote) == {"a"}
        (tmp_path / "away").rename(device.root)
        await until(lambda: engine.state() is State.IN_SYNC)


async def test_offline_it_rests_and_local_changes_wait(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        failing(remote, Unavailable(what="the server"), "changes", "namespaces", "commit", "poll", "missing", "grant")
        device.write("a", "text")
        engine.refresh()
        await until(lambda: engine.state() is State.OFFLINE)
        assert await device.rests() <= 4
        failing(remote, None)
        assert await engine.wait(20)
        assert names(remote) == {"a"}


async def test_deletions_planned_offline_over_and_over_are_charged_once(device: Device, remote: JournalRemote) -> None:
    for number in range(40):
        device.write(f"f{number}", "text")
    async with device.running() as engine:
        assert await engine.wait(20)
        failing(remote, Unavailable(what="the server"), "changes", "namespaces", "commit", "poll")
        engine.refresh()
        await until(lambda: engine.state() is State.OFFLINE)
        for number in range(40):
            (device.root / f"f{number}").unlink()
        for number in range(5):
            device.write("other", str(number))
            await asyncio.sleep(0.15)
        failing(remote, None)
        assert await engine.wait(20)
        assert names(remote) == {"other"}


async def test_a_full_quota_holds_back_files_alone_and_the_loop_rests(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        honest = remote.commit

        async def full(request: Any, *, key: str) -> Any:
            if any(change.content_hash for change in request.changes):
                raise QuotaExceeded(limit=1)
            return await honest(request, key=key)

        remote.commit = full  # type: ignore[method-assign]
        device.write("folder/film", "text")
        assert not await engine.wait(10)
        assert names(remote) == {"folder"}
        assert QuotaExceeded.code in device.codes()
        assert engine.state() is State.DEGRADED
        assert await device.rests() <= 1
        remote.commit = honest  # type: ignore[method-assign]
        engine.resume()
        assert await engine.wait(10)
        assert names(remote) == {"folder", "film"}
        assert device.codes() == set()


async def test_a_server_that_always_refuses_is_asked_a_few_times(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)

        async def refuse(request: Any, *, key: str) -> Any:
            remote.commits.append(request)
            raise CommitRefused(failures=[{"index": 0, "code": "request.invalid", "node_id": "x"}])

        remote.commit = refuse  # type: ignore[method-assign]
        device.write("a", "text")
        assert not await engine.wait(10)
        assert 1 < len(remote.commits) < 10
        assert engine.state() is State.DEGRADED
        assert await device.rests() <= 1


async def test_blocks_that_never_arrive_end_in_a_problem_not_in_a_circle(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        remote._finish = lambda pack_id: None  # type: ignore[method-assign]
        device.write("a", "text")
        assert not await engine.wait(10)
        assert len(remote.commits) < 10
        assert engine.state() is State.DEGRADED


async def test_an_unexpected_fault_is_told_and_survived(device: Device, remote: JournalRemote, monkeypatch: Any) -> None:
    monkeypatch.setattr("syncline.client.crew.FAULT_REST_S", 0.1)
    monkeypatch.setattr("syncline.client.engine.ROUND_REST_S", 0.05)
    async with device.running() as engine:
        assert await engine.wait(20)
        check, left = engine.parts.applier.check_root, 2

        def odd(expect_id: str) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                raise RuntimeError("odd")
            check(expect_id)

        engine.parts.applier.check_root = odd  # type: ignore[method-assign]
        device.write("a", "text")
        await until(lambda: names(remote) == {"a"})
        assert await engine.wait(20)
        assert device.codes() == set()


async def test_a_server_whose_root_is_wrong_is_never_in_sync_and_heals(
    device: Device, remote: JournalRemote, monkeypatch: Any
) -> None:
    monkeypatch.setattr("syncline.client.engine.ROUND_REST_S", 0.05)
    async with device.running() as engine:
        device.write("a", "text")
        assert await engine.wait(20)
        remote.lies = {"root": "f" * 64}
        assert not await engine.wait(10)
        assert engine.state() is State.DEGRADED
        assert (device.root / "a").exists()
        remote.lies = {}
        await until(lambda: engine.state() is State.IN_SYNC)
        assert len(engine.parts.trees.synced) == 1


async def test_cancelled_it_ends_its_round_before_the_store_closes(device: Device, remote: JournalRemote) -> None:
    for number in range(200):
        device.write(f"f{number}", str(number))
    task = asyncio.create_task(device.engine.run())
    await until(lambda: device.rounds > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    device.close()
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 10)


async def test_own_commits_and_theirs_in_one_breath_make_no_conflict(device: Device, remote: JournalRemote) -> None:
    """Another device edits what was just created here, before this one reads the journal again."""
    async with device.running() as engine:
        assert await engine.wait(20)
        honest = remote.commit
        theirs = Digest(hashlib.sha256(b"").hexdigest())

        async def busy(request: Any, *, key: str) -> Any:
            answer = await honest(request, key=key)
            for change in request.changes:
                if change.name == "a":
                    remote.change(Change(op=Op.EDIT, node_id=change.node_id, base_revision=1, content_hash=theirs, size=0))
            return answer

        remote.commit = busy  # type: ignore[method-assign]
        device.write("a", "ours")
        await until(lambda: (device.root / "a").read_text() == "" and "a" in names(remote))
        assert await engine.wait(20)
        assert names(remote) == {"a"}
        assert {path.name for path in device.root.iterdir()} == {"a", ".syncline"}


async def test_a_hint_ends_in_sync_until_its_scan(device: Device, remote: JournalRemote) -> None:
    device.write("a", "text")
    async with device.running() as engine:
        assert await engine.wait(20)
        for number in range(10):
            device.write("a", f"text {number}")
            seen: set[State] = set()
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while remote.nodes[next(iter(remote.nodes))].revision < number + 2:
                    if engine._crew.hints or engine.parts.observer.is_dirty:
                        seen.add(engine.state())
                    await asyncio.sleep(0)
            assert State.IN_SYNC not in seen
            assert await engine.wait(20)


async def test_a_file_that_never_finds_its_place_is_tried_less_and_less(device: Device, remote: JournalRemote) -> None:
    """A disk that says another thing at each look must not be answered by fetching as fast as the network does."""
    async with device.running() as engine:
        assert await engine.wait(20)
        honest, calls = engine.parts.applier.place, 0

        def stale(fetches: Any) -> Outcome:
            nonlocal calls
            calls += 1
            return Outcome(stale=[fetch.node for fetch, _ in fetches], rescan={""})

        engine.parts.applier.place = stale  # type: ignore[method-assign]
        remote.put("theirs")
        await until(lambda: calls >= 3)
        await asyncio.sleep(1.5)
        assert calls <= 5
        assert engine.state() is State.SYNCING
        engine.parts.applier.place = honest  # type: ignore[method-assign]
        assert await engine.wait(20)
        assert (device.root / "theirs").exists()


async def test_what_the_disk_holds_up_is_fetched_once(device: Device, remote: JournalRemote) -> None:
    async with device.running() as engine:
        assert await engine.wait(20)
        honest, locked = engine.parts.applier.place, Problem(code="file.locked", path="theirs", message="It is open.")
        submitted = 0
        submit = engine.parts.receiver.submit

        async def counted(wanted: Any) -> None:
            nonlocal submitted
            submitted += len(wanted)
            await submit(wanted)

        engine.parts.receiver.submit = counted  # type: ignore[method-assign]
        engine.parts.applier.place = lambda fetches: Outcome(problems=[locked])  # type: ignore[method-assign]
        remote.put("theirs")
        assert not await engine.wait(10)
        assert engine.state() is State.DEGRADED
        assert device.codes() == {"file.locked"}
        assert await device.rests() <= 1
        device.write("ours", "text")
        await until(lambda: "ours" in names(remote))
        engine.parts.applier.place = honest  # type: ignore[method-assign]
        assert await engine.wait(10)
        assert submitted == 1
        assert device.codes() == set()


async def test_a_folder_that_is_kept_by_what_is_not_synced_is_told_and_goes_when_it_can(
    device: Device, remote: JournalRemote
) -> None:
    device.write("d/a", "text")
    async with device.running() as engine:
        assert await engine.wait(20)
        (device.root / "d" / "link").symlink_to("/nowhere")
        folder = next(row.node_id for row in remote.nodes.values() if row.name == "d")
        remote.change(Change(op=Op.DELETE, node_id=folder, recursive=True))
        assert not await engine.wait(10)
        assert "folder.leftover" in device.codes()
        assert await device.rests() <= 1
        assert not (device.root / "d" / "a").exists()
        assert names(remote) == set()
        (device.root / "d" / "link").unlink()
        assert await engine.wait(10)
        assert not (device.root / "d").exists()


async def test_a_plan_that_changes_nothing_does_not_run_hot(device: Device, remote: JournalRemote, monkeypatch: Any) -> None:
    """Should the planner ever emit a step for ever that does nothing."""
    async with device.running() as engine:
        device.write("a", "text")
        assert await engine.wait(20)
        node = next(iter(engine.parts.trees.synced)).id
        empty = Plan(steps=(Adopt(node=node, why="again"),))
        monkeypatch.setattr("syncline.client.parts.plan", lambda *_, **__: empty)
        engine.refresh()
        await asyncio.sleep(0.5)
        assert await device.rests(1.0) <= 10
