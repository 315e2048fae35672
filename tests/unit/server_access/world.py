"""A server with an owner and the four who knock at every door of it: a stranger with the owner's ids, the owner's own token once it
has expired, a device of the owner's that was unlinked, and a member who may only read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.server import PASSWORD, RunningServer, SignedIn, running_server
from tests.unit.server_gateway.content import sent, sha256
from tests.unit.server_gateway.nodes import commit, create_file, create_folder

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.model.ids import DeviceId, UserId
from syncline.model.limits import ACCESS_TOKEN_TTL_S
from syncline.ports.clock import Ids
from syncline.server.accounts.tokens import AccessTokens, signing_keys

SECRET = "the owner's secret"
"""In the name of everything the owner has: a stranger's answers never hold it."""
CALLERS = ("another's ids", "expired token", "revoked device", "read-only member")


@dataclass(frozen=True)
class Who:
    """Somebody who asks. `device` holds their tokens, `owner` is the one whose things they ask for."""

    name: str
    device: SignedIn
    world: World = field(repr=False)

    @property
    def is_owner(self) -> bool:
        return self.name == "owner"


@dataclass(frozen=True)
class Ask:
    """One request: what fills the door's path, and what is sent."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    json: Any = None
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    location: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Row:
    """A door (`METHOD /path`), what each of `CALLERS` gets there, in that order, and how it is asked.

    A cell is a status; `200 own` says that nothing of the owner's is in the answer, `200 CODE` that each entry of the batch is
    refused with that code; `open` that the door asks nobody who they are, and answers all alike.
    """

    door: str
    cells: tuple[str, str, str, str]
    ask: Callable[[Who], Awaitable[Ask]]
    entries: Callable[[Any], list[str]] = lambda answer: [answer]
    """The codes (or states) of a batch's entries."""


OPEN = ("open", "open", "open", "open")
OWN = ("200 own", "401", "401", "200 own")
"""About the caller's own account, whatever ids are known."""


@dataclass
class World:
    server: RunningServer
    ann: SignedIn
    whos: dict[str, Who] = field(default_factory=dict)
    others: dict[str, SignedIn] = field(default_factory=dict)
    """People who ask for nothing here, by what they are needed for."""

    def fresh_name(self) -> str:
        return f"{SECRET} {os.urandom(4).hex()}"

    async def file(self) -> tuple[str, bytes]:
        """A fresh file of the owner's where the member may read: its id and its bytes."""
        content = os.urandom(2000)
        await sent(self.ann, content)
        change = create_file(self.ann.root, self.fresh_name(), [content])
        status, answer = await commit(self.ann, change)
        assert status == 200, answer
        return str(change["node_id"]), content

    async def folder(self) -> str:
        change = create_folder(self.ann.root, self.fresh_name())
        status, answer = await commit(self.ann, change)
        assert status == 200, answer
        return str(change["node_id"])

    async def link(self, node: str, **more: Any) -> dict[str, Any]:
        status, answer = await self.ann.post("/v1/links", {"node_id": node, **more})
        assert status == 201, answer
        made: dict[str, Any] = answer
        return made

    async def cursor(self, who: Who) -> str:
        """A place in the owner's journal behind its head, as this caller knows one; the owner's where they can know none."""
        for device in (who.device, self.ann):
            status, page = await device.get("/v1/changes", namespace=self.ann.root, limit=1)
            if status == 200:
                return str(page["cursor"])
        raise AssertionError("the owner has a journal")

    async def ask(self, row: Row, who: Who) -> Answer:
        asked = await row.ask(who)
        method, _, path = row.door.partition(" ")
        url = self.server.url + path.format(**asked.path)
        headers = who.device.headers | asked.headers
        async with self.server.http.request(
            method, url, params=asked.query, json=asked.json, data=asked.data, headers=headers, allow_redirects=False
        ) as answer:
            text = (await answer.read()).decode("utf-8", "replace")
            return Answer(answer.status, text, answer.headers.get("location", ""))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    async with running_server(folder) as server:
        ann = await server.newcomer("ann@example.org", device_name=SECRET)
        world = World(server, ann)
        revoked = await server.sign_in("ann@example.org", device_name="lost")
        status, _ = await ann.call("DELETE", f"/v1/devices/{revoked.device_id}")
        assert status == 204
        reader = await server.newcomer("rob@example.org")
        add_reader(server, ann.root, reader.user_id)
        devices = {
            "owner": ann,
            "another's ids": await server.newcomer("eve@example.org"),
            "expired token": replace(ann, access_token=await expired_token(ann)),
            "revoked device": replace(revoked, root=ann.root),
            "read-only member": reader,
        }
        world.whos = {name: Who(name, device, world) for name, device in devices.items()}
        yield world


def add_reader(server: RunningServer, namespace: str, user: str) -> None:
    with closing(sqlite3.connect(server.data / "metadata.db", timeout=20)) as database, database:
        database.execute(
            "INSERT INTO members (namespace_id, user_id, access, since_us) VALUES (?, ?, 'read', 1)", (namespace, user)
        )


class Yesterday(MachineClock):
    def now_us(self) -> int:
        return super().now_us() - (ACCESS_TOKEN_TTL_S + 1) * 1_000_000


async def expired_token(device: SignedIn) -> str:
    """The token this device had, a second after it expired."""
    _, me = await device.get("/v1/me")
    keys = signing_keys(json.loads((device.server.data / "keys" / "tokens.json").read_text()))
    clock = Yesterday()
    tokens = AccessTokens(keys, me["server_id"], clock, Ids(clock, MachineChance()))
    return tokens.issue(UserId(device.user_id), DeviceId(device.device_id))


__all__ = ["CALLERS", "OPEN", "OWN", "PASSWORD", "SECRET", "Answer", "Ask", "Row", "Who", "World", "opened", "sha256"]
