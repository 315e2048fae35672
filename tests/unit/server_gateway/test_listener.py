"""What comes before a body is bounded in bytes and time."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from tests.server import RunningServer

from syncline.app import listener

_CHUNK = b"a" * 65536


async def _send(server: RunningServer, *parts: bytes, repeat: bytes = b"", times: int = 0) -> bytes:
    """What the server says to these bytes before it closes or falls silent."""
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        for _ in range(times):
            writer.write(repeat)
            await writer.drain()
    except ConnectionError:
        pass
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("start", "repeat"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ", _CHUNK),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n", b"x: " + b"a" * 1000 + b"\r\n"),
        (b"GET /", _CHUNK),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\n", _CHUNK),
        (b"POST /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", _CHUNK),
    ],
    ids=["one header", "many headers", "url", "name", "trailer"],
)
async def test_an_endless_head_is_cut_off(server: RunningServer, start: bytes, repeat: bytes) -> None:
    answer = await _send(server, start, repeat=repeat, times=400)
    assert b" 200 " not in answer
    async with server.http.get(server.url + "/healthz") as after:
        assert after.status == 200


async def test_a_long_but_honest_head_passes(server: RunningServer) -> None:
    async with server.http.get(server.url + "/healthz", headers={"x": "a" * 8000, "y": "b" * 8000}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: \x7f\x01\r\n\r\n", 400, "request.invalid"),
        (b"nonsense\r\n\r\n", 400, "request.invalid"),
        (b"GET /healthz?" + b"x" * 65 * 1024 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431, "request.head"),
    ],
    ids=["header", "line", "too long"],
)
async def test_what_is_refused_before_it_is_a_request_is_told_as_a_problem(
    server: RunningServer, sent: bytes, status: int, code: str
) -> None:
    head, _, body = (await _send(server, sent)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\ncontent-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"]


async def test_a_slow_head_is_cut_off(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_MAX_S", 0.2)
    for start in (b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nhost"):
        assert await _send(server, start) == b""


async def test_requests_on_one_connection_go_on_past_the_deadline(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_MAX_S", 0.2)
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        while (await reader.readline()) != b"\r\n":
            pass
        await reader.readexactly(len(b'{"status":"ok"}'))
        await asyncio.sleep(0.3)
    writer.close()
