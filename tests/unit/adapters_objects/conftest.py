"""The disk store's door behind a real uvicorn, bare and as our listener wraps it, with a clock the test moves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from syncline.adapters.machine import MachineChance
from syncline.adapters.objects.disk import DiskObjects
from syncline.adapters.objects.door import ObjectsDoor
from syncline.adapters.objects.signing import UrlSigner
from syncline.app.listener import BoundedProtocol
from syncline.model.ids import Digest
from syncline.protocol.blocks import SignedRequest


class HandClock:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.time_us = 1_800_000_000_000_000

    def now_us(self) -> int:
        return self.time_us

    def monotonic_s(self) -> float:
        return self.time_us / 1_000_000


@dataclass
class Doorstep:
    """The running store and a client before it."""

    url: str
    http: aiohttp.ClientSession
    store: DiskObjects
    clock: HandClock
    root: Path
    told: list[tuple[str, int, str]] = field(default_factory=list)
    wanted: bool = True
    """What the store is told when it reports an object."""

    def grant(self, content: bytes, key: str = "k" * 20, ttl_s: int = 900) -> SignedRequest:
        return self.store.presign_put(key, size=len(content), sha256=digest(content), ttl_s=ttl_s)

    async def put(self, grant: SignedRequest, content: bytes, **headers: str) -> tuple[int, str]:
        """Status and problem code."""
        async with self.http.put(self.url + grant.url, data=content, headers=grant.headers | headers) as answer:
            return answer.status, (await answer.json(content_type=None))["code"] if answer.status >= 400 else ""

    async def get(self, key: str = "k" * 20, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        url = self.url + self.store.presign_get(key, ttl_s=900).url
        async with self.http.get(url, headers=headers) as answer:
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.read(), fields

    def files(self) -> list[str]:
        """Every file below the store's folder, drafts too."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


def digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


@pytest.fixture(params=["httptools", BoundedProtocol], ids=["parsed", "direct"])
async def doorstep(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Doorstep]:
    async with opened(tmp_path, request.param) as step:
        yield step


@asynccontextmanager
async def opened(tmp_path: Path, http_protocol: Any) -> AsyncIterator[Doorstep]:
    """The door behind a uvicorn that speaks HTTP by `http_protocol`, on the running loop."""
    clock, root = HandClock(), tmp_path / "objects"
    signer = UrlSigner(b"s" * 32, clock)
    store = DiskObjects.open(root, signer, MachineChance())
    async with aiohttp.ClientSession() as http:
        step = Doorstep("", http, store, clock, root)

        async def stored(key: str, size: int, sha256: Digest) -> bool:
            step.told.append((key, size, sha256))
            return step.wanted

        class Quiet(uvicorn.Server):
            @contextmanager
            def capture_signals(self):  # type: ignore[no-untyped-def]
                yield

        config = uvicorn.Config(
            ObjectsDoor(store, signer, stored), host="127.0.0.1", port=0, lifespan="off", log_config=None, http=http_protocol
        )
        server = Quiet(config)
        running = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        step.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield step
        await http.close()
        server.should_exit = True
        await running
    store.close()
