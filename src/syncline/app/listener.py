"""How the server listens: the socket, uvicorn under our own signals, and bounds that uvicorn does not keep by itself.

An HTTP parser must not be a hole in the laws on memory: a request's head is bounded in bytes and in time, and so is everything a
peer sends without the parser getting any further (an endless header, trailer or chunk extension). Bodies are the gateway's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from syncline.adapters.machine import MachineChance
from syncline.app.config import ServerConfig, split_address
from syncline.app.direct import offered
from syncline.app.sockets import BoundedSocket
from syncline.model.errors import InvalidRequest, LocalIo, Refused, SynclineError
from syncline.model.limits import KIB
from syncline.protocol.notifications import SUBSCRIBE_MAX_BYTES
from syncline.protocol.problems import problem_answer

BACKLOG: Final = 1024
HEAD_MAX_BYTES: Final = 64 * KIB
HEAD_MAX_S: Final = 30.0
IDLE_MAX_S: Final = 75
CONNECTIONS_MAX: Final = 18_000
"""Idle ones and sockets too; a system's limit on open files should be above it."""
PING_S: Final = 55.0
"""Between two pings of a socket: below the minute after which proxies tend to drop what says nothing."""
PONG_S: Final = 30.0
_CHANCE: Final = MachineChance()


class HeadTooLong(Refused):
    """The address and headers of a request are over their limit of {limit} bytes together."""

    code = "request.head"
    status = 431


def _refusal(error: SynclineError) -> bytes:
    """A whole answer from before there is a request: a problem as any other."""
    request_id = _CHANCE.token(8).hex()
    status, headers, body = problem_answer(error, request_id)
    fields = b"".join(b"%b: %b\r\n" % field for field in (*headers, (b"x-request-id", request_id.encode())))
    return b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (status, HTTPStatus(status).phrase.encode(), fields, body)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on what comes before a body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._stuck_bytes = 0
        """Received since the parser last told us anything."""
        self._progress = False
        self._refused = False
        """For good: what follows an endless head on its connection is not to be trusted as another request."""
        self._upgraded = False
        """The connection is a socket by now, and another protocol's."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._progress = False
        super().data_received(data)
        self._stuck_bytes = 0 if self._progress else self._stuck_bytes + len(data)
        if self._refused or self._stuck_bytes > HEAD_MAX_BYTES:
            self._refuse()
        elif self._deadline is None and not self._upgraded and (self.cycle is None or self.cycle.response_complete):
            self._arm()

    def handle_websocket_upgrade(self) -> None:
        self._upgraded = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        # The same for one that stands refused already: the parser stumbles over the rest of what it did not keep.
        malformed = InvalidRequest(message="This is no well-formed HTTP request")
        self._say(HeadTooLong(limit=HEAD_MAX_BYTES) if self._refused else malformed)

    def on_message_begin(self) -> None:
        self._progress = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._progress = True
        if self._takes(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._progress = True
        if self._takes(len(name) + len(value) + 4):
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._progress = True
        self._disarm()
        if not self._refused:
            self._head_bytes = 0
            super().on_headers_complete()
            if (extensions := offered(self)) is not None:
                self.scope["extensions"] = extensions

    def on_body(self, body: bytes) -> None:
        self._progress = True
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress = True
        if not self._refused:
            super().on_message_complete()

    def _takes(self, size: int) -> bool:
        """Whether the head may grow by `size` bytes; what is over the bound is not even kept."""
        self._head_bytes += size
        self._refused = self._refused or self._head_bytes > HEAD_MAX_BYTES
        return not self._refused

    def _refuse(self) -> None:
        self._say(HeadTooLong(limit=HEAD_MAX_BYTES))

    def _say(self, error: SynclineError) -> None:
        if not self.transport.is_closing():
            self.transport.write(_refusal(error))
            self.transport.close()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(HEAD_MAX_S, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


class Listener(uvicorn.Server):
    """uvicorn without signals of its own (we drain first, and exit 0), telling when it listens."""

    def __init__(self, config: ServerConfig, app: Any, ready: Callable[[], None]) -> None:
        super().__init__(_settings(config, app))
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


def _settings(config: ServerConfig, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws=BoundedSocket,
        ws_max_size=SUBSCRIBE_MAX_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=",".join(config.trusted_proxies),
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_MAX_S,
        timeout_graceful_shutdown=max(1, round(config.drain_s)),
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )


def bound(config: ServerConfig) -> AbstractContextManager[socket.socket]:
    """The listening socket. Raises `LocalIo`."""
    return bound_at(config.listen)


@contextmanager
def bound_at(listen: str) -> Iterator[socket.socket]:
    """A socket that listens at `HOST:PORT`. Raises `LocalIo`, `InvalidRequest`."""
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio switches Nagle off only where it sees that it is TCP, and each answer would cost 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise LocalIo(path=listen, reason=error.strerror or str(error)) from error
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()


def base_url(config: ServerConfig, listener: socket.socket) -> str:
    """Where the socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if config.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
