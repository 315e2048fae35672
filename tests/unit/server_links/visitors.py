"""Files and links for tests, and somebody who has a link and nothing else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

import aiohttp
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROGRAM = {"accept": "application/json"}
NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


async def file(device: SignedIn, name: str, content: bytes = b"", parent: str | None = None) -> str:
    """A file with these bytes (by default some random ones), sent and committed; its id."""
    content = content or os.urandom(3000)
    await sent(device, content)
    change = create_file(parent or device.root, name, [content])
    status, answer = await commit(device, change)
    assert status == 200, answer
    return str(change["node_id"])


async def folder(device: SignedIn, name: str, parent: str | None = None) -> str:
    change = create_folder(parent or device.root, name)
    status, answer = await commit(device, change)
    assert status == 200, answer
    return str(change["node_id"])


async def link(device: SignedIn, node: str, **more: Any) -> dict[str, Any]:
    """A new link, with its token."""
    status, answer = await device.post("/v1/links", {"node_id": node, **more})
    assert status == 201, answer
    made: dict[str, Any] = answer
    return made


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: dict[str, str]

    @property
    def text(self) -> str:
        return self.body.decode()


async def visited(
    server: RunningServer,
    path: str,
    method: str = "GET",
    *,
    cookies: Mapping[str, str] | None = None,
    data: Any = None,
    **headers: str,
) -> Answer:
    """One request without a token, not redirected, with these cookies alone."""
    sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if cookies:
        sent_headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    url = path if path.startswith("http") else server.url + path
    async with server.http.request(method, url, data=data, headers=sent_headers, allow_redirects=False) as answer:
        given = {name: morsel.value for name, morsel in answer.cookies.items()}
        return Answer(answer.status, dict(answer.headers), await answer.read(), given)


async def bytes_of(server: RunningServer, path: str, **headers: str) -> bytes:
    """What a download leads to."""
    begun = await visited(server, path, **headers)
    assert begun.status == 302, begun
    found = await visited(server, begun.headers["Location"])
    assert found.status == 200, found
    return found.body


def form(*files: tuple[str, bytes]) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)
    for name, content in files:
        data.add_field("file", content, filename=name)
    return data


def run_sql(server: RunningServer, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(server.data / "metadata.db", timeout=20)) as database, database:
        database.execute(statement, values)


def rows(server: RunningServer, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(server.data / "metadata.db", timeout=20)) as database:
        return database.execute(statement, values).fetchall()
