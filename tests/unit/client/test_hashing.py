"""Hashing: the hash of exactly the file the tree knows, or the reason why not, and an end that does not wait for a film."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.kit import node_id

from syncline.adapters.disk.files import LinuxFiles
from syncline.client.hashing import BATCH_FILES, READ_BYTES, Hashed, Hasher, HashJob, hash_file
from syncline.model.errors import ChangedWhileRead, LocalIo, Unreadable
from syncline.testing.faulty import Faulty


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LinuxFiles]:
    files = LinuxFiles(tmp_path)
    yield files
    files.close()


def job(files: LinuxFiles, path: str, number: int = 1) -> HashJob:
    return HashJob(node_id(number), path, files.stat(path).signature)


async def hashed(hasher: Hasher, count: int) -> list[Hashed]:
    task = asyncio.create_task(hasher.run())
    try:
        found: list[Hashed] = []
        async with asyncio.timeout(10):
            while len(found) < count:
                found += await hasher.results.get()
        return found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("size", [0, 1, READ_BYTES, READ_BYTES + 1])
def test_it_is_the_sha_256_of_the_bytes(files: LinuxFiles, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert hash_file(files, "a", files.stat("a").signature) == hashlib.sha256(data).hexdigest()


def test_another_file_than_the_one_known_is_not_hashed(files: LinuxFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    known = files.stat("a").signature
    (tmp_path / "b").write_bytes(b"new")
    (tmp_path / "b").rename(tmp_path / "a")
    with pytest.raises(ChangedWhileRead):
        hash_file(files, "a", known)


def test_a_file_written_to_while_it_is_read_has_no_hash(files: LinuxFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (READ_BYTES + 1))
    known = files.stat("a").signature
    twin: Any = Faulty(files)
    looks = 0

    def write(_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            (tmp_path / "a").write_bytes(b"y")

    twin.before["fstat_signature"] = write
    with pytest.raises(ChangedWhileRead):
        hash_file(twin, "a", known)


def test_what_is_gone_or_a_link_by_now_has_changed(files: LinuxFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    known = files.stat("a").signature
    (tmp_path / "a").unlink()
    with pytest.raises(ChangedWhileRead):
        hash_file(files, "a", known)
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(ChangedWhileRead):
        hash_file(files, "a", known)


@pytest.mark.parametrize(("number", "kind"), [(13, Unreadable), (5, LocalIo)])
def test_the_disks_refusals_say_what_to_do(files: LinuxFiles, tmp_path: Path, number: int, kind: type[LocalIo]) -> None:
    (tmp_path / "a").write_bytes(b"x")
    twin: Any = Faulty(files)

    def refuse(path: str) -> None:
        raise OSError(number, os.strerror(number))

    twin.before["open_read"] = refuse
    with pytest.raises(kind, match="a"):
        hash_file(twin, "a", files.stat("a").signature)


async def test_every_job_gets_one_result_and_a_bad_one_spoils_no_other(files: LinuxFiles, tmp_path: Path) -> None:
    hasher = Hasher(files)
    count = 2 * BATCH_FILES + 3
    for number in range(count):
        (tmp_path / f"f{number}").write_bytes(str(number).encode())
        hasher.submit(job(files, f"f{number}", number))
    (tmp_path / "f5").unlink()
    results = {result.node: result for result in await hashed(hasher, count)}
    assert len(results) == count
    for number in range(count):
        result = results[node_id(number)]
        if number == 5:
            assert isinstance(result.error, ChangedWhileRead)
        else:
            assert result.content_hash == hashlib.sha256(str(number).encode()).hexdigest()


async def test_jobs_that_come_while_it_works_or_waits_are_not_lost(files: LinuxFiles, tmp_path: Path) -> None:
    hasher = Hasher(files)
    task = asyncio.create_task(hasher.run())
    for number in range(20):
        (tmp_path / "a").write_bytes(str(number).encode())
        hasher.submit(job(files, "a", number))
        (result,) = await asyncio.wait_for(hasher.results.get(), 5)
        assert result.node == node_id(number)
        if number % 2:
            await asyncio.sleep(0)
    task.cancel()


async def test_stopping_ends_the_reading_of_a_long_file(files: LinuxFiles, tmp_path: Path) -> None:
    with (tmp_path / "film").open("wb") as film:
        film.truncate(1 << 40)
    hasher = Hasher(files)
    hasher.submit(job(files, "film"))
    task = asyncio.create_task(hasher.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 5)


def test_a_reader_that_is_told_to_stop_gives_no_hash(files: LinuxFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    over: Callable[[], bool] = lambda: True  # noqa: E731
    with pytest.raises(ChangedWhileRead):
        hash_file(files, "a", files.stat("a").signature, over)
