"""The access matrix: every door of the OpenAPI document, asked by everybody who must not come further than they may.

A door without a row fails here, and so does a row whose request the owner's own sign-in is refused: it would prove nothing. What
each cell says stands in `docs/access.md` too, and is compared. Every URL that any answer holds is looked at: none outlives its
fifteen minutes.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from tests.unit.server_access import core, past, people, plain, tree, uploads, views
from tests.unit.server_access.world import CALLERS, SECRET, Answer, Row, World, opened

from syncline.model.limits import GRANT_TTL_S

ROOT = Path(__file__).resolve().parents[3]
ROOMS: tuple[list[Row], ...] = (core.ROWS, plain.ROWS, uploads.ROWS, people.ROWS, tree.ROWS, past.ROWS, views.ROWS)
ROWS: list[Row] = sorted((row for room in ROOMS for row in room), key=lambda row: row.door.split()[::-1])
_METHODS = ("get", "post", "put", "patch", "delete")
_LINE = re.compile(r"^\| `([A-Z]+ /\S*)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_URL = re.compile(r"(?:https?://[^\s\"\\]+)?/(?:objects|content)/[^\s\"\\]+")


async def test_every_door_answers_everybody_as_documented(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        doors = await documented_doors(world)
        rows = [row for row in ROWS if row.door not in missing_rooms(doors)]
        assert doors == {row.door for row in rows}
        wrong: list[str] = []
        urls: list[str] = []
        for row in rows:
            for name, cell in zip(CALLERS, row.cells, strict=True):
                answer = await world.ask(row, world.whos[name])
                wrong += [f"{row.door} to {name}: {fault}" for fault in faults(row, cell, name, answer)]
                urls += _URL.findall(answer.text + " " + answer.location)
            owner = await world.ask(row, world.whos["owner"])
            if not 200 <= owner.status < 400:
                wrong.append(f"{row.door} to its owner: {owner.status} {owner.text[:200]}")
            urls += _URL.findall(owner.text + " " + owner.location)
        assert wrong == []
        assert len(urls) >= 4
        late = [url for url in urls if not 0 < expiry_of(url) - time.time() <= GRANT_TTL_S + 1]
        assert late == []


async def documented_doors(world: World) -> set[str]:
    async with world.server.http.get(world.server.url + "/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in _METHODS}


def missing_rooms(doors: set[str]) -> set[str]:
    """The doors of rooms that this server was built without: not one of them stands."""
    return {row.door for room in ROOMS if not any(row.door in doors for row in room) for row in room}


def faults(row: Row, cell: str, name: str, answer: Answer) -> Iterator[str]:
    """How an answer differs from its cell."""
    told = f"{answer.status} {answer.text[:300]}"
    status, _, what = cell.partition(" ")
    if status == "open":
        if not 200 <= answer.status < 400:
            yield f"is open, and answered {told}"
        return
    if answer.status != int(status):
        yield f"{cell} is documented, and it answered {told}"
        return
    if answer.status >= 400 and answer.json["status"] != answer.status:
        yield f"no problem document: {told}"
    if what not in ("", "own") and set(row.entries(answer.json)) != {what}:
        yield f"entries are to be {what}: {told}"
    if (name == "another's ids" or what == "own") and SECRET in answer.text:
        yield f"it tells what is another's: {told}"


def expiry_of(url: str) -> float:
    """When a URL that this server signed stops to hold, in seconds since 1970."""
    parts = urlsplit(url)
    if parts.path.startswith("/content/"):
        ticket = parts.path.split("/")[2]
        body: list[Any] = msgspec.msgpack.decode(base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))[:-32])
        return float(body[4])
    return float(parse_qs(parts.query)["expires"][0])


def test_the_page_shows_the_same_matrix() -> None:
    page = (ROOT / "docs" / "access.md").read_text()
    assert [line.groups() for line in _LINE.finditer(page)] == [(row.door, *row.cells) for row in ROWS]
