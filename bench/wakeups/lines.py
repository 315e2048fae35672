"""Clients that cost next to nothing, so that one process can be ten thousand of them: sockets and long polls on raw connections."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
from typing import cast

from bench.wakeups.crowd import Seat, body
from syncline.protocol.notifications import SOCKET_PATH


class Line(asyncio.Protocol):
    """One connection. `heard` are the monotonic instants at which something whole came."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.heard: list[float] = []
        self.said: list[bytes] = []
        self.lost = False
        self._buffer = b""
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        while (whole := self._cut(self._buffer)) is not None:
            said, self._buffer = whole
            self.heard.append(now)
            self.said.append(said)
            self._wake()

    def _cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        """The first whole message and what is behind it."""
        raise NotImplementedError

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def until(self, count: int) -> None:
        """Until so many messages came."""
        while len(self.heard) < count:
            if self.lost:
                raise ConnectionError(f"the connection broke: {self.said[-1:]} {self._buffer[:300]!r}")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class HttpLine(Line):
    """One request after another."""

    def _cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        head, end, rest = buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(rest) < length:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"refused: {head[:40]!r} {rest[:300]!r}")
        return rest[:length], rest[length:]

    def ask(self, method: str, path: str, token: str, content: bytes = b"", more: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{more}"
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        self.write(head.encode() + content)


class SocketLine(Line):
    """A notification socket: the handshake, then texts."""

    def __init__(self) -> None:
        super().__init__()
        self._open = False

    def _cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        if not self._open:
            head, end, rest = buffer.partition(b"\r\n\r\n")
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(f"refused: {buffer[:400]!r}")
            self._open = True
            return head, rest
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return None
            size, start = struct.unpack(">H", buffer[2:4])[0], 4
        if len(buffer) < start + size:
            return None
        said, rest = buffer[start : start + size], buffer[start + size :]
        if buffer[0] & 0x0F == 0x9:
            self._frame(0xA, said)
            return self._cut(rest)
        return said, rest

    async def begin(self, seat: Seat) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.write(
            f"GET {SOCKET_PATH} HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\nauthorization: Bearer {seat.token}\r\n\r\n".encode()
        )
        await self.until(1)
        self._frame(0x1, body({"type": "subscribe", "cursors": sorted(set(seat.cursors))}))
        await self.until(2)
        if b"subscribed" not in self.said[1]:
            raise ConnectionError(f"refused: {self.said[1]!r}")
        self.heard.clear()
        self.said.clear()

    def _frame(self, kind: int, content: bytes) -> None:
        """A frame under the mask of zeros, which changes nothing."""
        size = bytes([0x80 | len(content)]) if len(content) < 126 else struct.pack(">BH", 0x80 | 126, len(content))
        self.write(bytes([0x80 | kind]) + size + bytes(4) + content)
