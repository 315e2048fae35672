"""The content door: GET and HEAD of `/content/TICKET/NAME`, bare ASGI, since files of any size pass here.

Laws: the ticket and its holder's standing are checked before anything is read, and at the start only; the answer does not begin
before its first bytes are proven; one that cannot be finished rightly breaks its connection, so no reader takes a part for the
whole; at most `STREAMS_AT_ONCE` answers are assembled at once, and `STREAMS_PER_HOLDER` for one; a peer that stalls is let go.
Tickets are never logged. The name in the URL is for people; the stored one goes into the answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import aclosing, contextmanager
from email.utils import formatdate
from typing import Any, Final, TypeAlias

import structlog

from syncline.model.errors import Refused, SynclineError, TooBusy
from syncline.model.limits import KIB, TRANSFER_STALL_S
from syncline.ports.content_store import Content
from syncline.protocol.problems import problem_answer
from syncline.protocol.ranges import UnsatisfiableRange, chosen_range
from syncline.server.content.downloads import CONTENT_PREFIX, Admitted, Downloads
from syncline.server.content.headers import answer_headers, bars, etag_of, unchanged

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

STREAMS_AT_ONCE: Final = 64
STREAMS_PER_HOLDER: Final = 32
SEND_BYTES: Final = 256 * KIB
"""What is handed to a connection at once: it must take so much within `TRANSFER_STALL_S`."""
ALLOWED: Final = "GET, HEAD"

log: Final[Any] = structlog.get_logger("syncline.content")


class MethodRefused(Refused):
    """This address takes {allowed}."""

    code = "method.not_allowed"
    status = 405


class ContentDoor:
    def __init__(
        self,
        downloads: Downloads,
        *,
        streams: int = STREAMS_AT_ONCE,
        per_holder: int = STREAMS_PER_HOLDER,
        stall_s: float = TRANSFER_STALL_S,
    ) -> None:
        self._downloads = downloads
        self._stall_s = stall_s
        self._streams = streams
        self._per_holder = per_holder
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`scope["syncline.request_id"]` names the request in problem documents and the log."""
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise MethodRefused(allowed=ALLOWED)
            token = scope["path"].removeprefix(CONTENT_PREFIX).partition("/")[0]
            await self.answer(await self._downloads.admit(token), scope, receive, send)
        except SynclineError as error:
            await _refuse(error, scope, send)

    async def answer(self, admitted: Admitted, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a GET or HEAD with the content, or the part of it that is asked for. Raises before the answer has begun alone."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        content, head = admitted.content, scope["method"] == "HEAD"
        etag = etag_of(content)
        if unchanged(headers, etag):
            await send({"type": "http.response.start", "status": 304, "headers": bars(etag)})
            await send({"type": "http.response.body", "body": b""})
            return
        start, end, partial = (0, content.size, False) if head else chosen_range(headers, content.size, etag)
        status, answer = (206, _partial(start, end, content.size)) if partial else (200, Headers())
        answer += [*_described(content, end - start, inline=admitted.inline), *bars(etag)]
        if head or start == end:
            await send({"type": "http.response.start", "status": status, "headers": answer})
            await send({"type": "http.response.body", "body": b""})
            return
        with self._slot(admitted.holder):
            async with aclosing(self._downloads.stream(content, start, end)) as pieces:
                await self._send(pieces, end - start, {"status": status, "headers": answer}, scope, receive, send)

    async def _send(
        self, pieces: AsyncGenerator[memoryview, None], size: int, start: Message, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Sends `size` bytes of pieces behind the head `start`, which waits for the first of them."""
        leaving = asyncio.ensure_future(_left(receive))
        begun = False
        try:
            async for piece in pieces:
                if not begun:
                    begun = True
                    await send({"type": "http.response.start", **start})
                for at in range(0, len(piece), SEND_BYTES):
                    if leaving.done():
                        return
                    part = piece[at : at + SEND_BYTES]
                    size -= len(part)
                    async with asyncio.timeout(self._stall_s):
                        await send({"type": "http.response.body", "body": part, "more_body": size > 0})
        except SynclineError as error:
            log.error("content failed", request_id=scope.get("syncline.request_id", ""), code=error.code, begun=begun, left=size)
            if not begun:
                raise
            # The answer has begun: breaking the connection is the only way left to say so.
            raise ConnectionAbortedError("the content cannot be read") from error
        finally:
            leaving.cancel()

    @contextmanager
    def _slot(self, holder: str) -> Iterator[None]:
        """A place among the streams. Raises `TooBusy`."""
        if self._open.total() >= self._streams or self._open[holder] >= self._per_holder:
            raise TooBusy(retry_after=2)
        self._open[holder] += 1
        try:
            yield
        finally:
            self._open[holder] -= 1
            if not self._open[holder]:
                del self._open[holder]


async def _left(receive: Receive) -> None:
    """Returns when the peer has gone. What it may send as a body meanwhile is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _described(content: Content, length: int, *, inline: bool) -> Headers:
    described = answer_headers(content.name, content.mime_type, inline=inline)
    return [
        *((name.encode(), value.encode()) for name, value in described.items()),
        (b"content-length", str(length).encode()),
        (b"last-modified", formatdate(max(0, content.mtime_us // 1_000_000), usegmt=True).encode()),
    ]


def _partial(start: int, end: int, total: int) -> Headers:
    return [(b"content-range", f"bytes {start}-{end - 1}/{total}".encode())]


async def _refuse(error: SynclineError, scope: Scope, send: Send) -> None:
    status, headers, body = problem_answer(error, scope.get("syncline.request_id", ""))
    if isinstance(error, UnsatisfiableRange):
        headers.append((b"content-range", f"bytes */{error.fields['size']}".encode()))
    if isinstance(error, MethodRefused):
        headers.append((b"allow", ALLOWED.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
