"""The straight way between sockets and the objects' door, on both event loops, with peers that do what peers do."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest
import uvloop
from tests.unit.adapters_objects.conftest import Doorstep, opened

from syncline.adapters.objects import disk, door
from syncline.app.listener import BoundedProtocol
from syncline.protocol.blocks import SignedRequest

BODY = os.urandom(5 * disk.PIECE_BYTES + 12_345)
KEY = "k" * 20

Play: TypeAlias = Callable[[Doorstep, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Stage: TypeAlias = Callable[[Play], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """Runs a play before a fresh door, with a connection to it."""

    async def run(play: Play) -> None:
        async with opened(tmp_path, BoundedProtocol) as step:
            parts = urlsplit(step.url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 16)
            try:
                async with asyncio.timeout(20):
                    await play(step, reader, writer)
            finally:
                writer.close()

    def go(play: Play) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(run(play))

    return go


def head(method: str, signed: SignedRequest, **headers: str) -> bytes:
    fields = {"host": "x", **signed.headers, **headers}
    return f"{method} {signed.url} HTTP/1.1\r\n".encode() + b"".join(f"{a}: {b}\r\n".encode() for a, b in fields.items()) + b"\r\n"


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def nothing_left(step: Doorstep) -> None:
    for _ in range(400):
        if not step.files():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(step.files())


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3, 70_000), (65_536, 65_537, len(BODY) - 1)], ids=str)
def test_a_body_in_pieces_and_the_request_behind_it(stage: Stage, cuts: tuple[int, ...]) -> None:
    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        get = head("GET", step.store.presign_get(KEY, ttl_s=900))
        writer.write(head("PUT", step.grant(BODY)))
        ends = (*cuts, len(BODY))
        for start, end in zip((0, *cuts), ends, strict=True):
            # What follows the body comes in one piece with its end.
            writer.write(BODY[start:end] + (get + get if end == len(BODY) else b""))
            await writer.drain()
            await asyncio.sleep(0.02)
        assert await answer(reader) == (200, b"")
        assert await answer(reader) == (200, BODY)
        assert await answer(reader) == (200, BODY)
        assert step.told[0][:2] == (KEY, len(BODY))

    stage(play)


def test_a_sender_that_waits_to_be_asked(stage: Stage) -> None:
    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("PUT", step.grant(BODY), expect="100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert await answer(reader) == (200, b"")
        assert (await step.get())[1] == BODY

    stage(play)


def test_a_full_disk_is_told_and_the_connection_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def full(_file: int, _pieces: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as patched:
            patched.setattr(os, "writev", full)
            writer.write(head("PUT", step.grant(BODY)) + BODY)
            status, _ = await answer(reader)
        assert status == 507
        assert step.files() == []
        writer.write(head("PUT", step.grant(BODY)) + BODY)
        assert await answer(reader) == (200, b"")
        assert (await step.get())[1] == BODY

    stage(play)


def test_a_sender_that_leaves_stores_nothing(stage: Stage) -> None:
    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("PUT", step.grant(BODY)) + BODY[:2_000_000])
        await writer.drain()
        for _ in range(400):
            if step.files():
                break
            await asyncio.sleep(0.01)
        writer.transport.abort()
        await nothing_left(step)
        assert await step.put(step.grant(BODY), BODY) == (200, "")

    stage(play)


def test_a_sender_that_stalls_is_let_go_but_a_slow_one_is_not(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "TRANSFER_STALL_S", 0.3)
    body = BODY[:400_000]

    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("PUT", step.grant(body)))
        for start in range(0, len(body), 50_000):
            writer.write(body[start : start + 50_000])
            await asyncio.sleep(0.1)
        assert await answer(reader) == (200, b"")
        writer.write(head("PUT", step.grant(body, key="z" * 20)) + body[:300_000])
        assert (await answer(reader))[0] == 503
        assert step.files() == [f"kk/{KEY}"]

    stage(play)


def test_a_slow_reader_gets_every_byte_and_may_ask_again(stage: Stage) -> None:
    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = os.urandom(24 << 20)
        assert await step.put(step.grant(body), body) == (200, "")
        asked = head("GET", step.store.presign_get(KEY, ttl_s=900))
        writer.write(asked)
        await reader.readuntil(b"\r\n\r\n")
        got = bytearray()
        while len(got) < len(body):
            got += await reader.readexactly(min(1 << 20, len(body) - len(got)))
            await asyncio.sleep(0.005)
        assert bytes(got) == body
        writer.write(head("GET", step.store.presign_get(KEY, ttl_s=900), range="bytes=1000000-1999999"))
        assert await answer(reader) == (206, body[1_000_000:2_000_000])

    stage(play)


def test_a_reader_that_leaves_or_stalls_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "TRANSFER_STALL_S", 0.3)

    async def play(step: Doorstep, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = os.urandom(24 << 20)
        assert await step.put(step.grant(body), body) == (200, "")
        parts = urlsplit(step.url)
        asked = head("GET", step.store.presign_get(KEY, ttl_s=900))
        _, leaving = await asyncio.open_connection(parts.hostname, parts.port)
        leaving.write(asked)
        await asyncio.sleep(0.05)
        leaving.transport.abort()
        writer.write(asked)
        await asyncio.sleep(1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(len(body) + 1)
        assert (await step.get())[1] == body

    stage(play)
