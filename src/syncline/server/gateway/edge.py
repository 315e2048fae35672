"""The edge: bare ASGI around everything, kept thin since every request passes.

It names the request, sends objects and content to doors of their own, bounds bodies (`BODY_MAX_BYTES`, counted after
decompression), undoes `Content-Encoding: zstd` when the route first reads the body, and so never for a caller the guard refused,
and compresses answers above `COMPRESS_ABOVE_BYTES` for clients that take zstd. Large ones are worked on in a thread. Doors that
read a body as it comes take up to `STREAM_MAX_BYTES`, uncompressed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from backports import zstd
from structlog.contextvars import bind_contextvars

from syncline.model.errors import InvalidRequest, LimitExceeded, SynclineError, Unavailable
from syncline.model.limits import BODY_MAX_BYTES, FILE_MAX_BYTES, KIB, TRANSFER_STALL_S
from syncline.ports import freshness
from syncline.ports.clock import Chance
from syncline.ports.freshness import Freshness
from syncline.protocol.changes import to_text
from syncline.protocol.problems import problem_answer
from syncline.server.gateway.failures import Defect, EncodingRefused, log_defect

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Admit: TypeAlias = Callable[[str], Awaitable[None]]

COMPRESS_ABOVE_BYTES: Final = KIB
STREAM_MAX_BYTES: Final = FILE_MAX_BYTES
_ALWAYS: Final = frozenset(("/healthz", "/readyz"))
"""Whoever looks after this process asks from one address, for as long as it lives."""
_PUBLIC: Final = "/s/"
COMPRESS_LEVEL: Final = 3
_THREAD_ABOVE_BYTES: Final = 64 * KIB
_WINDOW_LOG_MAX: Final = 23
"""RFC 9659: a zstd body's window is at most 8 MiB, so a frame cannot claim more memory than that."""


AS_OF: Final = b"syncline-as-of"
"""RFC 3339: an answer with this header is as of that time at least, and may lack what was committed since."""
READING_POSTS: Final = frozenset(("/v1/manifests", "/v1/notifications/poll", "/v1/files/download"))
"""POST only since what they ask for is long: like any GET, they may be answered while the primary database is away."""
_READING: Final = ("GET", "HEAD")


class Edge:
    def __init__(
        self, app: App, doors: Mapping[str, App], chance: Chance, sockets: App | None = None, admit: Admit | None = None
    ) -> None:
        """`admit` raises for a network address that asks too often."""
        self._app = app
        self._doors = doors
        self._sockets = sockets or app
        self._chance = chance
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._sockets(scope, receive, send)
            return
        request_id = self._chance.token(8).hex()
        scope["syncline.request_id"] = request_id
        # For whatever is logged in this request's task from here on.
        bind_contextvars(request_id=request_id)
        may_be_behind = scope["method"] in _READING or scope["path"] in READING_POSTS
        stamp = _Stamp(request_id, freshness.begin(may_be_behind=may_be_behind))
        prefix = scope["path"][: scope["path"].find("/", 1) + 1]
        if self._admit is not None and scope["path"] not in _ALWAYS:
            try:
                await self._admit((scope.get("client") or ("",))[0])
            except SynclineError as error:
                await _refuse(_Stamped(send, stamp), error, request_id)
                return
        door = self._doors.get(prefix)
        if door is not None:
            await self._guarded(door, prefix, scope, receive, _Stamped(send, stamp))
            return
        headers = dict(scope["headers"])
        answer = _Stamped(send, stamp)
        try:
            body = _StreamedBody(receive, headers) if is_streamed(scope["path"]) else _Body(receive, headers)
        except SynclineError as error:
            await _refuse(answer, error, request_id)
            return
        takes_zstd = b"zstd" in headers.get(b"accept-encoding", b"") and _takes_zstd(headers[b"accept-encoding"])
        await self._app(scope, body, _Compressed(answer) if takes_zstd else answer)

    async def _guarded(self, door: App, prefix: str, scope: Scope, receive: Receive, answer: _Stamped) -> None:
        """A door of bulk bytes, whose defects nobody else would answer or log."""
        try:
            await door(scope, receive, answer)
        except (TimeoutError, ConnectionError):
            # The peer stalled or the disk failed in mid-answer: uvicorn breaks the connection, which says it.
            raise
        except Exception as error:
            log_defect(error, scope["syncline.request_id"], prefix)
            if answer.started:
                raise
            await _refuse(answer, Defect(), scope["syncline.request_id"])


async def _refuse(send: Send, error: SynclineError, request_id: str) -> None:
    status, headers, content = problem_answer(error, request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class _Stamp:
    """The headers every answer bears: the request's id, and as of when it is where the newest could not be read."""

    __slots__ = ("_freshness", "_request_id")

    def __init__(self, request_id: str, freshness: Freshness) -> None:
        self._request_id = (b"x-request-id", request_id.encode())
        self._freshness = freshness

    def fields(self) -> list[tuple[bytes, bytes]]:
        fields = [self._request_id, (b"x-content-type-options", b"nosniff")]
        if self._freshness.as_of_us is not None:
            fields.append((AS_OF, to_text(self._freshness.as_of_us).encode()))
        return fields


class _Stamped:
    """`send` with those headers."""

    __slots__ = ("_send", "_stamp", "started")

    def __init__(self, send: Send, stamp: _Stamp) -> None:
        self._send = send
        self._stamp = stamp
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), *self._stamp.fields()]
        await self._send(message)


class _Compressed:
    """`send` that compresses an answer made of one body message; streams pass as they are."""

    __slots__ = ("_send", "_start")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        body = message.get("body", b"")
        if start is not None:
            if not message.get("more_body", False) and len(body) > COMPRESS_ABOVE_BYTES:
                body = await _sized(len(body), lambda: zstd.compress(body, COMPRESS_LEVEL))
                message = {**message, "body": body}
                start["headers"] = [
                    *(field for field in start["headers"] if field[0].lower() != b"content-length"),
                    (b"content-length", str(len(body)).encode()),
                    (b"content-encoding", b"zstd"),
                    (b"vary", b"accept-encoding"),
                ]
            await self._send(start)
        await self._send(message)


def is_streamed(path: str) -> bool:
    """Whether the door at `path` reads its body as it comes, a file perhaps, and never holds it: `/s/{token}/files…`."""
    return path.startswith(_PUBLIC) and path[len(_PUBLIC) :].partition("/")[2].startswith("files")


class _Body:
    """`receive` with its bound: raises `LimitExceeded` before more than `bound` of plain body were handed on."""

    __slots__ = ("_receive", "_seen", "_zstd")
    bound = BODY_MAX_BYTES
    encodings: tuple[bytes, ...] = (b"", b"identity", b"zstd")

    def __init__(self, receive: Receive, headers: dict[bytes, bytes]) -> None:
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in self.encodings:
            raise EncodingRefused(encoding=encoding.decode("latin-1")[:40])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15 or int(length) > self.bound:
            raise LimitExceeded(what="The body", limit=self.bound)
        self._receive = receive
        self._zstd = encoding == b"zstd"
        self._seen = 0

    async def __call__(self) -> Message:
        return await self._whole() if self._zstd else await self._next()

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(TRANSFER_STALL_S):
                message = await self._receive()
        except TimeoutError as error:
            raise Unavailable(what="The sender") from error
        self._seen += len(message.get("body", b""))
        if self._seen > self.bound:
            raise LimitExceeded(what="The body", limit=self.bound)
        return message

    async def _whole(self) -> Message:
        pieces, more = list[bytes](), True
        while more:
            message = await self._next()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._zstd = False
        packed = b"".join(pieces)
        plain = await _sized(len(packed), lambda: decompress(packed)) if packed else b""
        return {"type": "http.request", "body": plain, "more_body": False}


class _StreamedBody(_Body):
    """A body that nobody holds: it may be as large as files are, and comes as it is."""

    __slots__ = ()
    bound = STREAM_MAX_BYTES
    encodings = (b"", b"identity")


def decompress(packed: bytes) -> bytes:
    """The plain bytes of one zstd frame. Raises `LimitExceeded` above `BODY_MAX_BYTES`, `InvalidRequest` for anything else."""
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})
    try:
        plain = decoder.decompress(packed, BODY_MAX_BYTES + 1)
    except zstd.ZstdError as error:
        raise InvalidRequest(message="The body is not the zstd it claims to be") from error
    if len(plain) > BODY_MAX_BYTES:
        raise LimitExceeded(what="The body", limit=BODY_MAX_BYTES)
    if not decoder.eof or decoder.unused_data:
        raise InvalidRequest(message="The body is not one whole zstd frame")
    return plain


async def _sized(size: int, work: Callable[[], bytes]) -> bytes:
    return await asyncio.to_thread(work) if size > _THREAD_ABOVE_BYTES else work()


def _takes_zstd(header: bytes) -> bool:
    for part in header.split(b","):
        name, _, weight = part.partition(b";")
        if name.strip().lower() == b"zstd":
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False
