"""The listener for whoever operates the server: `/metrics`, `/healthz` and `/readyz` at `metrics_listen`, an address of its own.

It asks nobody who they are, so it belongs on an address that only the scraper reaches; users' listener has no `/metrics` at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import structlog
import uvicorn

from syncline.adapters.observed.requests import Receive, Scope, Send
from syncline.adapters.telemetry.prometheus import CONTENT_TYPE, PrometheusMeter
from syncline.app.listener import BoundedProtocol, bound_at
from syncline.model.errors import SynclineError

CONNECTIONS_MAX: Final = 64
IDLE_MAX_S: Final = 75
log: Final[Any] = structlog.get_logger("syncline.scraping")
Ready = Callable[[], Awaitable[None]]


@asynccontextmanager
async def scraped(listen: str, meter: PrometheusMeter, ready: Ready) -> AsyncIterator[int]:
    """Answers at `listen` until the block ends; the port. Raises `LocalIo`."""
    with bound_at(listen) as listener:
        server = _Quiet(_settings(_Pages(meter, ready)))
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        port = int(listener.getsockname()[1])
        log.info("metrics", port=port)
        try:
            yield port
        finally:
            server.should_exit = True
            await running


class _Pages:
    def __init__(self, meter: PrometheusMeter, ready: Ready) -> None:
        self._meter = meter
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _answer(send, *await self._page(scope["path"]))

    async def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE, await asyncio.to_thread(self._meter.page)
        if path == "/healthz":
            return 200, "text/plain", b"ok\n"
        if path == "/readyz":
            try:
                await self._ready()
            except SynclineError as error:
                return 503, "text/plain", f"{error.code}\n".encode()
            return 200, "text/plain", b"ready\n"
        return 404, "text/plain", b"/metrics, /healthz, /readyz\n"


async def _answer(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Quiet(uvicorn.Server):
    """Without signals of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settings(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_MAX_S,
        timeout_graceful_shutdown=1,
    )
