"""Files up and down: every kind of place, large batches, progress, and what stands in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncline import AsyncClient, errors
from syncline.model.limits import MIB
from syncline.sdk import Downloaded, Progress, Uploaded


async def test_a_file_goes_where_it_is_told(ann: AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"first")
    done = await ann.upload(tmp_path / "a.txt", "/docs/exact.txt")
    assert (done.uploaded, done.unchanged, done.sent_blocks) == (1, 0, 1)
    assert (await ann.upload(tmp_path / "a.txt", "/docs/exact.txt")).unchanged == 1
    await ann.upload(str(tmp_path / "a.txt"), "/docs")
    await ann.upload(tmp_path / "a.txt", "/fresh/")
    assert [item.path for item in await ann.list("/", recursive=True)] == [
        "/docs",
        "/docs/a.txt",
        "/docs/exact.txt",
        "/fresh",
        "/fresh/a.txt",
    ]
    (tmp_path / "a.txt").write_bytes(b"second")
    await ann.upload(tmp_path / "a.txt", "/docs/exact.txt")
    assert (await ann.stat("/docs/exact.txt")).revision == 2
    assert await ann.read("/docs/exact.txt") == b"second"
    with pytest.raises(errors.Unreadable):
        await ann.upload(tmp_path / "nothing", "/nothing")
    with pytest.raises(errors.NotAFolder):
        await ann.upload(tmp_path / "a.txt", "/docs/exact.txt/")


async def test_a_folder_goes_up_and_comes_back(ann: AsyncClient, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    (there / "deep" / "empty").mkdir(parents=True)
    (there / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (there / "deep" / "run.sh").chmod(0o755)
    (there / "large").write_bytes(os.urandom(3 * MIB))
    (there / "link").symlink_to("large")
    told: list[Progress] = []
    done = await ann.upload(there, "/copy", progress=told.append)
    assert (done.uploaded, done.left_out) == (2, 1)
    size = 3 * MIB + len("#!/bin/sh\n")
    assert (told[0].done_bytes, told[0].total_bytes, told[-1].done_bytes) == (0, size, size)
    told.clear()
    assert await ann.download("/copy", back, progress=told.append) == Downloaded(downloaded=2, unchanged=0)
    assert (told[0].items, told[0].total_bytes, told[-1].done_bytes) == (2, size, size)
    assert (back / "large").read_bytes() == (there / "large").read_bytes()
    assert (back / "deep" / "run.sh").stat().st_mode & 0o100
    assert (back / "deep" / "empty").is_dir()
    assert await ann.download("/copy", back) == Downloaded(downloaded=0, unchanged=2)


async def test_a_download_replaces_only_when_told(ann: AsyncClient, tmp_path: Path) -> None:
    await ann.upload_bytes(b"remote", "/a.txt")
    await ann.download("/a.txt", tmp_path)
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(errors.AlreadyExists):
        await ann.download("/a.txt", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert (await ann.download("/a.txt", str(tmp_path / "a.txt"), replace=True)).downloaded == 1
    assert (tmp_path / "a.txt").read_text() == "remote"
    with pytest.raises(errors.LocalIo):
        await ann.download("/a.txt", tmp_path / "nowhere" / "a.txt")
    with pytest.raises(errors.NotFound):
        await ann.download("/b.txt", tmp_path)


async def test_bytes(ann: AsyncClient) -> None:
    data = os.urandom(5 * MIB)
    item = await ann.upload_bytes(data, "/data/some.bin")
    assert (item.path, item.size, item.revision) == ("/data/some.bin", len(data), 1)
    assert await ann.read("/data/some.bin") == data
    pieces = [piece async for piece in ann.stream("/data/some.bin")]
    assert len(pieces) > 1
    assert b"".join(pieces) == data
    assert (await ann.upload_bytes(bytearray(), "/data/empty")).size == 0
    assert await ann.read("/data/empty") == b""
    with pytest.raises(errors.LimitExceeded):
        await ann.read("/data/some.bin", limit_bytes=len(data) - 1)
    for what in (ann.read("/data"), anext(ann.stream("/data")), ann.upload_bytes(b"", "/data")):
        with pytest.raises(errors.NotAFile):
            await what
    with pytest.raises(errors.NotFound):
        await ann.read("/nothing")


async def test_a_large_batch(ann: AsyncClient, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(1200)]
    for number, path in enumerate(files):
        path.write_text(str(number))
    done = await ann.upload_all((path, f"/many/{path.name}") for path in files)
    assert done == Uploaded(uploaded=1200, sent_blocks=1200)
    assert len(await ann.list("/many")) == 1200
    assert await ann.read("/many/1199.txt") == b"1199"


async def test_a_stream_that_is_left_early_leaves_nothing_behind(ann: AsyncClient) -> None:
    await ann.upload_bytes(os.urandom(20 * MIB), "/a")
    blocks = ann.stream("/a")
    await anext(blocks)
    await blocks.aclose()
    assert (await ann.stat("/a")).size == 20 * MIB
