"""What changed, by path and by cursor; also while the server is away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.e2e.world import EMAIL, Server
from tests.e2e.world import PASSWORD as WORLD_PASSWORD

from syncline import AsyncClient, errors


async def test_updates_by_path(ann: AsyncClient) -> None:
    await ann.upload_bytes(b"one", "/in/one.txt")
    await ann.mkdir("/beside")
    listed = await ann.updates("/in")
    assert [(one.status, one.filepath) for one in listed.entries] == [("created", "/in"), ("created", "/in/one.txt")]
    before = datetime.now(UTC)
    await ann.upload_bytes(b"two", "/in/two.txt")
    await ann.upload_bytes(b"two", "/beside/two.txt")
    changed = await ann.updates("/in", listed.since)
    assert [(one.status, one.filepath) for one in changed.entries] == [("created", "/in/two.txt")]
    assert [one.filepath for one in (await ann.updates("/in", before)).entries] == ["/in/two.txt"]
    assert (await ann.updates("/in", changed.since)).entries == []
    with pytest.raises(errors.NotFound):
        await ann.updates("/nothing")
    with pytest.raises(errors.Refused):
        await ann.updates("/in", "nonsense")


async def test_changes_by_cursor(ann: AsyncClient) -> None:
    start = await ann.cursor()
    assert (await ann.changes(start)).entries == []
    await ann.mkdir("/a/b", parents=True)
    page = await ann.changes(start)
    assert [entry.name for entry in page.entries] == ["a", "b"]
    assert (await ann.changes(page.cursor)).entries == []
    with pytest.raises(errors.Refused):
        await ann.changes("nonsense")


async def test_following_tells_of_each_change_once_and_goes_on_from_a_cursor(ann: AsyncClient) -> None:
    start = await ann.cursor()
    await ann.mkdir("/before")
    pages = ann.follow(start)
    async with asyncio.timeout(20):
        first = await anext(pages)
        assert [entry.name for entry in first.entries] == ["before"]
        waiting = asyncio.create_task(anext(pages))
        await ann.mkdir("/while")
        assert [entry.name for entry in (await waiting).entries] == ["while"]
        await pages.aclose()
        await ann.mkdir("/after")
        again = ann.follow(first.cursor)
        names = [entry.name for entry in (await anext(again)).entries]
        await again.aclose()
    assert names == ["while", "after"]


async def test_following_a_shared_folder_tells_of_it_alone(ann: AsyncClient, bob: AsyncClient) -> None:
    await ann.mkdir("/team")
    await ann.share("/team", "bob@example.org", access="write")
    await bob.accept("team")
    start = await ann.cursor("/team")
    await ann.mkdir("/alone")
    await bob.upload_bytes(b"b", "/team/b.txt")
    assert [entry.name for entry in (await ann.changes(start, path="/team")).entries] == ["b.txt"]


@pytest.mark.real
async def test_following_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(server.add_user)
        async with await AsyncClient.sign_in(server.url, EMAIL, WORLD_PASSWORD) as client:
            start = await client.cursor()
            pages = client.follow(start)
            waiting = asyncio.create_task(anext(pages))
            await asyncio.to_thread(server.stop)
            with pytest.raises(errors.Unavailable):
                await client.mkdir("/a")
            with pytest.raises(errors.Unavailable):
                await anext(client.follow(start, patience_s=0))
            await asyncio.to_thread(server.start)
            await client.mkdir("/a")
            async with asyncio.timeout(60):
                assert [entry.name for entry in (await waiting).entries] == ["a"]
            await pages.aclose()
    finally:
        if server.ended() is None:
            await asyncio.to_thread(server.stop)


async def test_a_time_in_another_zone_is_the_same_time(ann: AsyncClient) -> None:
    before = datetime.now(timezone(timedelta(hours=9)))
    await ann.upload_bytes(b"a", "/a.txt")
    assert [one.filepath for one in (await ann.updates("/", before)).entries] == ["/a.txt"]
