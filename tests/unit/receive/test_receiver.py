"""What receiving promises: verified bytes, fetched once, in few reads, and resumed rather than begun again."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.send.kit import HOME, Device, running

from syncline.client.receive import content as content_module
from syncline.client.receive import receiver as receiver_module
from syncline.client.receive.fetched import Fetched, FetchFailed, Wanted
from syncline.client.receive.holes import RUN_BYTES, filled
from syncline.client.receive.ranges import RANGE_MAX_BYTES
from syncline.client.send.jobs import Prepared
from syncline.model.blocks import Block, Manifest
from syncline.model.entries import Kind, LocalNode
from syncline.model.errors import CorruptBlock, CorruptManifest, DiskFull, Forbidden, LocalIo, NotFound, SynclineError, Unavailable
from syncline.model.ids import Digest
from syncline.model.limits import BATCH_MAX, KIB, MIB
from syncline.ports.tree_store import Changes
from syncline.testing.content_remote import ContentRemote
from syncline.testing.faulty import Faulty

random_bytes = random.Random(11).randbytes


@pytest.fixture
def other(tmp_path: Path, remote: ContentRemote) -> Iterator[Device]:
    other = Device(tmp_path / "two", remote)
    yield other
    other.store.close()
    other.files.close()


async def published(device: Device, remote: ContentRemote, contents: dict[str, bytes]) -> list[Wanted]:
    jobs = [device.write(name, data) for name, data in contents.items()]
    results = await device.send(*jobs)
    remote.calls.clear()
    return device.publish(result for job in jobs if isinstance(result := results[job.node], Prepared))


def parts(device: Device, suffix: str = ".part") -> list[Path]:
    return sorted((device.root / ".syncline/tmp").glob(f"*{suffix}"))


async def test_a_small_file_comes_in_two_round_trips(device: Device, other: Device, remote: ContentRemote) -> None:
    [want] = await published(device, remote, {"note": b"hello " * 99})
    got = (await other.receive([want]))[want.node]
    assert remote.calls == ["manifests", "read"]
    assert other.bytes_of(got) == b"hello " * 99
    assert isinstance(got, Fetched)
    assert got.manifest is None
    seen = (other.root / got.temp_path).stat()
    assert seen.st_mtime_ns == want.mtime_us * 1000
    assert stat.S_IMODE(seen.st_mode) & 0o111 == 0


async def test_the_executable_bit_comes_along(device: Device, other: Device, remote: ContentRemote) -> None:
    [want] = await published(device, remote, {"run.sh": b"#!/bin/sh\n"})
    from msgspec.structs import replace

    got = (await other.receive([replace(want, executable=True)]))[want.node]
    assert isinstance(got, Fetched)
    assert (other.root / got.temp_path).stat().st_mode & 0o100


async def test_empty_files_need_no_server(device: Device, other: Device, remote: ContentRemote) -> None:
    wanted = await published(device, remote, {"a": b"", "b": b""})
    results = await other.receive(wanted)
    assert [other.bytes_of(got) for got in results.values()] == [b"", b""]
    assert remote.calls == []


async def test_many_small_files_come_in_few_reads_and_batches(device: Device, other: Device, remote: ContentRemote) -> None:
    contents = {f"f{number}": b"%d" % number * 50 for number in range(2200)}
    wanted = await published(device, remote, contents)
    receiver = other.receiver()
    batches = []
    async with running(receiver.run):
        await receiver.submit(wanted)
        while sum(map(len, batches)) < len(wanted):
            batches.append(await asyncio.wait_for(receiver.results.get(), 20))
    assert sorted(other.bytes_of(got) for batch in batches for got in batch) == sorted(contents.values())
    assert remote.calls.count("manifests") == 3
    assert remote.calls.count("read") <= 8
    assert len(batches) <= 8
    assert all(len(batch) <= BATCH_MAX for batch in batches)


async def test_a_long_file_is_whole_and_its_manifest_handed_on(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(37 * MIB + 5)
    [want] = await published(device, remote, {"film": data})
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data
    assert isinstance(got, Fetched)
    assert got.manifest is not None
    assert got.manifest.content_hash == want.content_hash
    assert all(length <= RANGE_MAX_BYTES for _, _, length in remote.ranges)
    assert remote.calls.count("read") <= 15
    assert parts(other) == []


async def test_zeros_are_left_as_holes(device: Device, other: Device, remote: ContentRemote) -> None:
    data = bytes(8 * MIB) + b"end" + bytes(8 * MIB)
    [want] = await published(device, remote, {"image": data})
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data
    assert isinstance(got, Fetched)
    assert (other.root / got.temp_path).stat().st_blocks * 512 < 4 * MIB


async def test_zeros_between_bytes_are_left_as_holes_also_by_one_that_goes_on(
    device: Device, other: Device, remote: ContentRemote
) -> None:
    data = b"".join(b"stamp %d" % number + bytes(512 * KIB) for number in range(64))
    [want] = await published(device, remote, {"image": data})
    reads = 0

    def end_half_way(call: str, is_after: bool) -> None:
        nonlocal reads
        reads += call == "read" and is_after
        if reads > 2:
            raise Unavailable(what="The store")

    remote.fault = end_half_way
    got = (await other.receive([want]))[want.node]
    assert isinstance(got, FetchFailed)
    remote.fault = lambda *_: None
    got = (await other.receive([want]))[want.node]
    assert isinstance(got, Fetched)
    assert other.bytes_of(got) == data
    assert (other.root / got.temp_path).stat().st_blocks * 512 < 10 * MIB


def test_runs_of_zeros_are_told_from_what_is_to_be_written() -> None:
    run = RUN_BYTES
    for offset in (0, 1, run - 1, run, 5 * run + 17):
        for data in (
            b"",
            b"x",
            bytes(run),
            bytes(3 * run) + b"x",
            b"x" + bytes(4 * run) + b"y" + bytes(run),
            random_bytes(3 * run),
        ):
            whole = bytearray(len(data))
            last = -1
            for start, end in filled(memoryview(data), offset):
                assert last < start < end <= len(data)
                whole[start:end] = data[start:end]
                last = end
            assert bytes(whole) == data
    assert list(filled(memoryview(b"x" + bytes(4 * run)), 0)) == [(0, run)]
    assert list(filled(memoryview(bytes(run)), 0)) == []


async def test_manifests_that_need_pages_are_asked_for_page_by_page(tmp_path: Path) -> None:
    remote = ContentRemote(page_blocks_max=5)
    device, other = Device(tmp_path / "one", remote), Device(tmp_path / "two", remote)
    data = random_bytes(12 * MIB)
    contents = {"film": data, **{f"f{number}": b"%d" % number for number in range(12)}}
    wanted = await published(device, remote, contents)
    results = await other.receive(wanted)
    assert sorted(other.bytes_of(got) for got in results.values()) == sorted(contents.values())
    assert remote.calls.count("manifests") > 4


async def test_equal_contents_are_fetched_once(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(2 * MIB)
    wanted = await published(device, remote, {f"copy{number}": data for number in range(4)})
    results = await other.receive(wanted)
    assert all(other.bytes_of(got) == data for got in results.values())
    assert len({got.temp_path for got in results.values() if isinstance(got, Fetched)}) == 4
    assert remote.traffic.received_bytes < 1.1 * len(data)


async def test_what_is_on_this_device_is_copied(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(3 * MIB)
    [want] = await published(device, remote, {"film": data})
    other.write("here/film", data)
    other.located[want.content_hash] = "here/film"
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data
    assert remote.calls == []


@pytest.mark.parametrize("lie", [b"x" * 3000, b"short", None])
async def test_a_place_that_lies_is_not_believed(device: Device, other: Device, remote: ContentRemote, lie: bytes | None) -> None:
    data = random_bytes(3000)
    [want] = await published(device, remote, {"film": data})
    other.write("here", b"" if lie is None else lie)
    other.located[want.content_hash] = "here"
    if lie is None:
        other.receiver = _gone_after_locating(other)  # type: ignore[method-assign]
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data


def _gone_after_locating(device: Device) -> Any:
    make = device.receiver

    def receiver() -> Any:
        made = make()
        signature = device.files.stat("here").signature
        made._locate = lambda content: ("nowhere", signature)
        return made

    return receiver


@pytest.mark.parametrize("long", [False, True])
async def test_blocks_on_this_device_are_copied_and_only_the_rest_fetched(
    device: Device, other: Device, remote: ContentRemote, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    if long:
        monkeypatch.setattr(receiver_module, "SHORT_MAX_BYTES", 1 * MIB)
    data = bytearray(random_bytes(24 * MIB))
    [old] = await published(device, remote, {"film": bytes(data)})
    got = (await other.receive([old]))[old.node]
    assert isinstance(got, Fetched)
    assert got.manifest is not None
    (other.root / got.temp_path).rename(other.root / "film")
    stored = other.files.stat("film").signature
    node = LocalNode(id=old.node, parent=HOME, name="film", kind=Kind.FILE, signature=stored, content_hash=old.content_hash)
    other.store.write(Changes(local_put=[node], manifest_put=[got.manifest]))
    other.located[old.content_hash] = "film"
    data[9 * MIB : 9 * MIB + 10] = b"0123456789"
    data[20 * MIB : 20 * MIB] = b"inserted"
    [new] = await published(device, remote, {"film": bytes(data)})
    before = remote.traffic.received_bytes
    result = (await other.receive([new]))[new.node]
    assert other.bytes_of(result) == data
    assert remote.traffic.received_bytes - before < 5 * MIB
    # The same again, with a file that is no longer what the hints say it is.
    (other.root / "film").write_bytes(bytes(24 * MIB))
    result = (await other.receive([new]))[new.node]
    assert other.bytes_of(result) == data


# -- damage ----------------------------------------------------------------------------------------------------------------------


async def test_a_damaged_block_is_asked_for_once_more_and_then_told(device: Device, other: Device, remote: ContentRemote) -> None:
    wanted = await published(device, remote, {"good": random_bytes(500), "bad": random_bytes(500)})
    for pack in remote.objects.values():
        pack[-300] ^= 1  # inside the last block's frame
    results = await other.receive(wanted)
    failed = [result for result in results.values() if isinstance(result, FetchFailed)]
    assert len(failed) == 1
    assert isinstance(failed[0].error, CorruptBlock)
    assert remote.calls.count("manifests") == 2


async def test_damage_that_heals_is_survived(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(3 * MIB)
    [want] = await published(device, remote, {"film": data})
    [pack] = remote.objects.values()
    pack[MIB] ^= 1

    def heal(name: str, after: bool) -> None:
        if name == "manifests" and remote.calls.count("manifests") == 2 and after:
            pack[MIB] ^= 1

    remote.fault = heal
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data


async def test_a_short_pack_is_told(device: Device, other: Device, remote: ContentRemote) -> None:
    [want] = await published(device, remote, {"film": random_bytes(2 * MIB)})
    for pack in remote.objects.values():
        del pack[MIB:]
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert result.error.code == "pack.corrupt"


async def test_a_manifest_whose_blocks_make_another_content_is_refused(
    device: Device, other: Device, remote: ContentRemote
) -> None:
    [want] = await published(device, remote, {"film": random_bytes(4 * MIB)})
    true = remote._revisions[HOME, want.node, 1]
    blocks = (*true.blocks[1:], true.blocks[0])
    remote.add_revision(HOME, want.node, 1, Manifest(true.content_hash, true.size, true.cut, blocks))
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, CorruptManifest)
    assert parts(other) == []
    assert parts(other, ".new") == []


@pytest.mark.parametrize("change", ["size", "hash", "fewer", "evil"])
async def test_manifests_that_do_not_fit_are_refused(device: Device, other: Device, remote: ContentRemote, change: str) -> None:
    [want] = await published(device, remote, {"film": random_bytes(4 * MIB)})
    true = remote._revisions[HOME, want.node, 1]
    manifest = {
        "size": Manifest(true.content_hash, true.size + 1, true.cut, true.blocks),
        "hash": Manifest(Digest("0" * 64), true.size, true.cut, true.blocks),
        "fewer": Manifest(true.content_hash, true.size, true.cut, true.blocks[:-1]),
        "evil": Manifest(true.content_hash, true.size, true.cut, true.blocks),
    }[change]
    remote.add_revision(HOME, want.node, 1, manifest)
    if change == "evil":
        stored = remote._stored
        remote._stored = lambda name, packs: _evil(stored(name, packs))  # type: ignore[method-assign]
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, CorruptManifest)


def _evil(block: Any) -> Any:
    block.hash = Digest("../../../etc/passwd".ljust(64, "a"))
    return block


async def test_a_content_hash_that_is_none_is_refused(other: Device) -> None:
    from msgspec.structs import replace

    node = other.write("x", b"").node
    want = Wanted(node=node, namespace=HOME, revision=1, content_hash=Digest("../x"), size=1, executable=False, mtime_us=0)
    results = await other.receive([want, replace(want, node=other.write("x", b"").node, content_hash=Digest("a" * 64), size=-1)])
    assert all(isinstance(result, FetchFailed) for result in results.values())


async def test_an_unknown_revision_is_told_and_the_others_come(device: Device, other: Device, remote: ContentRemote) -> None:
    from msgspec.structs import replace

    good, gone = await published(device, remote, {"good": b"good", "gone": b"gone"})
    results = await other.receive([good, replace(gone, revision=9)])
    assert other.bytes_of(results[good.node]) == b"good"
    failed = results[gone.node]
    assert isinstance(failed, FetchFailed)
    assert isinstance(failed.error, NotFound)


# -- addresses, networks, disks ----------------------------------------------------------------------------------------------------


async def test_addresses_that_run_out_are_renewed_and_what_came_is_kept(
    device: Device, other: Device, remote: ContentRemote
) -> None:
    data = random_bytes(30 * MIB)
    [want] = await published(device, remote, {"film": data})

    def fault(name: str, after: bool) -> None:
        if name == "read" and after and remote.calls.count("read") in (2, 5):
            remote.expire()

    remote.fault = fault
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data
    assert remote.calls.count("manifests") >= 2
    assert remote.traffic.received_bytes < len(data) + 3 * RANGE_MAX_BYTES


async def test_addresses_that_are_always_refused_are_told(device: Device, other: Device, remote: ContentRemote) -> None:
    def fault(name: str, after: bool) -> None:
        if name == "read":
            raise Forbidden(what="use this address any longer")

    wanted = await published(device, remote, {"film": random_bytes(2 * MIB), "note": b"note"})
    remote.fault = fault
    results = await other.receive(wanted)
    assert all(isinstance(result, FetchFailed) and isinstance(result.error, Forbidden) for result in results.values())


@pytest.mark.parametrize("call", ["manifests", "read"])
async def test_a_server_out_of_reach_is_told_and_the_receiver_goes_on(
    device: Device, other: Device, remote: ContentRemote, call: str
) -> None:
    error: SynclineError = Unavailable(what="the server")
    wanted = await published(device, remote, {"film": random_bytes(2 * MIB), "note": b"note"})

    def fault(name: str, after: bool) -> None:
        if name == call:
            raise error

    remote.fault = fault
    receiver = other.receiver()
    results = await other.receive(wanted, receiver)
    assert all(isinstance(result, FetchFailed) and result.error is error for result in results.values())
    remote.fault = lambda name, after: None
    results = await other.receive(wanted, receiver)
    assert all(isinstance(result, Fetched) for result in results.values())


@pytest.mark.parametrize(
    "error", [Forbidden(what="This namespace"), NotFound(what="This namespace"), CorruptManifest(reason="odd")]
)
async def test_a_question_that_is_refused_as_a_whole_ends_every_wait_for_its_answer(
    device: Device, other: Device, remote: ContentRemote, error: SynclineError
) -> None:
    wanted = await published(device, remote, {"film": random_bytes(2 * MIB), "note": b"note", "other": b"other"})

    def fault(name: str, after: bool) -> None:
        if name == "manifests":
            raise error

    remote.fault = fault
    results = await other.receive(wanted)
    assert {node: isinstance(got, FetchFailed) and got.error is error for node, got in results.items()} == {
        want.node: True for want in wanted
    }
    assert remote.calls.count("manifests") <= 2, "one question for each lane"


async def test_a_disk_that_goes_away_between_two_looks_ends_the_wait_and_not_the_receiver(
    device: Device, other: Device, remote: ContentRemote
) -> None:
    wanted = await published(device, remote, {"film": random_bytes(2 * MIB), "note": b"note"})
    real = other.files
    other.files = Faulty(real)

    def gone() -> None:
        raise OSError(errno.ENODEV, "No such device")

    other.files.before["free_bytes"] = gone
    receiver = other.receiver()
    results = await other.receive(wanted, receiver)
    assert {got.error.code for got in results.values() if isinstance(got, FetchFailed)} == {"file.io"}
    assert len(results) == 2
    other.files.before.clear()
    results = await other.receive(wanted, receiver)
    assert all(isinstance(got, Fetched) for got in results.values())
    other.files = real


async def test_a_kill_costs_only_what_was_not_written(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(40 * MIB)
    [want] = await published(device, remote, {"film": data})
    enough = asyncio.Event()

    def fault(name: str, after: bool) -> None:
        if name == "read" and remote.calls.count("read") > 6:
            enough.set()
            raise asyncio.CancelledError

    remote.fault = fault
    task = asyncio.create_task((receiver := other.receiver()).run())
    await receiver.submit([want])
    await asyncio.wait_for(enough.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    [part] = parts(other)
    came = remote.traffic.received_bytes
    assert came >= 5 * RANGE_MAX_BYTES * 0.8
    # A power cut leaves what was not synced as anything at all.
    with open(part, "r+b") as file:
        file.seek(2 * MIB)
        file.write(b"garbage" * 10)
    remote.fault = lambda name, after: None
    got = (await other.receive([want]))[want.node]
    assert other.bytes_of(got) == data
    assert remote.traffic.received_bytes < len(data) + 4 * RANGE_MAX_BYTES
    assert parts(other) == []


class FullDisk:
    """A disk on which temporary files find no room beyond `room` bytes."""

    def __init__(self, files: Any, room: int) -> None:
        self._files, self.room = files, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def create(self, path: str) -> Any:
        return FullFile(self._files.create(path), self)

    def open_write(self, path: str) -> Any:
        return FullFile(self._files.open_write(path), self)


class FullFile:
    def __init__(self, file: Any, disk: FullDisk) -> None:
        self._file, self._disk = file, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        self._disk.room -= len(data)
        if self._disk.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))


class AwayDisk:
    """A local disk that is not there any more when it is asked for its room."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def free_bytes(self) -> int:
        raise OSError(errno.EIO, "Input/output error")


async def test_a_disk_that_went_away_fails_what_was_to_come_and_nothing_else(
    device: Device, other: Device, remote: ContentRemote
) -> None:
    [want] = await published(device, remote, {"film": b"bytes"})
    real = other.files
    other.files = AwayDisk(real)
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, LocalIo)
    other.files = real
    assert isinstance((await other.receive([want]))[want.node], Fetched)


class StuckDisk(FullDisk):
    """A full local disk that does not let go of files either."""

    def remove_file(self, path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)


async def test_a_full_disk_that_lets_nothing_go_fails_the_one_file(device: Device, other: Device, remote: ContentRemote) -> None:
    [want] = await published(device, remote, {"film": random_bytes(20 * MIB)})
    real = other.files
    other.files = StuckDisk(real, 10 * MIB)
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, DiskFull)
    other.files = real
    assert isinstance((await other.receive([want]))[want.node], Fetched)


@pytest.mark.parametrize("size", [100, 20 * MIB])
async def test_a_full_disk_is_told_leaves_its_room_to_others_and_is_tried_again(
    device: Device, other: Device, remote: ContentRemote, size: int
) -> None:
    data = random_bytes(size)
    [want] = await published(device, remote, {"film": data})
    real = other.files
    other.files = FullDisk(real, size // 2)
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, DiskFull)
    assert parts(other, ".new") == parts(other, ".part") == []
    other.files = real
    assert other.bytes_of((await other.receive([want]))[want.node]) == data


# -- changing one's mind -----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_node_gets_no_result(device: Device, other: Device, remote: ContentRemote) -> None:
    gone, kept = await published(device, remote, {"gone": random_bytes(30 * MIB), "kept": b"kept"})
    receiver = other.receiver()
    async with running(receiver.run):
        await receiver.submit([gone])
        while "read" not in remote.calls:
            await asyncio.sleep(0.001)
        receiver.cancel(gone.node)
        await receiver.submit([kept])
        [result] = await asyncio.wait_for(receiver.results.get(), 10)
        assert result.node == kept.node
        assert receiver.pending == (0, 0)


async def test_leftovers_of_earlier_runs_go_and_fresh_parts_stay(other: Device) -> None:
    tmp = other.root / ".syncline/tmp"
    tmp.mkdir(parents=True)
    for name in ("feedbeef-0.new", "a" * 64 + ".part", "somebody-elses"):
        (tmp / name).write_bytes(b"left")
    await other.receive([])
    receiver = other.receiver()
    async with running(receiver.run):
        while (tmp / "feedbeef-0.new").exists():
            await asyncio.sleep(0.001)
    assert sorted(entry.name for entry in tmp.iterdir()) == ["a" * 64 + ".part", "somebody-elses"]


async def test_block_names_match_sha256(device: Device, other: Device, remote: ContentRemote) -> None:
    data = random_bytes(5 * MIB)
    [want] = await published(device, remote, {"film": data})
    got = (await other.receive([want]))[want.node]
    assert isinstance(got, Fetched)
    assert got.manifest is not None
    at = 0
    for block in got.manifest.blocks:
        assert block == Block(Digest(hashlib.sha256(data[at : at + block.size]).hexdigest()), block.size)
        at += block.size


async def test_a_long_file_grows_from_its_head_on_and_is_settled_behind(
    device: Device, other: Device, remote: ContentRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "SHORT_MAX_BYTES", 1 * MIB)
    monkeypatch.setattr(content_module, "SETTLE_ABOVE_BYTES", 10 * MIB)
    data = random_bytes(3 * MIB) + bytes(2 * MIB) + random_bytes(17 * MIB)
    wanted = await published(device, remote, {"short": data[: 9 * MIB], "film": data})
    settled: list[tuple[int, int]] = []
    settle = other.files.settle

    def watched(file: Any, offset: int, length: int) -> None:
        settled.append((offset, length))
        settle(file, offset, length)

    monkeypatch.setattr(other.files, "settle", watched)
    read_back: list[int] = []
    monkeypatch.setattr(content_module.Part, "_read", lambda self, index: read_back.append(index))
    slow = remote.read_into

    async def uneven(get: Any, offset: int, into: memoryview) -> None:
        """The first read under way ends last."""
        await asyncio.sleep(0.05 if len(remote.ranges) % 3 == 0 else 0)
        await slow(get, offset, into)

    monkeypatch.setattr(remote, "read_into", uneven)
    results = await other.receive(wanted)
    assert [other.bytes_of(results[want.node]) for want in wanted] == [data[: 9 * MIB], data]
    assert read_back == []
    assert settled == sorted(settled)
    assert sum(length for _, length in settled) >= 12 * MIB
    assert all(length >= content_module.SETTLE_EVERY_BYTES for _, length in settled)


async def test_a_disk_that_cannot_keep_a_long_file_is_told(
    device: Device, other: Device, remote: ContentRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "SETTLE_ABOVE_BYTES", 10 * MIB)
    [want] = await published(device, remote, {"film": random_bytes(20 * MIB)})

    def full(file: Any, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(other.files, "settle", full)
    result = (await other.receive([want]))[want.node]
    assert isinstance(result, FetchFailed)
    assert isinstance(result.error, DiskFull)
