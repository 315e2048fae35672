"""Versions, trash, and going back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncline import AsyncClient, errors


async def test_versions_come_back(ann: AsyncClient) -> None:
    for data in (b"one", b"two", b"three"):
        await ann.upload_bytes(data, "/a.txt")
    versions = await ann.history("/a.txt")
    assert [version.revision for version in versions] == [3, 2, 1]
    assert versions[0].author.device_name == "ann's program"
    assert [version.revision for version in await ann.history("/a.txt", limit=1)] == [3]
    assert (await ann.restore("/a.txt", 1)).revision == 4
    assert await ann.read("/a.txt") == b"one"
    with pytest.raises(errors.RevisionNotKept):
        await ann.restore("/a.txt", 77)
    with pytest.raises(errors.NotFound):
        await ann.history("/b.txt")
    explained = await ann.retention("/a.txt")
    assert (explained.path, len(explained.versions)) == ("/a.txt", 4)
    assert (await ann.retention()).lines


async def test_the_trash(ann: AsyncClient) -> None:
    for name in ("a", "b", "c", "d"):
        await ann.upload_bytes(name.encode(), f"/{name}")
        await ann.delete(f"/{name}")
    assert [thrown.path async for thrown in ann.trash()] == ["/d", "/c", "/b", "/a"]
    back = await ann.undelete(["/b", "/a"])
    assert [one.restored and one.restored.path for one in back] == ["/b", "/a"]
    assert await ann.read("/b") == b"b"
    await ann.mkdir("/in")
    (moved,) = await ann.undelete(["/c"], into="/in")
    assert moved.restored is not None
    assert moved.restored.path == "/in/c"
    with pytest.raises(errors.NotFound):
        await ann.undelete(["/never"])
    with pytest.raises(errors.NotFound):
        await ann.purge(["/never"])
    gone = await ann.purge(["/d"])
    assert (gone.purged, gone.refused) == (1, [])
    await ann.delete("/a")
    assert (await ann.purge_all()).purged == 1
    assert [thrown async for thrown in ann.trash()] == []


async def test_a_taken_name_is_told_for_each(ann: AsyncClient) -> None:
    await ann.upload_bytes(b"old", "/a")
    await ann.delete("/a")
    await ann.upload_bytes(b"new", "/a")
    (refused,) = await ann.undelete(["/a"])
    assert (refused.restored, refused.code) == (None, "name.taken")
    (renamed,) = await ann.undelete(["/a"], rename=True)
    assert renamed.restored is not None
    assert await ann.read(renamed.restored.path) == b"old"


async def test_rewind_and_undo(ann: AsyncClient) -> None:
    await ann.upload_bytes(b"good", "/docs/a.txt")
    good = datetime.now(UTC)
    await ann.upload_bytes(b"bad", "/docs/a.txt")
    await ann.upload_bytes(b"more", "/docs/b.txt")
    dry = await ann.rewind("/docs", good, dry_run=True)
    assert (dry.counts.reverted, dry.counts.deleted, dry.changeset) == (1, 1, None)
    assert await ann.read("/docs/a.txt") == b"bad"
    done = await ann.rewind("/docs", good)
    assert await ann.read("/docs/a.txt") == b"good"
    (undone,) = await ann.undo(changeset=done.changeset)
    assert undone.is_root
    assert await ann.read("/docs/a.txt") == b"bad"
    (tried,) = await ann.undo(device="ann's program", since=datetime.now(UTC) - timedelta(hours=1), dry_run=True)
    assert tried.answer.dry_run
    with pytest.raises(errors.NotFound):
        await ann.undo(device="no such device", since=good)
    with pytest.raises(errors.InvalidId):
        await ann.undo(changeset="nonsense")
    with pytest.raises(errors.InvalidRequest):
        await ann.undo()
