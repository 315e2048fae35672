"""What every object store promises the server (`ports/object_store.py`), asked of each one we have.

The presigned half of the contract, which crosses HTTP, is asked in the tests of each store's door.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.signing import UrlSigner
from syncline.model.errors import AlreadyExists, ChecksumMismatch, Corrupt, NotFound
from syncline.model.ids import Digest
from syncline.ports.object_store import ObjectStat, ObjectStore

KEY = "0123456789abcdef0123"
BODY = bytes(range(256)) * 9_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskObjects]:
    store = DiskObjects.open(tmp_path / "objects", UrlSigner(b"s" * 32, MachineClock()), MachineChance())
    yield store
    store.close()


@pytest.fixture(params=["disk"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """Each store, holding one object of `BODY` under `KEY`."""
    found: DiskObjects = request.getfixturevalue(request.param)
    _put(found, KEY, BODY)
    return found


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
