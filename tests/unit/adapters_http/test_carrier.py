"""Bulk transfers: connections are kept and lost well, cancelling ends at once, and nobody writes to a buffer afterwards."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from syncline.adapters.http.carrier import Carrier, ShortFile
from syncline.model.errors import Unavailable
from syncline.model.limits import MIB
from syncline.protocol.blocks import SignedRequest

from .conftest import Scripted, answer

DATA = random.Random(5).randbytes(2 * MIB + 5)


async def test_one_connection_serves_one_transfer_after_another(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(DATA)
    scripted.answers["/k"] = [answer(DATA[:100])]
    scripted.answers["/refused"] = [answer(b"no", 412)]
    remote = scripted.remote()
    ports = set()
    for path in ("/k", "/refused", "/k"):
        await remote.put_pack(SignedRequest(url=path), str(tmp_path / "pack"), len(DATA))
    await remote.read_object(SignedRequest(url="/k"), 0, 100)
    for request, _ in scripted.seen:
        ports.add(request._transport_peername[1])
    assert len(scripted.seen) == 4
    assert len(ports) == 1


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() -> None:
    """The other side closes after each answer, without saying so in it."""
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nabcd")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    carrier = Carrier(5.0)
    url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/k")
    for _ in range(3):
        into = bytearray(4)
        assert (await carrier.get(url, {}, memoryview(into)))[1] == 4
        assert into == b"abcd"
    assert served == 3
    await carrier.close()
    server.close()


async def test_a_body_of_unknown_length_is_read_to_the_byte(scripted: Scripted) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA[:700])
        await response.write(DATA[700:1000])
        return response

    scripted.answers["/k"] = [chunked]
    carrier = Carrier(5.0)
    url = URL(scripted.url + "/k")
    for size, came in ((1000, 1000), (999, 1000), (1001, 1000)):
        into = bytearray(size)
        assert (await carrier.get(url, {}, memoryview(into)))[1] == came
        assert into[:999] == DATA[:999]
    await carrier.close()


async def test_a_cancelled_transfer_ends_at_once_and_leaves_its_buffer() -> None:
    going = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x" * 10)
            going.set()
            await asyncio.sleep(0.01)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    carrier = Carrier(30.0)
    into = bytearray(100_000)
    task = asyncio.create_task(carrier.get(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), {}, memoryview(into)))
    await going.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    before = bytes(into)
    await asyncio.sleep(0.05)
    assert into == before
    await carrier.close()
    server.close()


async def test_what_is_no_answer_is_a_server_out_of_reach(scripted: Scripted) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    remote = scripted.remote(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(Unavailable):
        await remote.read_object(SignedRequest(url="/k"), 0, 10)
    server.close()


async def test_a_refusal_in_the_middle_of_a_pack_is_heard(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate")
        await writer.drain()
        # It hears the rest out for a while, as servers do, so that the answer is not lost to a reset.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while await reader.read(1 << 20):
            pass
        writer.close()

    (tmp_path / "pack").write_bytes(DATA)
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    carrier = Carrier(5.0)
    url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/k")
    with (tmp_path / "pack").open("rb", buffering=0) as file:
        sent: list[int] = []
        said = await carrier.put(url, {"Content-Length": str(len(DATA))}, file, len(DATA), sent.append)
        assert (said.status, said.reason) == (403, b"late")
        assert sum(sent) == len(DATA)
        with pytest.raises(ShortFile):
            await carrier.put(url, {"Content-Length": str(len(DATA) + 1)}, file, len(DATA) + 1, sent.append)
    await carrier.close()
    server.close()
