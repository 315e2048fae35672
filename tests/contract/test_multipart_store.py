"""What every store that takes objects in parts promises (`ports.object_store.MultipartStore`), asked of each one we have.

How a part is sent crosses HTTP, so each store brings its own hands for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.seaweed import s3_objects
from yarl import URL

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.signing import UrlSigner
from syncline.model.errors import Conflict, NotFound
from syncline.model.limits import MIB, UPLOAD_PARTS_MAX
from syncline.ports.object_store import MultipartStore, ObjectStat, StoredPart

KEY = "0123456789abcdef0123"
PART = 5 * MIB
"""S3 takes none smaller but the last."""
PARTS = [os.urandom(PART), os.urandom(PART), os.urandom(11)]
WHOLE = b"".join(PARTS)
Send = Callable[[MultipartStore, str, str, int, bytes], Awaitable[str]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskObjects]:
    store = DiskObjects.open(tmp_path / "objects", UrlSigner(b"s" * 32, MachineClock()), MachineChance())
    yield store
    store.close()


async def send_to_disk(store: MultipartStore, key: str, _upload: str, number: int, content: bytes) -> str:
    assert isinstance(store, DiskObjects)

    def put() -> str:
        draft = store.part_draft(key)
        try:
            draft.write([content])
            return draft.commit_part(number, len(content))
        finally:
            draft.close()

    return await store.run(put)


async def send_to_s3(store: MultipartStore, key: str, upload: str, number: int, content: bytes) -> str:
    part = store.presign_part(key, upload, number, size=len(content), ttl_s=60)
    async with aiohttp.ClientSession() as http, http.put(URL(part.url, encoded=True), data=content) as answer:
        if answer.status == 404:
            raise NotFound(what="The upload")
        assert answer.status == 200, await answer.text()
        return answer.headers["etag"].strip('"')


@pytest.fixture(params=["disk", "s3"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[MultipartStore]:
    if request.param == "disk":
        yield request.getfixturevalue("disk")
        return
    async with s3_objects(request.getfixturevalue("seaweed")) as s3:
        yield s3


@pytest.fixture
def send(store: MultipartStore) -> Send:
    return send_to_disk if isinstance(store, DiskObjects) else send_to_s3


async def _all_sent(store: MultipartStore, send: Send) -> tuple[str, list[StoredPart]]:
    upload = await store.create_multipart(KEY)
    await asyncio.gather(*(send(store, KEY, upload, number, PARTS[number - 1]) for number in (3, 1, 2)))
    return upload, await store.list_parts(KEY, upload)


async def test_parts_come_in_any_order_and_are_the_object_once_completed(store: MultipartStore, send: Send) -> None:
    upload, parts = await _all_sent(store, send)
    assert [(part.number, part.size) for part in parts] == [(1, PART), (2, PART), (3, 11)]
    assert await store.head(KEY) is None
    assert await store.size_of(KEY) is None
    await store.complete_multipart(KEY, upload, parts)
    assert await store.size_of(KEY) == len(WHOLE)
    stat = await store.head(KEY)
    assert stat is not None
    assert stat in (ObjectStat(len(WHOLE), None), ObjectStat(len(WHOLE), stat.sha256))
    assert stat.sha256 in (None, hashlib.sha256(WHOLE).hexdigest())
    for start, end in (
        (0, len(WHOLE)),
        (PART - 10, PART + 10),
        (2 * PART - 1, 2 * PART + 1),
        (2 * PART, 2 * PART + 11),
        (5, 6),
        (PART, 2 * PART),
    ):
        assert await store.read(KEY, start, end - start) == WHOLE[start:end]


async def test_completing_again_gives_the_same_and_parts_are_taken_no_more(store: MultipartStore, send: Send) -> None:
    upload, parts = await _all_sent(store, send)
    etags = await asyncio.gather(*(store.complete_multipart(KEY, upload, parts) for _ in range(3)))
    assert len(set(etags)) == 1
    assert await store.complete_multipart(KEY, upload, parts) == etags[0]
    with pytest.raises(NotFound):
        await send(store, KEY, upload, 1, b"other")
    with pytest.raises(NotFound):
        await store.list_parts(KEY, upload)
    await store.abort_multipart(KEY, upload)
    assert await store.read(KEY, 0, len(WHOLE)) == WHOLE


async def test_the_last_bytes_sent_as_a_part_stand(store: MultipartStore, send: Send) -> None:
    upload = await store.create_multipart(KEY)
    first = await send(store, KEY, upload, 1, b"first")
    again = await send(store, KEY, upload, 1, b"second")
    assert first != again
    (part,) = await store.list_parts(KEY, upload)
    if isinstance(store, DiskObjects):
        assert (part.etag, part.size) == (again, 6)
        with pytest.raises(Conflict):
            await store.complete_multipart(KEY, upload, [StoredPart(1, first, 5)])
    # SeaweedFS keeps both, tells them apart by the second, and takes the one that is named: what is listed is what stands.
    await store.complete_multipart(KEY, upload, [part])
    assert await store.read(KEY, 0, part.size) == (b"second" if part.etag == again else b"first")


async def test_nothing_happens_when_a_part_is_not_as_listed(store: MultipartStore, send: Send) -> None:
    upload, parts = await _all_sent(store, send)
    missing = [*parts, StoredPart(4, parts[0].etag, PART)]
    for wrong in ([], missing, [parts[1], parts[0]], [parts[0], parts[0]]):
        with pytest.raises(Conflict):
            await store.complete_multipart(KEY, upload, wrong)
    assert await store.size_of(KEY) is None
    await store.complete_multipart(KEY, upload, parts[:2])
    assert await store.size_of(KEY) == 2 * PART


async def test_parts_are_listed_in_pages(store: MultipartStore, send: Send) -> None:
    upload = await store.create_multipart(KEY)
    for number in (1, 2, 5, 9, UPLOAD_PARTS_MAX):
        await send(store, KEY, upload, number, b"x" * number)
    assert [part.number for part in await store.list_parts(KEY, upload, limit=3)] == [1, 2, 5]
    assert [part.number for part in await store.list_parts(KEY, upload, after=5)] == [9, UPLOAD_PARTS_MAX]


async def test_what_is_aborted_is_gone_and_aborting_can_be_said_twice(store: MultipartStore, send: Send) -> None:
    upload, parts = await _all_sent(store, send)
    await store.abort_multipart(KEY, upload)
    await store.abort_multipart(KEY, upload)
    with pytest.raises(NotFound):
        await store.list_parts(KEY, upload)
    with pytest.raises(NotFound):
        await store.complete_multipart(KEY, upload, parts)
    with pytest.raises(NotFound):
        await send(store, KEY, upload, 1, b"late")


async def test_a_completed_object_is_removed_like_any_other(store: MultipartStore, send: Send) -> None:
    upload, parts = await _all_sent(store, send)
    await store.complete_multipart(KEY, upload, parts)
    await store.read(KEY, 0, 10)
    await store.remove(KEY)
    await store.remove(KEY)
    assert await store.size_of(KEY) is None
    with pytest.raises(NotFound):
        await store.read(KEY, 0, 10)


async def test_nothing_at_all_can_be_an_object_in_parts(store: MultipartStore, send: Send) -> None:
    upload = await store.create_multipart(KEY)
    await send(store, KEY, upload, 1, b"")
    await store.complete_multipart(KEY, upload, await store.list_parts(KEY, upload))
    assert await store.size_of(KEY) == 0
    assert await store.read(KEY, 0, 0) == b""


async def test_disk_tells_of_a_completed_object_once_and_lists_it_beside_others(disk: DiskObjects) -> None:
    told: list[str] = []

    async def completed(key: str) -> None:
        told.append(key)

    disk.completed = completed
    await disk.write("0a" * 10, b"a pack")
    upload, parts = await _all_sent(disk, send_to_disk)
    assert [found.key for found in await disk.listed("", 10)] == ["0a" * 10]
    etag = await disk.complete_multipart(KEY, upload, parts)
    assert await disk.complete_multipart(KEY, upload, parts) == etag
    assert told == [KEY]
    assert [(found.key, found.size) for found in await disk.listed("", 10)] == [(KEY, len(WHOLE)), ("0a" * 10, 6)]


async def test_disk_keeps_parts_over_a_restart_and_throws_away_drafts_of_any_kind(disk: DiskObjects, tmp_path: Path) -> None:
    upload, parts = await _all_sent(disk, send_to_disk)
    left = tmp_path / "objects" / "tmp" / "half-removed"
    left.mkdir()
    (left / "00001").write_bytes(b"x")
    again = DiskObjects.open(tmp_path / "objects", UrlSigner(b"s" * 32, MachineClock()), MachineChance())
    assert not left.exists()
    assert await again.list_parts(KEY, upload) == parts
    await again.complete_multipart(KEY, upload, parts)
    assert await again.read(KEY, 0, len(WHOLE)) == WHOLE
    again.close()
