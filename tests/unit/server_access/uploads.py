"""Rows of the doors for plain uploads and of the shorthand beside them."""

from __future__ import annotations

from typing import Any

from tests.unit.server_access.core import FOREIGN, NEITHER
from tests.unit.server_access.world import OWN, SECRET, Ask, Row, Who, sha256
from tests.unit.server_gateway.nodes import fresh_id
from tests.unit.server_gateway.uploading import begun, send


async def _begin(who: Who) -> Ask:
    return Ask(json={"files": [{"filepath": f"/{fresh_id()}", "size": 3}]})


async def open_upload(who: Who) -> dict[str, Any]:
    """An upload that the owner has begun."""
    (upload,) = await begun(who.world.ann, {"filepath": f"/{SECRET} {fresh_id()}", "size": 3, "checksum": sha256(b"abc")})
    return upload


async def _upload(who: Who) -> Ask:
    return Ask(path={"upload": (await open_upload(who))["uploadId"]})


async def _claim(who: Who) -> Ask:
    upload = await open_upload(who)
    return Ask(path={"upload": upload["uploadId"]}, json={"parts": await send(who.world.ann, upload, b"abc")})


async def _complete(who: Who) -> Ask:
    upload = await open_upload(who)
    await send(who.world.ann, upload, b"abc")
    return Ask(path={"upload": upload["uploadId"]})


async def _found(who: Who) -> Ask:
    await open_upload(who)
    return Ask(query={"fingerprint": sha256(b"abc")})


async def _session(who: Who) -> Ask:
    return Ask(json={"block_list": [sha256(b"abc")], "namespace": who.world.ann.root})


async def _file_id(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(query={"file_id": node})


ROWS = [
    Row("POST /v1/files/upload", OWN, _begin),
    Row("GET /v1/uploads", OWN, _found),
    Row("GET /v1/uploads/{upload}", NEITHER, _upload),
    Row("GET /v1/uploads/{upload}/parts", NEITHER, _upload),
    Row("PATCH /v1/uploads/{upload}/parts", NEITHER, _claim),
    Row("DELETE /v1/uploads/{upload}", NEITHER, _upload),
    Row("POST /v1/uploads/{upload}/complete", NEITHER, _complete),
    Row("POST /v1/files/upload_session", ("404", "401", "401", "403"), _session),
    Row("GET /v1/files/metadata", FOREIGN, _file_id),
]
