"""A real server for tests: the whole application behind uvicorn on a free port, in this process and event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from syncline.app.accounts import with_people
from syncline.app.config import ServerConfig, load
from syncline.app.processes.config import ASKED, ROLES
from syncline.app.server import serve
from syncline.ports.account_store import User
from syncline.testing.services.postgres import free_port

PASSWORD = "correct horse battery staple"


@dataclass
class SignedIn:
    """A linked device: its tokens, and calls that bear them."""

    server: RunningServer
    user_id: str
    device_id: str
    access_token: str
    refresh_token: str
    root: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access_token}"}

    async def call(self, method: str, path: str, json: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and decoded body of one call."""
        headers = self.headers | options.pop("headers", {})
        async with self.server.http.request(method, self.server.url + path, json=json, headers=headers, **options) as answer:
            text = await answer.read()
            return answer.status, (await answer.json(content_type=None) if text else None)

    async def get(self, path: str, /, **params: Any) -> tuple[int, Any]:
        return await self.call("GET", path, params=params)

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        return await self.call("POST", path, body, **options)


@dataclass
class RunningServer:
    url: str
    data: Path
    http: aiohttp.ClientSession = field(repr=False)

    async def add_user(self, email: str, password: str = PASSWORD, **options: Any) -> User:
        """An account, added the way `syncline admin user add` does."""
        return await with_people(self.data, lambda people: people.add(email, password, **options))

    async def sign_in(self, email: str, password: str = PASSWORD, device_name: str = "test") -> SignedIn:
        body = {"email": email, "password": password, "device_name": device_name}
        async with self.http.post(self.url + "/v1/auth/token", json=body) as answer:
            assert answer.status == 200, await answer.text()
            tokens = await answer.json()
        device = SignedIn(self, tokens["user_id"], tokens["device_id"], tokens["access_token"], tokens["refresh_token"])
        status, me = await device.get("/v1/me")
        assert status == 200
        device.root = me["root_namespace"]
        return device

    async def newcomer(self, email: str = "ann@example.org", device_name: str = "test") -> SignedIn:
        """A fresh account and its first device."""
        await self.add_user(email)
        return await self.sign_in(email, device_name=device_name)


@asynccontextmanager
async def running_server(folder: Path, *, listen: str = "127.0.0.1:0", file: Path | None = None) -> AsyncIterator[RunningServer]:
    """A server whose data lies in `folder/data`, until the block ends; it must end by itself, and without an error. `file` is its
    configuration, if any. With `SYNCLINE_TEST_SPLIT` set its gateway asks the rest of it over gRPC."""
    if os.environ.get("SYNCLINE_TEST_SPLIT"):
        async with split_server(folder, listen=listen, file=file) as server:
            yield server
        return
    # The server ends first: what is under way then is answered, and not broken off from here.
    async with aiohttp.ClientSession(auto_decompress=True) as http, _running(load(folder / "data", listen, file)) as url:
        yield RunningServer(url, folder / "data", http)


@asynccontextmanager
async def split_server(folder: Path, *, listen: str = "127.0.0.1:0", file: Path | None = None) -> AsyncIterator[RunningServer]:
    """The same in two parts: a gateway without any data, and what it asks."""
    secret = folder / "cluster.key"
    secret.write_bytes(bytes(range(32)))
    inner = f"127.0.0.1:{free_port()}"
    known = {"SYNCLINE_SERVER_CLUSTER_SECRET_FILE": str(secret)}
    grounded = load(
        folder / "data",
        "127.0.0.1:0",
        file,
        roles=[role for role in ROLES if role != "gateway"],
        environment=known | {"SYNCLINE_SERVER_CLUSTER_LISTEN": inner},
    )
    peers = {f"SYNCLINE_SERVER_PEERS_{role.upper()}": inner for role in ASKED}
    async with _running(grounded) as content_url:
        edge = known | peers | {"SYNCLINE_SERVER_CONTENT_URL": content_url}
        gateway = load(None, listen, file, roles=["gateway"], environment=edge)
        async with aiohttp.ClientSession(auto_decompress=True) as http, _running(gateway) as url:
            yield RunningServer(url, folder / "data", http)


@asynccontextmanager
async def _running(config: ServerConfig) -> AsyncIterator[str]:
    """A process of a server, in this one; its URL."""
    stop: asyncio.Event = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(serve(config, ready=ready.set_result, stop=stop))
    await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    try:
        yield await ready
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)
