"""Carrying bulk: HTTP/1.1 exchanges whose bytes never pass through the event loop, each in a thread of its own.

A gigabyte that an event loop carries is copied four times and touches fresh memory for every piece; here the kernel writes an
answer's body straight into the buffer of whoever asked, and takes a file's bytes straight from the page cache. Laws: a transfer
ends when nothing moves for `stall_s`, never by being long; a cancelled one ends at once, and its buffer and file are free when the
cancellation is told; a connection is kept only after an exchange that ended as it should.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import BinaryIO, Final, TypeVar

from yarl import URL

from syncline.model.errors import Closed
from syncline.model.limits import KIB, MIB, PACKS_IN_FLIGHT

CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 60.0
TRANSFERS_MAX: Final = PACKS_IN_FLIGHT + 12
"""As many at a time; others wait."""
SEND_STEP_BYTES: Final = 1 * MIB
_TLS_STEP_BYTES: Final = 256 * KIB
_REASON_BYTES: Final = 512
_USER_AGENT: Final = "syncline"

T = TypeVar("T")
Moved = Callable[[int], None]
"""Told on the event loop how many bytes moved, as they do."""


class ShortFile(OSError):
    """The file to send holds fewer bytes than were promised."""


class Answer:
    """How a store answered: `length` is the body's if it was told. `reason` is the head of a refusal's body."""

    __slots__ = ("length", "reason", "status")

    def __init__(self, status: int, length: int | None, reason: bytes = b"") -> None:
        self.status = status
        self.length = length
        self.reason = reason


class Carrier:
    """A pool of connections and of threads. Every method is called on the event loop; once it is closed all raise `Closed`."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._threads: ThreadPoolExecutor | None = None
        self._idle: dict[tuple[str, str, int], list[_Line]] = {}
        self._closed = False

    async def put(self, url: URL, headers: Mapping[str, str], file: BinaryIO, size: int, moved: Moved) -> Answer:
        """Sends the first `size` bytes of `file`. Raises `ShortFile`, and what sockets and `http.client` raise."""
        loop = asyncio.get_running_loop()

        def sent(count: int) -> None:
            loop.call_soon_threadsafe(moved, count)

        return await self._exchange(url, lambda line: line.put(url.raw_path_qs, headers, file, size, sent))

    async def get(self, url: URL, headers: Mapping[str, str], into: memoryview) -> tuple[Answer, int]:
        """Fills `into` with the head of the body of a 200 or 206; how many bytes came, one more than asked where there are more."""
        return await self._exchange(url, lambda line: line.get(url.raw_path_qs, headers, into))

    async def close(self) -> None:
        """Ends what is idle; transfers under way end with whoever awaits them."""
        self._closed = True
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    # -- inside ----------------------------------------------------------------------------------------------------------------

    async def _exchange(self, url: URL, deed: Callable[[_Line], T]) -> T:
        """A kept connection may have been closed by the other side meanwhile: that is known only by trying, and tried once."""
        if self._closed:
            raise Closed
        place = (url.scheme, url.raw_host or "", url.port or 80)
        line = self._kept(place)
        if line is not None:
            with suppress(http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                return await self._on(line, place, deed)
        return await self._on(_Line(place, await _connected(place), self._stall_s), place, deed)

    async def _on(self, line: _Line, place: tuple[str, str, int], deed: Callable[[_Line], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(TRANSFERS_MAX, thread_name_prefix="carry")
        work = asyncio.get_running_loop().run_in_executor(self._threads, deed, line)
        try:
            result = await asyncio.shield(work)
        except asyncio.CancelledError:
            line.cut()
            # The thread notices at once; until then it may still touch the buffer or the file.
            await asyncio.wait([work])
            line.close()
            raise
        except http.client.HTTPException as error:
            line.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"it answered with something that is no HTTP: {type(error).__name__}") from error
        except BaseException:
            line.close()
            raise
        if line.is_sound and not self._closed:
            line.since_s = time.monotonic()
            self._idle.setdefault(place, []).append(line)
        else:
            line.close()
        return result

    def _kept(self, place: tuple[str, str, int]) -> _Line | None:
        lines = self._idle.get(place, [])
        while lines:
            line = lines.pop()
            if time.monotonic() - line.since_s < KEEPALIVE_S and line.is_quiet:
                return line
            line.close()
        return None


class _Line:
    """One connection. Its methods block; one thread at a time."""

    def __init__(self, place: tuple[str, str, int], sock: socket.socket, stall_s: float) -> None:
        self._secure = place[0] == "https"
        self._host = place[1]
        self._sock = sock
        self._stall_s = stall_s
        default = 443 if self._secure else 80
        # `http.client` opens nothing by itself here: the socket is given to it, whatever lies beneath.
        self._http = http.client.HTTPConnection(place[1], place[2])
        self._http.default_port = default
        self._http.auto_open = 0
        self._greeted = False
        self.since_s = 0.0
        self.is_sound = False

    @property
    def is_quiet(self) -> bool:
        """Nothing came while nothing was asked: a connection that speaks then was closed."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def put(self, target: str, headers: Mapping[str, str], file: BinaryIO, size: int, sent: Moved) -> Answer:
        self._begin("PUT", target, headers)
        try:
            self._send(file, size, sent)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before the end: the reason may have come, and this connection is over.
            return self._answer()[0]
        answer, response = self._answer()
        self._end(response)
        return answer

    def get(self, target: str, headers: Mapping[str, str], into: memoryview) -> tuple[Answer, int]:
        self._begin("GET", target, headers)
        answer, response = self._answer()
        count = 0
        if answer.status in (200, 206) and answer.length in (None, len(into)):
            while count < len(into) and (more := response.readinto(into[count:])):
                count += more
            if count < len(into) and answer.length is not None:
                raise ConnectionError("it ended the connection in the middle of an answer")
            if count == len(into) and not response.isclosed() and response.read(1):
                return answer, count + 1
        self._end(response)
        return answer, count

    def cut(self) -> None:
        """Wakes the thread that waits on this connection. Any thread may call it."""
        with suppress(OSError):
            # Not the TLS layer's own: that one would forget its state while the thread still uses it.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._http.close()
        self._sock.close()

    def _begin(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        self.is_sound = False
        if not self._greeted:
            self._sock.settimeout(self._stall_s)
            if self._secure:
                tls = _tls().wrap_socket(self._sock, server_hostname=self._host, do_handshake_on_connect=False)
                self._sock = tls
                tls.do_handshake()
            self._http.sock = self._sock
            self._greeted = True
        self._http.putrequest(method, target, skip_accept_encoding=True)
        self._http.putheader("User-Agent", _USER_AGENT)
        for name, value in headers.items():
            self._http.putheader(name, value)
        self._http.endheaders()

    def _send(self, file: BinaryIO, size: int, sent: Moved) -> None:
        offset = 0
        buffer = memoryview(bytearray(_TLS_STEP_BYTES)) if self._secure else None
        while offset < size:
            if buffer is None:
                count = self._sock.sendfile(file, offset, min(SEND_STEP_BYTES, size - offset))
            else:
                count = os.preadv(file.fileno(), [buffer[: size - offset]], offset)
                self._sock.sendall(buffer[:count])
            if not count:
                raise ShortFile(0, "it is shorter than it was")
            offset += count
            sent(count)

    def _answer(self) -> tuple[Answer, http.client.HTTPResponse]:
        response = self._http.getresponse()
        # `length` is None for a chunked body, and for one that ends with the connection.
        answer = Answer(response.status, response.length)
        if response.status >= 300:
            answer.reason = response.read(_REASON_BYTES)
        return answer, response

    def _end(self, response: http.client.HTTPResponse) -> None:
        """Whether the connection can serve again: only where this answer was read to its end."""
        if not response.isclosed() and response.length is not None and response.length <= _REASON_BYTES:
            response.read()
        self.is_sound = response.isclosed() and not response.will_close


async def _connected(place: tuple[str, str, int]) -> socket.socket:
    """A connection to the first address that takes one. Raises `OSError`, `TimeoutError`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        found = await loop.getaddrinfo(place[1], place[2], type=socket.SOCK_STREAM)
        failure = OSError(f"no address for {place[1]}")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
    raise failure


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
