"""Two servers that share a database and a broker: who waits at one hears of what is committed at the other, whatever dies."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from syncline.adapters.bus.nats import NatsBus, NatsPlace
from syncline.app.accounts import with_people
from syncline.model.errors import Unavailable
from syncline.ports.bus import Hint, Position
from syncline.protocol.notifications import SOCKET_PATH
from syncline.testing.services import nats, postgres
from tests.e2e.world import EMAIL, PASSWORD, Server
from tests.unit.server_gateway.nodes import create_folder, fresh_id

WAIT_S = 30.0
DATABASE = "events"


class OnBroker(Server):
    def __init__(self, root: Path, database: str, broker: str) -> None:
        super().__init__(root)
        root.mkdir()
        config = root / "server.toml"
        config.write_text(f'data = "{self.data}"\ndatabase = "{database}"\n[bus]\nkind = "nats"\nservers = ["{broker}"]\n')
        self.more = ("--config", str(config))


class Person:
    """One device, and calls that go to whichever server is named."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.headers: dict[str, str] = {}
        self.root = ""
        self._made = 0

    async def sign_in(self, server: Server) -> None:
        body = {"email": EMAIL, "password": PASSWORD, "device_name": "test"}
        async with self.http.post(server.url + "/v1/auth/token", json=body) as answer:
            self.headers = {"authorization": f"Bearer {(await answer.json())['access_token']}"}
        self.root = (await self.get(server, "/v1/me"))["root_namespace"]

    async def get(self, server: Server, path: str) -> Any:
        async with self.http.get(server.url + path, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def change(self, server: Server) -> int:
        """A new folder; the head then."""
        self._made += 1
        body = {"namespace": self.root, "changes": [create_folder(self.root, f"folder {self._made}")]}
        headers = self.headers | {"idempotency-key": fresh_id()}
        async with self.http.post(server.url + "/v1/files/commit", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return int((await answer.json())["sequence"])

    async def listen(self, server: Server) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(server.url + SOCKET_PATH, headers=self.headers)
        latest = await self.get(server, "/v1/changes/latest")
        await socket.send_json({"type": "subscribe", "cursors": [latest["cursor"]]})
        assert (await socket.receive_json(timeout=WAIT_S))["type"] == "subscribed"
        return socket

    async def told(self, socket: aiohttp.ClientWebSocketResponse, head: int) -> None:
        """Waits until the socket says that the head is there."""
        while (await socket.receive_json(timeout=WAIT_S))["namespaces"][self.root] < head:
            pass


class Ear:
    """Listens on the bus as a process of its own would, and resumes where it stood."""

    def __init__(self, broker: str) -> None:
        self._bus = NatsBus(NatsPlace(servers=[broker]))
        self._position: Position | None = None
        self.hints: list[Hint] = []

    async def hears(self, wanted: Hint) -> None:
        async with asyncio.timeout(WAIT_S):
            while wanted not in self.hints:
                await self.listen()

    async def listen(self, timeout_s: float = 0.5) -> None:
        try:
            async with self._bus.subscribe(self._position) as subscription:
                self._position = subscription.position
                while (delivery := await subscription.next(timeout_s)) is not None:
                    assert not delivery.gap
                    self.hints += delivery.hints
                    self._position = delivery.position
        except Unavailable:
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        await self._bus.close()


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.05)


def _unpublished(database: str) -> int:
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM namespaces WHERE head_sequence > published_sequence").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.real
@pytest.mark.timeout(180)
async def test_hints_cross_from_server_to_server_and_outlive_broker_and_relay(
    tmp_path: Path, postgres_server: postgres.Postgres
) -> None:
    database = postgres_server.create(DATABASE)
    with nats.running(tmp_path / "nats") as broker:
        one, two = (OnBroker(tmp_path / name, database, broker.url) for name in ("one", "two"))
        await with_people(one.data, lambda people: people.add(EMAIL, PASSWORD), database=database)
        ear = Ear(broker.url)
        try:
            one.start()
            shutil.copytree(one.data / "keys", two.data / "keys")
            two.start()
            async with aiohttp.ClientSession() as http:
                ada = Person(http)
                await ada.sign_in(one)
                await _cross(ada, one, two, ear)
                await _while_the_broker_is_dead(ada, one, two, ear, broker)
                await _after_the_relay_died(ada, one, two, ear, database)
            assert [hint.sequence for hint in ear.hints] == sorted(hint.sequence for hint in ear.hints)
        finally:
            await ear.close()
            for server in (one, two):
                if server.ended() is None:
                    server.kill()
            postgres_server.drop(DATABASE)


async def _cross(ada: Person, one: Server, two: Server, ear: Ear) -> None:
    await ear.listen()
    socket = await ada.listen(two)
    head = await ada.change(one)
    await ada.told(socket, head)
    await ear.hears(Hint(ada.root, head))  # type: ignore[arg-type]
    await socket.close()


async def _while_the_broker_is_dead(ada: Person, one: Server, two: Server, ear: Ear, broker: nats.Nats) -> None:
    """Commits go on, those who wait are still told, and what the bus missed it gets when it is back."""
    socket = await ada.listen(two)
    broker.kill()
    for _ in range(3):
        head = await ada.change(one)
    await ada.told(socket, head)
    broker.start()
    await ear.hears(Hint(ada.root, head))  # type: ignore[arg-type]
    head = await ada.change(one)
    await ear.hears(Hint(ada.root, head))  # type: ignore[arg-type]
    await socket.close()


async def _after_the_relay_died(ada: Person, one: Server, two: Server, ear: Ear, database: str) -> None:
    """One is killed while what it committed may be published and not marked; the other goes on with everything."""
    last = await ada.change(one)
    one.kill()
    head = await ada.change(two)
    socket = await ada.listen(two)
    await ear.hears(Hint(ada.root, head))  # type: ignore[arg-type]

    async def marked() -> bool:
        return await asyncio.to_thread(_unpublished, database) == 0

    await _until(marked)
    assert max(hint.sequence for hint in ear.hints) == head > last
    one.start()
    head = await ada.change(one)
    await ada.told(socket, head)
    await socket.close()
