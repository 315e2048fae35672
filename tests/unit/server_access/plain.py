"""Rows of the plain doors: downloads and links."""

from __future__ import annotations

from typing import Any

import aiohttp
from tests.unit.server_access.core import FOREIGN, NEITHER, WRITES
from tests.unit.server_access.world import OPEN, Ask, Row, Who
from tests.unit.server_gateway.uploading import send


def _errors(answer: Any) -> list[str]:
    return [str(file.get("error", "")) for file in answer["files"]]


async def _download(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"file_ids": [node]})


async def _file(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"file": node})


async def _link_make(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"node_id": node})


async def _links_of(who: Who) -> Ask:
    node, _ = await who.world.file()
    await who.world.link(node)
    return Ask(query={"node_id": node})


async def _link_change(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"link_id": (await who.world.link(node))["link_id"]}, json={"downloads_max": 7})


async def _link_revoke(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"link_id": (await who.world.link(node))["link_id"]})


async def _token(who: Who) -> dict[str, str]:
    node, _ = await who.world.file()
    return {"token": (await who.world.link(node))["token"]}


async def _opened(who: Who) -> Ask:
    return Ask(path=await _token(who))


async def _unlocked(who: Who) -> Ask:
    return Ask(path=await _token(who), data={"password": "none"})


async def _zip(who: Who) -> Ask:
    return Ask(path={"token": (await who.world.link(await who.world.folder()))["token"]})


async def _drop(who: Who) -> Ask:
    form = aiohttp.FormData()
    form.add_field("file", b"dropped", filename="dropped.txt")
    token = (await who.world.link(await who.world.folder(), kind="drop"))["token"]
    return Ask(path={"token": token}, data=form)


async def _drop_one(who: Who) -> Ask:
    token = (await who.world.link(await who.world.folder(), kind="drop"))["token"]
    return Ask(path={"token": token, "name": "dropped.txt"}, data=b"dropped")


async def _begin_drop(who: Who) -> Ask:
    token = (await who.world.link(await who.world.folder(), kind="drop"))["token"]
    return Ask(path={"token": token}, json={"files": [{"name": "a", "size": 3}]})


async def _dropping(who: Who) -> Ask:
    """An upload begun and sent through a link, not completed."""
    begin = await _begin_drop(who)
    url = f"{who.world.server.url}/s/{begin.path['token']}/uploads"
    async with who.world.server.http.post(url, json=begin.json) as answer:
        (upload,) = (await answer.json())["files"]
    await send(who.world.ann, upload, b"abc")
    return Ask(path=begin.path | {"upload": upload["uploadId"]})


ROWS = [
    Row("POST /v1/files/download", ("200 not_found", "401", "401", "200"), _download, _errors),
    Row("GET /v1/files/{file}/download", ("404", "401", "401", "302"), _file),
    Row("GET /v1/files/{file}/manifest", FOREIGN, _file),
    Row("GET /v1/links", FOREIGN, _links_of),
    Row("POST /v1/links", WRITES, _link_make),
    Row("PATCH /v1/links/{link_id}", NEITHER, _link_change),
    Row("DELETE /v1/links/{link_id}", NEITHER, _link_revoke),
    Row("GET /s/{token}", OPEN, _opened),
    Row("POST /s/{token}", OPEN, _unlocked),
    Row("GET /s/{token}/meta", OPEN, _opened),
    Row("GET /s/{token}/download", OPEN, _opened),
    Row("GET /s/{token}/zip", OPEN, _zip),
    Row("POST /s/{token}/files", OPEN, _drop),
    Row("PUT /s/{token}/files/{name}", OPEN, _drop_one),
    Row("POST /s/{token}/uploads", OPEN, _begin_drop),
    Row("GET /s/{token}/uploads/{upload}", OPEN, _dropping),
    Row("GET /s/{token}/uploads/{upload}/parts", OPEN, _dropping),
    Row("POST /s/{token}/uploads/{upload}/complete", OPEN, _dropping),
    Row("DELETE /s/{token}/uploads/{upload}", OPEN, _dropping),
]
