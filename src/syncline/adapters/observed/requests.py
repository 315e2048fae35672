"""Around the whole application: every request is counted by its route and status, its bytes by what they are, and everything that
is logged meanwhile bears its id.

A route is its pattern, so the label has as many values as there are routes. Bodies of doors that carry files count as `content`,
all others as `facts`: on a gateway of a scaled-out server, content stays at nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import structlog

from syncline.ports.clock import Clock
from syncline.ports.meter import Meter
from syncline.ports.metrics import GATEWAY_BYTES, REQUEST_SECONDS, REQUESTS, REQUESTS_OPEN, SOCKETS_OPEN
from syncline.ports.tracer import NO_TRACER, Tracer

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

FACTS: Final = "facts"
CONTENT: Final = "content"
UNKNOWN: Final = "unknown"
"""No route of ours, whatever was asked for."""
DIRECT: Final = "syncline.direct"
_METHODS: Final = frozenset(("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"))
log: Final[Any] = structlog.get_logger("syncline.requests")


class ObservedApp:
    """`content` says of a path whether a file's bytes pass there; `bulk` are prefixes that have no route, such as `/objects/`.
    `said` hears what sockets say, and since when each is open."""

    def __init__(
        self,
        app: App,
        clock: Clock,
        meter: Meter,
        *,
        bulk: tuple[str, ...],
        content: Callable[[str], bool],
        said: Callable[[bytes, float], None] | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._app = app
        self._clock = clock
        self._meter = meter
        self._bulk = bulk
        self._content = content
        self._said = said
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        since = self._clock.monotonic_s()

        async def heard(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.send" and self._said is not None:
                self._said(message.get("bytes") or (message.get("text") or "").encode(), since)

        self._meter.add(SOCKETS_OPEN, 1)
        try:
            await self._app(scope, receive, heard)
        finally:
            self._meter.add(SOCKETS_OPEN, -1)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = _Seen(receive, send)
        extensions = scope.get("extensions")
        if extensions and DIRECT in extensions:
            scope["extensions"] = {**extensions, DIRECT: _SeenDirect(extensions[DIRECT], seen)}
        since = self._clock.monotonic_s()
        self._meter.add(REQUESTS_OPEN, 1)
        close = self._tracer.begin("request", parent=_traceparent(scope))
        failure: BaseException | None = None
        try:
            await self._app(scope, seen.receive, seen.send)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._meter.add(REQUESTS_OPEN, -1)
            operation, took_s = self.operation(scope), self._clock.monotonic_s() - since
            self._count(scope["path"], operation, seen, took_s)
            request_id = str(scope.get("syncline.request_id", ""))
            self._tracer.name(operation, {"http.response.status_code": str(seen.status), "syncline.request_id": request_id})
            close(failure)
            log.debug("request", request_id=request_id, operation=operation, status=seen.status, took_ms=round(took_s * 1000, 1))

    def operation(self, scope: Mapping[str, Any]) -> str:
        """Method and route."""
        method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
        for prefix in self._bulk:
            if scope["path"].startswith(prefix):
                return f"{method} {prefix}…"
        handler = scope.get("route_handler")
        if handler is None or method not in getattr(handler, "http_methods", ()):
            return UNKNOWN
        return f"{method} {'|'.join(sorted(handler.paths))}"

    def _count(self, path: str, operation: str, seen: _Seen, took_s: float) -> None:
        # A status of 0 is a connection that ended before there was an answer.
        self._meter.add(REQUESTS, 1, operation, str(seen.status))
        self._meter.observe(REQUEST_SECONDS, took_s, operation)
        kind = CONTENT if self._content(path) else FACTS
        if seen.received:
            self._meter.add(GATEWAY_BYTES, seen.received, kind, "in")
        if seen.sent:
            self._meter.add(GATEWAY_BYTES, seen.sent, kind, "out")


class _Seen:
    """A request's two ways, and what went over them."""

    __slots__ = ("_receive", "_send", "received", "sent", "status")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.status = 0
        self.received = 0
        self.sent = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


class _SeenDirect:
    """The listener's straight way, with what it carried."""

    def __init__(self, direct: Any, seen: _Seen) -> None:
        self._direct = direct
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._direct, name)

    async def receive_into(self, view: memoryview, stall_s: float) -> int:
        count: int = await self._direct.receive_into(view, stall_s)
        self._seen.received += count
        return count

    async def send_file(self, file: int, start: int, end: int, run: Any, stall_s: float) -> None:
        await self._direct.send_file(file, start, end, run, stall_s)
        self._seen.sent += end - start


def _traceparent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return str(value.decode("latin-1")) if len(value) <= 55 else ""
    return ""
