"""A gateway without any data in front of one process with the rest: what each of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.server import RunningServer, split_server

from syncline.protocol.notifications import SOCKET_PATH
from syncline.server.gateway.edge import AS_OF


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with split_server(tmp_path) as running:
        yield running


async def test_the_gateway_says_where_bytes_are_and_never_sees_them(server: RunningServer) -> None:
    ann = await server.newcomer()
    status, made = await ann.post("/v1/folders", {"path": "/in"})
    assert status == 201
    status, link = await ann.post("/v1/links", {"node_id": made["entry"]["node_id"], "kind": "drop"})
    assert status == 201
    content = link["url"].partition("/s/")[0]
    assert content not in ("", server.url)
    path = link["url"].removeprefix(content)
    async with server.http.put(f"{server.url}{path}/files/a%20b.txt?x=1", data=b"bytes", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (307, f"{content}{path}/files/a%20b.txt?x=1")
    async with server.http.put(f"{server.url}{path}/files/a%20b.txt", data=b"bytes") as answer:
        assert answer.status == 201
    status, found = await ann.get("/v1/metadata", path="/in/a b.txt")
    assert (status, found["entry"]["size"]) == (200, 5)
    status, offered = await ann.post("/v1/files/download", {"file_ids": [found["entry"]["node_id"]]})
    assert offered["files"][0]["presignedUrl"].startswith(content)
    async with server.http.get(offered["files"][0]["presignedUrl"]) as answer:
        assert await answer.read() == b"bytes"
    async with server.http.get(f"{server.url}/content/x/y") as answer:
        assert answer.status == 404


async def test_each_process_answers_for_its_roles_alone(server: RunningServer) -> None:
    ann = await server.newcomer()
    _, made = await ann.post("/v1/folders", {"path": "/a"})
    _, link = await ann.post("/v1/links", {"node_id": made["entry"]["node_id"]})
    rest = link["url"].partition("/s/")[0]
    for origin in (server.url, rest):
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            async with server.http.get(origin + path) as answer:
                assert (origin, path, answer.status) == (origin, path, 200)
                assert AS_OF.decode() not in answer.headers
    async with server.http.get(f"{rest}/v1/me", headers=ann.headers) as answer:
        assert answer.status == 404
    _, latest = await ann.get("/v1/changes/latest")
    waiting = f"{rest}/v1/notifications/poll?cursor={latest['cursor']}&timeout=1"
    async with server.http.get(waiting, headers=ann.headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"changed": False, "sync": True})
    async with server.http.ws_connect(rest + SOCKET_PATH, headers=ann.headers) as socket:
        await socket.send_json({"type": "subscribe", "cursors": [latest["cursor"]]})
        assert (await socket.receive_json())["type"] == "subscribed"
    # A gateway holds no sockets: whoever wants one asks by long poll there.
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.http.ws_connect(server.url + SOCKET_PATH, headers=ann.headers)
    assert refused.value.status == 404


async def test_a_poll_through_a_gateway_hears_of_commits_and_ends_with_it(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with split_server(tmp_path) as server:
            ann = await server.newcomer()
            _, latest = await ann.get("/v1/changes/latest")
            poll = {"cursors": [latest["cursor"]], "timeout": 300}
            waiting = asyncio.ensure_future(ann.post("/v1/notifications/poll", poll))
            await ann.post("/v1/folders", {"path": "/a"})
            status, answer = await waiting
            assert (status, answer["changed"], list(answer["namespaces"])) == (200, True, [ann.root])
            _, latest = await ann.get("/v1/changes/latest")
            poll["cursors"] = [latest["cursor"]]
            left = asyncio.ensure_future(http.post(f"{server.url}/v1/notifications/poll", json=poll, headers=ann.headers))
            async with asyncio.timeout(20):
                while not _asks("polling/poll"):
                    await asyncio.sleep(0.02)
        async with await left as ended:
            assert (ended.status, await ended.json()) == (200, {"changed": False, "sync": True})


def _asks(address: str) -> bool:
    """Whether a gateway in this process waits for the answer of a room in another."""
    return address in {task.get_name() for task in asyncio.all_tasks()}
