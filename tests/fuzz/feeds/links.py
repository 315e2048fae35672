"""Links: as those see them who make them, and as whoever has one."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.fuzz.feeds.moving import sent
from tests.fuzz.world import Ask, World

PASSWORD = "open sesame"


def make(world: World) -> Ask:
    who = world.anyone()
    drop = world.often(0.3)
    body: dict[str, Any] = {"node_id": world.new_folder(who) if drop else world.new_file(who)}
    body["kind"] = "drop" if drop else "download"
    if world.often(0.3):
        body["password"] = PASSWORD
    if world.often(0.3):
        body["expires"] = "2199-01-01T00:00:00Z"
    if world.often(0.3):
        body["downloads_max"] = world.chance.randint(1, 100)
    return Ask(who, body=body)


def listed(world: World) -> Ask:
    return Ask(world.anyone(), query={"limit": world.chance.randint(1, 50)})


def change(world: World) -> Ask:
    who = world.anyone()
    link = world.link(who, world.new_file(who))
    body = world.chance.choice(({"password": "other"}, {"password": None}, {"downloads_max": 3}, {"expires": None}))
    return Ask(who, path={"link_id": link["link_id"]}, body=body)


def revoke(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, path={"link_id": world.link(who, world.new_file(who))["link_id"]})


def _file(world: World) -> str:
    """The token of a link to a file."""
    who = world.anyone()
    return str(world.link(who, world.new_file(who))["token"])


def _folder(world: World) -> str:
    who = world.anyone()
    folder = world.new_folder(who)
    for _ in range(2):
        world.new_file(who, folder)
    return str(world.link(who, folder)["token"])


def _drop(world: World) -> str:
    known = world.known("drops")
    if known and world.often(0.7):
        return known
    who = world.anyone()
    token = str(world.link(who, world.new_folder(who), kind="drop")["token"])
    world.seen["drops"].append(token)
    return token


def page(world: World) -> Ask:
    token = world.chance.choice((_file, _folder, _drop))(world)
    accept = world.chance.choice(("text/html", "application/json", "*/*"))
    return Ask(None, path={"token": token}, headers={"Accept": accept})


def unlock(world: World) -> Ask:
    who = world.anyone()
    token = world.link(who, world.new_file(who), password=PASSWORD)["token"]
    return Ask(None, path={"token": token}, body={"password": PASSWORD}, media_type="application/x-www-form-urlencoded")


def meta(world: World) -> Ask:
    return Ask(None, path={"token": world.chance.choice((_file, _folder, _drop))(world)})


def download(world: World) -> Ask:
    return Ask(None, path={"token": _file(world)})


def archive(world: World) -> Ask:
    return Ask(None, path={"token": _folder(world)})


def drop(world: World) -> Ask:
    accept = world.chance.choice(("text/html", "application/json"))
    body = {"file": [world.fresh_bytes() for _ in range(world.chance.randint(1, 3))]}
    return Ask(None, path={"token": _drop(world)}, body=body, media_type="multipart/form-data", headers={"Accept": accept})


def put_file(world: World) -> Ask:
    path = {"token": _drop(world), "name": world.fresh_name(".bin")}
    return Ask(None, path=path, body=world.fresh_bytes(), media_type="application/octet-stream")


def begin(world: World) -> Ask:
    content = world.fresh_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    file = {"name": world.fresh_name(), "size": len(content), "checksum": checksum}
    return Ask(None, path={"token": _drop(world)}, body={"files": [file]})


def _begun(world: World, *, whole: bool) -> dict[str, Any]:
    """Token and id of an upload through a link."""
    token, content = _drop(world), world.fresh_bytes()
    body = {"files": [{"name": world.fresh_name(), "size": len(content)}]}
    (upload,) = world.need("POST /s/{token}/uploads", None, path={"token": token}, body=body)["files"]
    if whole:
        sent(upload, content)
    return {"token": token, "upload": upload["uploadId"]}


def of_upload(world: World) -> Ask:
    return Ask(None, path=_begun(world, whole=world.often(0.3)))


def complete(world: World) -> Ask:
    found = Ask(None, path=_begun(world, whole=True))
    if world.often(0.5):
        found.body = {}
    return found


FEEDS = {
    "POST /v1/links": make,
    "GET /v1/links": listed,
    "PATCH /v1/links/{link_id}": change,
    "DELETE /v1/links/{link_id}": revoke,
    "GET /s/{token}": page,
    "POST /s/{token}": unlock,
    "GET /s/{token}/meta": meta,
    "GET /s/{token}/download": download,
    "GET /s/{token}/zip": archive,
    "POST /s/{token}/files": drop,
    "PUT /s/{token}/files/{name}": put_file,
    "POST /s/{token}/uploads": begin,
    "GET /s/{token}/uploads/{upload}": of_upload,
    "GET /s/{token}/uploads/{upload}/parts": of_upload,
    "POST /s/{token}/uploads/{upload}/complete": complete,
    "DELETE /s/{token}/uploads/{upload}": of_upload,
}
