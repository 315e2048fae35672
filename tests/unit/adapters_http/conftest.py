"""A server made of scripted answers, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from syncline.adapters.http import Backoff, HttpRemote, Tokens
from syncline.adapters.machine import MachineChance, MachineClock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scripted:
    """`answers[path]` is a list of handlers used up one by one; the last one stays. `seen` records requests with their bodies."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Handler]] = {}
        self.seen: list[tuple[web.Request, bytes]] = []
        self.kept: list[Tokens] = []
        self.server: TestServer | None = None
        self._remotes: list[HttpRemote] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request, body))
        handlers = self.answers[request.path]
        handler = handlers.pop(0) if len(handlers) > 1 else handlers[0]
        return await handler(request)

    @property
    def url(self) -> str:
        assert self.server is not None
        return str(self.server.make_url("")).rstrip("/")

    def remote(self, tokens: Tokens | None = None, **options: Any) -> HttpRemote:
        backoff = options.pop("backoff", Backoff(MachineChance(), first_s=0.002))
        remote = HttpRemote(
            options.pop("url", None) or self.url,
            tokens or Tokens(refresh_token="r1", access_token="a1"),
            self.kept.append,
            MachineClock(),
            MachineChance(),
            backoff=backoff,
            **options,
        )
        self._remotes.append(remote)
        return remote

    async def close(self) -> None:
        for remote in self._remotes:
            await remote.close()


def answer(value: Any, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        return web.Response(body=body, status=status, headers=headers)

    return handler


async def cut_off(request: web.Request) -> web.StreamResponse:
    """The answer is lost on its way."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{tail:.*}", scripted.handle)
    scripted.server = TestServer(app)
    await scripted.server.start_server()
    yield scripted
    await scripted.close()
    await scripted.server.close()
