"""Bytes to and from the store: exact, as signed, and never hanging."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from aiohttp import web

from syncline.model.errors import ChecksumMismatch, CorruptPack, Forbidden, LocalIo, NotFound, Unavailable
from syncline.model.limits import MIB, RETRY_ATTEMPTS
from syncline.protocol.blocks import SignedRequest

from .conftest import Scripted, answer, cut_off

DATA = random.Random(3).randbytes(3 * MIB + 77)


@pytest.fixture
def pack(tmp_path: Path) -> str:
    path = tmp_path / "a.pack"
    path.write_bytes(DATA)
    return str(path)


async def test_a_pack_is_put_as_signed_and_without_our_token(scripted: Scripted, pack: str) -> None:
    scripted.answers["/store/key"] = [answer(b"")]
    put = SignedRequest(
        url=f"{scripted.url}/store/key?sig=a%2Fb%20c", headers={"x-amz-checksum-sha256": "abc", "if-none-match": "*"}
    )
    remote = scripted.remote()
    await remote.put_pack(put, pack, len(DATA))
    [(request, body)] = scripted.seen
    assert body == DATA
    assert request.method == "PUT"
    assert request.headers["Content-Length"] == str(len(DATA))
    assert "Transfer-Encoding" not in request.headers
    assert (request.headers["x-amz-checksum-sha256"], request.headers["if-none-match"]) == ("abc", "*")
    assert "Authorization" not in request.headers
    assert request.raw_path == "/store/key?sig=a%2Fb%20c"
    assert remote.traffic.sent_bytes == len(DATA)


async def test_an_address_without_a_host_lies_at_the_server(scripted: Scripted, pack: str) -> None:
    scripted.answers["/objects/k"] = [answer(b"")]
    await scripted.remote().put_pack(SignedRequest(url="/objects/k?s=1"), pack, len(DATA))
    assert scripted.seen[0][1] == DATA


async def test_an_answer_lost_after_the_put_is_found_to_be_there(scripted: Scripted, pack: str) -> None:
    scripted.answers["/k"] = [cut_off, answer(b"exists", 412)]
    await scripted.remote().put_pack(SignedRequest(url="/k"), pack, len(DATA))
    assert [body for _, body in scripted.seen] == [DATA, DATA]


@pytest.mark.parametrize(
    ("status", "reason", "kind", "attempts"),
    [
        (403, b"<Code>AccessDenied</Code>", Forbidden, 1),
        (400, b"<Code>XAmzContentChecksumMismatch</Code>", ChecksumMismatch, 1),
        (503, b"SlowDown", Unavailable, RETRY_ATTEMPTS),
    ],
)
async def test_what_a_store_refuses_is_told(
    scripted: Scripted, pack: str, status: int, reason: bytes, kind: type[Exception], attempts: int
) -> None:
    scripted.answers["/k"] = [answer(reason, status)]
    with pytest.raises(kind):
        await scripted.remote().put_pack(SignedRequest(url="/k"), pack, len(DATA))
    assert len(scripted.seen) == attempts


async def test_a_pack_that_is_gone_or_short_is_our_own_trouble(scripted: Scripted, pack: str) -> None:
    scripted.answers["/k"] = [answer(b"")]
    with pytest.raises(LocalIo):
        await scripted.remote().put_pack(SignedRequest(url="/k"), pack + "x", 10)
    with pytest.raises(LocalIo):
        await scripted.remote().put_pack(SignedRequest(url="/k"), pack, len(DATA) + 1)


async def test_a_put_that_stalls_ends(pack: str) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    scripted = Scripted()
    port = server.sockets[0].getsockname()[1]
    remote = scripted.remote(url=f"http://127.0.0.1:{port}", stall_s=0.05)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(remote.put_pack(SignedRequest(url="/k"), pack, len(DATA)), 10)
    await scripted.close()
    server.close()


def ranged(data: bytes) -> object:
    async def handler(request: web.Request) -> web.StreamResponse:
        span = request.http_range
        body = data[span]
        return web.Response(body=body, status=206, headers={"Content-Range": f"bytes {span.start}-{span.stop - 1}/{len(data)}"})

    return handler


async def test_a_range_is_exactly_what_was_asked(scripted: Scripted) -> None:
    scripted.answers["/k"] = [ranged(DATA)]  # type: ignore[list-item]
    remote = scripted.remote()
    get = SignedRequest(url="/k", headers={"x-signed": "yes"})
    assert await remote.read_object(get, 0, len(DATA)) == DATA
    assert await remote.read_object(get, 1000, 1) == DATA[1000:1001]
    assert await remote.read_object(get, 5, 0) == b""
    assert scripted.seen[1][0].headers["Range"] == "bytes=1000-1000"
    assert scripted.seen[1][0].headers["x-signed"] == "yes"
    assert "Authorization" not in scripted.seen[1][0].headers
    assert remote.traffic.received_bytes == len(DATA) + 1


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (answer(b"short", 206), CorruptPack),
        (answer(b"the whole, not the range", 200), CorruptPack),
        (answer(b"", 416), CorruptPack),
        (answer(b"", 403), Forbidden),
        (answer(b"", 404), NotFound),
    ],
)
async def test_a_range_that_is_not_what_was_asked_is_told(scripted: Scripted, handler: object, kind: type[Exception]) -> None:
    scripted.answers["/k"] = [handler]  # type: ignore[list-item]
    with pytest.raises(kind):
        await scripted.remote().read_object(SignedRequest(url="/k"), 3, 10)


async def test_a_body_cut_off_in_the_middle_is_read_again(scripted: Scripted) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206, headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(DATA[:500])
        assert request.transport is not None
        request.transport.abort()
        return response

    scripted.answers["/k"] = [half, ranged(DATA)]  # type: ignore[list-item]
    assert await scripted.remote().read_object(SignedRequest(url="/k"), 0, 1000) == DATA[:1000]


async def test_a_read_that_stalls_ends(scripted: Scripted) -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206, headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(5)
        return response

    scripted.answers["/k"] = [stall]
    with pytest.raises(Unavailable):
        await asyncio.wait_for(scripted.remote(stall_s=0.05).read_object(SignedRequest(url="/k"), 0, 1000), 5)
