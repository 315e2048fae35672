"""Direct: bulk bodies between a connection's socket and the objects' door, past the HTTP parser and its copies.

uvicorn hands a body on in pieces that were copied four times, each into fresh memory. For large bodies whose length is known
the parser has nothing to find: once it has read the head, `receive_into` lets the system write into the door's own buffers, and
`send_file` lets it send from the page cache. The door finds this under `scope["extensions"]["syncline.direct"]`, not on TLS.

Laws: never a byte beyond the body is taken, so what a peer sends after it meets a parser again; a body that is given up is read
to its end and thrown away, as uvicorn does; what the parser took before the switch comes first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from syncline.model.limits import KIB, MIB

EXTENSION: Final = "syncline.direct"
DIRECT_ABOVE_BYTES: Final = 256 * KIB
_SEND_BYTES: Final = 4 * MIB
"""What one visit to a thread sends at most, so that a quick peer does not keep the others waiting."""
_SCRAP: Final = memoryview(bytearray(64 * KIB))

Run = Callable[[Callable[[], int]], Awaitable[int]]


class Direct:
    """One request's straight ways in and out. `length` is that of its body."""

    def __init__(self, http: HttpToolsProtocol, length: int) -> None:
        self._http = http
        self._cycle = http.cycle
        self._left = length
        self._sink: _Sink | None = None

    async def receive_into(self, view: memoryview, stall_s: float) -> int:
        """Fills `view` with the body's next bytes; how many there were, fewer only at its end. After the first call only this may
        read the body. Raises `ConnectionError` when the peer has gone, `TimeoutError` when nothing came for `stall_s`."""
        view = view[: self._left]
        count = self._parsed(view)
        self._left -= count
        if count < len(view):
            if self._sink is None:
                self._sink = self._begun()
            more = await self._sink.fill(view[count:], stall_s)
            self._left -= more
            count += more
        return count

    def give_up(self) -> None:
        """Nobody wants the rest of the body. May be called at any time, also after its end."""
        if self._sink is not None:
            self._sink.scrap()

    async def send_file(self, file: int, start: int, end: int, run: Run, stall_s: float) -> None:
        """Sends bytes `[start, end)` of a file as the answer's body, after its head went out by `send`; `run` does the blocking
        part in a thread. Ends early when the peer goes, as `send` would. Raises `TimeoutError` when it takes nothing for `stall_s`,
        `ConnectionAbortedError` when the file is shorter."""
        cycle, transport = self._cycle, self._http.transport
        async with asyncio.timeout(stall_s):
            await self._flushed()
        if cycle.disconnected or transport.is_closing():
            return
        number = os.dup(transport.get_extra_info("socket").fileno())
        try:
            while not cycle.disconnected:
                sent = await run(lambda start=start: _pump(number, file, start, end))  # type: ignore[misc]
                if sent < 0:
                    cycle.disconnected = True
                    transport.abort()
                    return
                start += sent
                cycle.expected_content_length -= sent
                if start == end:
                    return
                async with asyncio.timeout(stall_s):
                    await _writable(number)
        finally:
            os.close(number)

    def _parsed(self, view: memoryview) -> int:
        """Moves what uvicorn holds of the body into `view`."""
        held: bytearray = self._cycle.body
        count = min(len(held), len(view))
        if count:
            view[:count] = held[:count]
            self._cycle.body = held[count:]
        return count

    def _begun(self) -> _Sink:
        cycle, transport = self._cycle, self._http.transport
        if cycle.disconnected or transport.is_closing():
            raise ConnectionResetError("the peer has gone")
        if cycle.waiting_for_100_continue:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        return _Sink(self._http, self._left)

    async def _flushed(self) -> None:
        """Returns when nothing of the head waits in the transport any more."""
        transport = self._http.transport
        transport.set_write_buffer_limits(high=0)
        try:
            if transport.get_write_buffer_size():
                await self._http.flow.drain()
        finally:
            transport.set_write_buffer_limits()


class _Sink(asyncio.BufferedProtocol):
    """The connection's protocol for the rest of one body: the system writes into whatever view is being filled."""

    def __init__(self, http: HttpToolsProtocol, left: int) -> None:
        self._http = http
        self._cycle = http.cycle
        self._left = left
        self._view = _SCRAP[:0]
        self._filled = 0
        self._waiter: asyncio.Future[None] | None = None
        self._scrapping = False
        self._gone = False
        # A transport asks its protocol how it reads when reading starts, so it must stand still for the change.
        http.transport.pause_reading()
        http.transport.set_protocol(self)

    async def fill(self, view: memoryview, stall_s: float) -> int:
        """Fills `view`, which is no longer than what is left. Raises `ConnectionError`, `TimeoutError`."""
        if self._gone or self._http.transport.is_closing():
            raise ConnectionResetError("the peer has gone")
        self._view, self._filled = view, 0
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        self._http.transport.resume_reading()
        try:
            while not waiter.done():
                before = self._filled
                await asyncio.wait((waiter,), timeout=stall_s)
                if not waiter.done() and self._filled == before:
                    raise TimeoutError
            waiter.result()
            return self._filled
        finally:
            # Whoever asked may go away, and the view with it.
            self._waiter, self._view = None, _SCRAP[:0]
            self._stand_still()

    def scrap(self) -> None:
        """Reads the rest of the body and throws it away."""
        if self._left and not self._gone and not self._http.transport.is_closing():
            self._scrapping = True
            self._http.transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._scrapping:
            return _SCRAP[: self._left]
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        self._filled += 0 if self._scrapping else nbytes
        if self._left == 0:
            self._give_back()
        elif not self._scrapping and self._filled == len(self._view):
            self._stand_still()
        if self._waiter is not None and self._filled == len(self._view) and not self._waiter.done():
            self._waiter.set_result(None)

    def _stand_still(self) -> None:
        """Nothing is read while nobody waits: the sender is slowed down instead."""
        if self._left and not self._gone and not self._http.transport.is_closing():
            self._http.transport.pause_reading()

    def _give_back(self) -> None:
        """The body has ended: what follows is for a parser, a new one, since the old one still waits for this body."""
        http = self._http
        http.parser = httptools.HttpRequestParser(http)
        http.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._cycle.more_body = False
        http.transport.pause_reading()
        http.transport.set_protocol(http)
        http.flow.read_paused = False
        http.transport.resume_reading()

    # -- What the connection tells its protocol besides ----------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._http.connection_lost(exc)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError("the peer has gone"))

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


def offered(http: HttpToolsProtocol) -> dict[str, Any] | None:
    """The ASGI extensions of the request whose head was just read; None where there is nothing to gain or a way is barred."""
    if http.scheme != "http":
        return None
    length = 0
    for name, value in http.scope["headers"]:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            return None
    if length <= DIRECT_ABOVE_BYTES and http.scope["method"] != "GET":
        return None
    return {EXTENSION: Direct(http, length)}


def _pump(number: int, file: int, start: int, end: int) -> int:
    """Sends until the socket is full, the end is reached, or this visit has lasted long enough; how many bytes it sent, -1 where
    the peer has gone."""
    at, end = start, min(end, start + _SEND_BYTES)
    while at < end:
        try:
            count = os.sendfile(number, file, at, end - at)
        except BlockingIOError:
            break
        except (BrokenPipeError, ConnectionResetError):
            return -1
        if count == 0:
            raise ConnectionAbortedError("the object is shorter than it was")
        at += count
    return at - start


async def _writable(number: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(number)
