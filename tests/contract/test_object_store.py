"""What every object store promises the server (`ports/object_store.py`), asked of each one we have.

The presigned half of the contract, which crosses HTTP, is asked in the tests of each store's door.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.seaweed import Seaweed, s3_objects
from tests.unit.server_metadata.world import Machine, digest

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.signing import UrlSigner
from syncline.model.errors import AlreadyExists, ChecksumMismatch, Corrupt, CorruptPack, Forbidden, NotFound
from syncline.model.ids import Digest
from syncline.ports.object_store import ObjectStat, ObjectStore
from syncline.protocol.blocks import SignedRequest
from syncline.testing.memory_objects import MemoryObjects

KEY = "0123456789abcdef0123"
BODY = bytes(range(256)) * 9_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskObjects]:
    store = DiskObjects.open(tmp_path / "objects", UrlSigner(b"s" * 32, MachineClock()), MachineChance())
    yield store
    store.close()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def memory(machine: Machine) -> MemoryObjects:
    return MemoryObjects(machine)


@pytest.fixture(params=["disk", "memory", "s3"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """Each store, holding one object of `BODY` under `KEY`."""
    if request.param == "s3":
        seaweed: Seaweed = request.getfixturevalue("seaweed")
        async with s3_objects(seaweed) as s3:
            await s3.write(KEY, BODY)
            yield s3
        return
    if request.param == "memory":
        memory: MemoryObjects = request.getfixturevalue("memory")
        await memory.put(_granted(memory, KEY, BODY), BODY)
        yield memory
        return
    disk: DiskObjects = request.getfixturevalue("disk")
    _put(disk, KEY, BODY)
    yield disk


def _granted(store: ObjectStore, key: str, content: bytes) -> SignedRequest:
    return store.presign_put(key, size=len(content), sha256=digest(content), ttl_s=60)


def _put(store: DiskObjects, key: str, content: bytes, sha256: str | None = None) -> None:
    draft = store.draft(key)
    try:
        draft.write([content])
        draft.commit(len(content), Digest(sha256 or hashlib.sha256(content).hexdigest()))
    finally:
        draft.close()


async def test_head_says_size_and_checksum_or_that_there_is_none(store: ObjectStore) -> None:
    assert await store.head(KEY) == ObjectStat(len(BODY), Digest(hashlib.sha256(BODY).hexdigest()))
    assert await store.head("f" * 20) is None


async def test_read_gives_exactly_what_was_asked_for(store: ObjectStore) -> None:
    assert await store.read(KEY, 0, len(BODY)) == BODY
    assert await store.read(KEY, 1_000_000, 77) == BODY[1_000_000:1_000_077]
    with pytest.raises(Corrupt):
        await store.read(KEY, len(BODY) - 5, 6)
    with pytest.raises(NotFound):
        await store.read("f" * 20, 0, 1)


async def test_remove_can_be_said_twice(store: ObjectStore) -> None:
    await store.remove(KEY)
    await store.remove(KEY)
    assert await store.head(KEY) is None


async def test_write_stores_what_the_server_made_once(store: ObjectStore) -> None:
    await store.write("a" * 20, BODY)
    assert await store.head("a" * 20) == ObjectStat(len(BODY), digest(BODY))
    with pytest.raises(AlreadyExists):
        await store.write("a" * 20, b"other")
    assert await store.read("a" * 20, 0, len(BODY)) == BODY


async def test_disk_head_tells_what_the_disk_holds_now(disk: DiskObjects) -> None:
    _put(disk, KEY, BODY)
    disk.path(KEY).chmod(0o600)
    disk.path(KEY).write_bytes(BODY[:-1] + b"!")
    stat = await disk.head(KEY)
    assert stat is not None
    assert stat.sha256 != hashlib.sha256(BODY).hexdigest()


def test_disk_places_nothing_twice_and_nothing_wrong(disk: DiskObjects) -> None:
    _put(disk, KEY, BODY)
    with pytest.raises(AlreadyExists):
        _put(disk, KEY, b"other")
    late, early = disk.draft("e" * 20), disk.draft("e" * 20)
    for draft, content in ((early, b"early"), (late, b"late")):
        draft.write([content])
    early.commit(5, Digest(hashlib.sha256(b"early").hexdigest()))
    with pytest.raises(AlreadyExists):
        late.commit(4, Digest(hashlib.sha256(b"late").hexdigest()))
    early.close()
    late.close()
    assert disk.path("e" * 20).read_bytes() == b"early"
    with pytest.raises(ChecksumMismatch):
        _put(disk, "d" * 20, b"x", sha256="0" * 64)
    assert not disk.path("d" * 20).exists()


async def test_memory_takes_exactly_what_was_granted_once_and_in_time(memory: MemoryObjects, machine: Machine) -> None:
    put = _granted(memory, KEY, BODY)
    for wrong in (BODY[:-1], BODY + b"!", bytes(len(BODY))):
        with pytest.raises(ChecksumMismatch):
            await memory.put(put, wrong)
    altered = SignedRequest(url=put.url, headers=put.headers | {"content-length": "1"})
    elsewhere = SignedRequest(url=put.url.replace(KEY, "f" * 20), headers=put.headers)
    for request in (altered, elsewhere):
        with pytest.raises(Forbidden):
            await memory.put(request, BODY[:1])
    assert await memory.head(KEY) is None
    await memory.put(put, BODY)
    with pytest.raises(AlreadyExists):
        await memory.put(put, BODY)
    machine.time_us += 60_000_000
    with pytest.raises(Forbidden):
        await memory.put(put, BODY)
    assert memory.keys == [KEY]


async def test_memory_gives_what_is_signed_for(memory: MemoryObjects, machine: Machine) -> None:
    await memory.put(_granted(memory, KEY, BODY), BODY)
    get = memory.presign_get(KEY, ttl_s=60)
    assert await memory.get(get, 3, 70) == BODY[3:73]
    with pytest.raises(CorruptPack):
        await memory.get(get, len(BODY) - 1, 2)
    with pytest.raises(NotFound):
        await memory.get(memory.presign_get("f" * 20, ttl_s=60), 0, 1)
    with pytest.raises(Forbidden):
        await memory.get(memory.presign_put(KEY, size=1, sha256=digest(b"x"), ttl_s=60), 0, 1)
    machine.time_us += 60_000_000
    with pytest.raises(Forbidden):
        await memory.get(get, 0, 1)


async def test_memory_tells_its_owner_of_arrivals_and_drops_what_nobody_asked_for(machine: Machine) -> None:
    told: list[tuple[str, int, str]] = []

    async def stored(key: str, size: int, sha256: Digest) -> bool:
        told.append((key, size, sha256))
        return key == KEY

    memory = MemoryObjects(machine, stored=stored)
    await memory.put(_granted(memory, KEY, b"a"), b"a")
    with pytest.raises(NotFound):
        await memory.put(_granted(memory, "f" * 20, b"b"), b"b")
    assert told == [(KEY, 1, digest(b"a")), ("f" * 20, 1, digest(b"b"))]
    assert memory.keys == [KEY]


@pytest.mark.parametrize("remembers", [False, True])
async def test_memory_can_lose_damage_and_hide(machine: Machine, remembers: bool) -> None:
    memory = MemoryObjects(machine, remembers=remembers)
    for key, content in ((KEY, b"abc"), ("f" * 20, b"def")):
        await memory.put(_granted(memory, key, content), content)
    backup = memory.snapshot()
    memory.corrupt(KEY, 1)
    damaged = bytes([ord("a"), ord("b") ^ 0xFF, ord("c")])
    assert await memory.read(KEY, 0, 3) == damaged
    assert await memory.head(KEY) == ObjectStat(3, digest(b"abc" if remembers else damaged))
    memory.lose("f" * 20)
    assert await memory.head("f" * 20) is None
    memory.restore(backup)
    memory.hide(KEY)
    assert await memory.head(KEY) is None
    with pytest.raises(NotFound):
        await memory.get(memory.presign_get(KEY, ttl_s=60), 0, 3)
    with pytest.raises(AlreadyExists):
        await memory.put(_granted(memory, KEY, b"abc"), b"abc")
    memory.show(KEY)
    assert await memory.get(memory.presign_get(KEY, ttl_s=60), 0, 3) == b"abc"
    assert await memory.read("f" * 20, 0, 3) == b"def"
