"""What sending promises: one result a job, few round trips, every block once, and nothing believed of a file that moved."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
from typing import Any

import pytest
from tests.unit.send.kit import HOME, Device, running

from syncline.client.send.jobs import Prepared, SendFailed
from syncline.client.send.packing import BLOCKS_MAX
from syncline.client.send.spool import RECORD_ABOVE_BYTES
from syncline.model.errors import (
    ChangedWhileRead,
    DiskFull,
    Forbidden,
    QuotaExceeded,
    SynclineError,
    Unavailable,
    Unreadable,
)
from syncline.model.ids import EMPTY_DIGEST
from syncline.model.limits import BATCH_MAX, MIB, PACK_MAX_BYTES, PACKS_IN_FLIGHT
from syncline.ports.tree_store import Changes
from syncline.testing.content_remote import ContentRemote

random_bytes = random.Random(7).randbytes


async def test_a_small_file_goes_in_four_round_trips(device: Device, remote: ContentRemote) -> None:
    job = device.write("note.txt", b"hello " * 100)
    done = await device.send_one(job)
    assert remote.calls == ["missing", "grant", "put", "done"]
    assert done.content_hash == hashlib.sha256(b"hello " * 100).hexdigest()
    assert done.blocks == [done.content_hash]
    assert done.manifest.size == 600
    assert set(done.blocks) <= remote.held[HOME]
    assert device.spooled() == []
    assert device.store.spooled() == []


async def test_the_empty_file_needs_no_server(device: Device, remote: ContentRemote) -> None:
    done = await device.send_one(device.write("empty", b""))
    assert (done.content_hash, done.blocks, done.size) == (EMPTY_DIGEST, [], 0)
    assert remote.calls == []


async def test_many_small_files_travel_together(device: Device, remote: ContentRemote) -> None:
    jobs = [device.write(f"d{number % 7}/f{number}", b"%d" % number * 9) for number in range(2500)]
    results = await device.send(*jobs)
    assert all(isinstance(result, Prepared) for result in results.values())
    assert remote.calls.count("missing") == -(-len(jobs) // BATCH_MAX)
    assert remote.calls.count("put") <= -(-len(jobs) // BLOCKS_MAX) + 1


async def test_a_long_file_is_cut_and_hashed_whole(device: Device, remote: ContentRemote) -> None:
    data = random_bytes(37 * MIB + 12345)
    done = await device.send_one(device.write("film.mkv", data))
    assert done.content_hash == hashlib.sha256(data).hexdigest()
    assert len(done.blocks) > 37
    assert sum(block.size for block in done.manifest.blocks) == len(data)
    at = 0
    for block in done.manifest.blocks:
        assert hashlib.sha256(data[at : at + block.size]).hexdigest() == block.hash
        at += block.size
    assert all(len(pack) <= PACK_MAX_BYTES for pack in remote.objects.values())
    assert remote.calls.count("missing") <= 6
    assert device.spooled() == []


async def test_equal_blocks_in_flight_are_sent_once(device: Device, remote: ContentRemote) -> None:
    data = random_bytes(3 * MIB)
    jobs = [device.write(f"copy{number}", data) for number in range(5)]
    results = await device.send(*jobs)
    assert len({result.content_hash for result in results.values() if isinstance(result, Prepared)}) == 1
    assert sum(map(len, remote.objects.values())) < 1.1 * len(data)


async def test_what_the_namespace_has_is_not_asked_for(device: Device, remote: ContentRemote) -> None:
    job = device.write("a", b"known content")
    sender = device.sender(lambda content: content == hashlib.sha256(b"known content").hexdigest())
    await device.send_one(job, sender)
    assert remote.calls == []


async def test_a_certain_job_asks_all_the_same(device: Device, remote: ContentRemote) -> None:
    done = await device.send_one(device.write("a", b"known content", certain=True), device.sender(lambda _: True))
    assert remote.calls == ["missing", "grant", "put", "done"]
    assert set(done.blocks) <= remote.held[HOME]


async def test_an_edit_of_a_long_file_sends_what_changed(device: Device, remote: ContentRemote) -> None:
    data = bytearray(random_bytes(24 * MIB))
    job = device.write("big", bytes(data))
    first = await device.send_one(job)
    before = remote.traffic.sent_bytes
    data[11 * MIB : 11 * MIB + 100] = b"x" * 100
    second = await device.send_one(device.write("big", bytes(data)))
    assert remote.traffic.sent_bytes - before < 3 * MIB
    assert len(set(second.blocks) - set(first.blocks)) <= 3


async def test_blocks_held_in_local_files_are_not_asked_for(device: Device, remote: ContentRemote) -> None:
    from syncline.model.entries import Kind, LocalNode

    data = random_bytes(9 * MIB)
    job = device.write("big", data)
    first = await device.send_one(job)
    node = LocalNode(id=job.node, parent=HOME, name="big", kind=Kind.FILE, signature=job.signature, content_hash=first.content_hash)
    device.store.write(Changes(local_put=[node], manifest_put=[first.manifest]))
    remote.calls.clear()
    again = await device.send_one(device.write("copy", data))
    assert again.blocks == first.blocks
    assert remote.calls == []


async def test_short_files_do_not_wait_for_a_long_one(device: Device, remote: ContentRemote) -> None:
    long = device.write("film", random_bytes(40 * MIB))
    short = device.write("note", b"hi")
    sender = device.sender()
    async with running(sender.run):
        await sender.submit(long)
        await sender.submit(short)
        assert (await sender.results.get()).node == short.node
        assert (await sender.results.get()).node == long.node


# -- files that do not rest ----------------------------------------------------------------------------------------------------


async def test_a_file_changed_since_it_was_seen_is_refused(device: Device) -> None:
    job = device.write("a", b"one")
    (device.root / "a").write_bytes(b"other")
    good = device.write("b", b"fine")
    results = await device.send(job, good)
    failed = results[job.node]
    assert isinstance(failed, SendFailed)
    assert isinstance(failed.error, ChangedWhileRead)
    assert isinstance(results[good.node], Prepared)


class Meddling:
    """The disk, with a hand that changes files between two system calls."""

    def __init__(self, files: Any, meddle: Any) -> None:
        self._files = files
        self._meddle = meddle
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open_read(self, path: str) -> Any:
        return MeddledFile(self._files.open_read(path), lambda: self._meddle(path))


class MeddledFile:
    def __init__(self, file: Any, meddle: Any) -> None:
        self._file, self._meddle = file, meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._meddle()
        return int(count)

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._meddle()
        return data


def _append(path: Any) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def _overwrite(path: Any) -> None:
    with open(path, "r+b") as file:
        file.write(b"\xff")


def _replace(path: Any) -> None:
    other = path.with_name("other")
    other.write_bytes(b"other")
    os.replace(other, path)


@pytest.mark.parametrize("size", [1000, 300_000, 20 * MIB])
@pytest.mark.parametrize("how", [_append, _overwrite, _replace, os.unlink, lambda path: os.truncate(path, 10)])
async def test_a_file_changed_while_it_is_read_is_refused(device: Device, size: int, how: Any) -> None:
    job = device.write("a", random_bytes(size))
    done = []

    def meddle(path: str) -> None:
        if not done:
            done.append(path)
            how(device.root / path)

    device.files = Meddling(device.files, meddle)
    result = (await device.send(job))[job.node]
    assert isinstance(result, SendFailed)
    assert isinstance(result.error, ChangedWhileRead)


async def test_a_file_that_may_not_be_read_says_so(device: Device) -> None:
    job = device.write("a", b"secret")

    class Denied(Meddling):
        def open_read(self, path: str) -> Any:
            raise PermissionError(errno.EACCES, "Permission denied")

    device.files = Denied(device.files, None)
    result = (await device.send(job))[job.node]
    assert isinstance(result, SendFailed)
    assert isinstance(result.error, Unreadable)


# -- servers that fail ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["missing", "grant", "put", "done"])
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("error", [Unavailable(what="the server"), QuotaExceeded(limit=1)])
async def test_a_failing_call_fails_its_files_and_leaves_nothing(
    device: Device, remote: ContentRemote, call: str, is_after: bool, error: SynclineError
) -> None:
    def fault(name: str, after: bool) -> None:
        if (name, after) == (call, is_after):
            raise error

    remote.fault = fault
    jobs = [device.write("small", b"s" * 50), device.write("large", random_bytes(RECORD_ABOVE_BYTES * 2))]
    sender = device.sender()
    async with running(sender.run):
        for job in jobs:
            await sender.submit(job)
        for _ in jobs:
            result = await asyncio.wait_for(sender.results.get(), 10)
            assert isinstance(result, SendFailed)
            assert result.error is error
        assert device.spooled() == []
        assert device.store.spooled() == []
        # The same sender goes on once the fault is over.
        remote.fault = lambda name, after: None
        for job in jobs:
            await sender.submit(job)
        for _ in jobs:
            assert isinstance(await asyncio.wait_for(sender.results.get(), 10), Prepared)


async def test_an_expired_grant_is_asked_for_again(device: Device, remote: ContentRemote) -> None:
    expired = []

    def fault(name: str, after: bool) -> None:
        if name == "put" and not after and not expired:
            expired.append(True)
            raise Forbidden(what="use this address any longer")

    remote.fault = fault
    await device.send_one(device.write("a", b"bytes"))
    assert remote.calls == ["missing", "grant", "put", "grant", "put", "done"]


async def test_a_grant_that_always_expires_is_given_up(device: Device, remote: ContentRemote) -> None:
    def fault(name: str, after: bool) -> None:
        if name == "put":
            raise Forbidden(what="use this address any longer")

    remote.fault = fault
    job = device.write("a", b"bytes")
    result = (await device.send(job))[job.node]
    assert isinstance(result, SendFailed)
    assert isinstance(result.error, Forbidden)


async def test_a_pack_the_store_lost_is_sent_again(device: Device, remote: ContentRemote) -> None:
    def fault(name: str, after: bool) -> None:
        if name == "put" and after and remote.calls.count("put") == 1:
            remote.objects.clear()

    remote.fault = fault
    done = await device.send_one(device.write("a", b"bytes"))
    assert set(done.blocks) <= remote.held[HOME]
    assert remote.calls.count("put") == 2


async def test_a_full_spool_fails_the_files_it_stops_and_later_goes_on(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncline.client.send import packing

    class Full(packing.PackWriter):
        def add(self, *args: Any, **options: Any) -> Any:
            if self.block_count == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().add(*args, **options)

    jobs = [device.write(f"f{number}", b"%d" % number * 30) for number in range(5)]
    sender = device.sender()
    monkeypatch.setattr(packing, "PackWriter", Full)
    results = await device.send(*jobs, sender=sender)
    assert all(isinstance(result, SendFailed) and isinstance(result.error, DiskFull) for result in results.values())
    assert device.spooled() == []
    monkeypatch.undo()
    results = await device.send(*jobs, sender=sender)
    assert all(isinstance(result, Prepared) for result in results.values())


# -- changing one's mind, and being killed ---------------------------------------------------------------------------------------


async def test_a_cancelled_job_gives_no_result(device: Device, remote: ContentRemote) -> None:
    sender = device.sender()
    gone, kept = device.write("gone", random_bytes(20 * MIB)), device.write("kept", b"kept")
    async with running(sender.run):
        await sender.submit(gone)
        while not remote.calls:
            await asyncio.sleep(0.001)
        sender.cancel(gone.node)
        await sender.submit(kept)
        assert (await asyncio.wait_for(sender.results.get(), 10)).node == kept.node
        assert sender.pending == (0, 0)
        assert sender.results.empty()


async def test_a_newer_job_for_the_same_node_replaces_the_older(device: Device) -> None:
    sender = device.sender()
    old = device.write("a", b"old")
    new = device.write("a", b"newer", node=old.node)
    async with running(sender.run):
        await sender.submit(old)
        await sender.submit(new)
        result = await asyncio.wait_for(sender.results.get(), 10)
        assert isinstance(result, Prepared)
        assert result.size == 5
        assert sender.results.empty()


@pytest.mark.parametrize("moment", [("put", False), ("put", True), ("done", False), ("done", True)])
async def test_a_kill_costs_at_most_the_packs_in_flight(device: Device, remote: ContentRemote, moment: tuple[str, bool]) -> None:
    job = device.write("film", random_bytes(90 * MIB))
    sender = device.sender()
    dead = asyncio.Event()

    def fault(name: str, after: bool) -> None:
        if (name, after) == moment and remote.calls.count(name) >= 2:
            dead.set()
        if dead.is_set():
            raise asyncio.CancelledError

    remote.fault = fault
    task = asyncio.create_task(sender.run())
    await sender.submit(job)
    await asyncio.wait_for(dead.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rows = device.store.spooled()
    assert 0 < len(rows) <= PACKS_IN_FLIGHT
    # Like a kill: whatever lay in the spool still does. One pack is damaged, as a power cut would leave it.
    with open(device.spool / rows[-1].file_name, "r+b") as file:
        file.seek(100)
        file.write(b"damage")
    remote.fault = lambda name, after: None
    done = await device.send_one(job)
    assert set(done.blocks) <= remote.held[HOME]
    assert remote.traffic.sent_bytes < 90 * MIB + (PACKS_IN_FLIGHT + 1) * PACK_MAX_BYTES
    assert device.spooled() == []
    assert device.store.spooled() == []


async def test_a_restart_sends_the_same_packs_and_reads_their_blocks_no_more(device: Device, remote: ContentRemote) -> None:
    job = device.write("photo", random_bytes(3 * MIB))

    def fault(name: str, after: bool) -> None:
        if name == "put":
            raise asyncio.CancelledError

    remote.fault = fault
    task = asyncio.create_task((sender := device.sender()).run())
    await sender.submit(job)
    while not device.store.spooled():
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    remote.fault = lambda name, after: None
    remote.calls.clear()
    await device.send_one(job)
    assert remote.calls.count("put") == 1
    assert remote.traffic.sent_bytes < 3.1 * MIB
