"""Moving content: blocks in packs, plain uploads, downloads."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.fuzz.feeds.tree import file_of, key
from tests.fuzz.world import Ask, Person, World, packed, put


def missing(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, body={"namespace": who.root, "hashes": [*who.blocks[:3], "ab" * 32]})


def grant(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, body={"namespace": who.root, "packs": [packed(world.fresh_bytes())[1]]})


def done(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, body={"pack_ids": [world.send_blocks(who, world.fresh_bytes()), world.fresh_id()]})


def manifests(world: World) -> Ask:
    who, file = file_of(world)
    refs = [{"node_id": file, "revision": 1}, {"node_id": file, "revision": 7}]
    return Ask(who, body={"namespace": who.root, "revisions": refs})


def manifest(world: World) -> Ask:
    who, file = file_of(world)
    return Ask(who, path={"file": file}, query={"from_block": 0} if world.often(0.5) else {})


def download(world: World) -> Ask:
    who, file = file_of(world)
    files: list[Any] = [file, {"file_id": file, "revision": 1}, world.fresh_id()]
    return Ask(who, body={"file_ids": files, "disposition": world.chance.choice(("attachment", "inline"))})


def redirect(world: World) -> Ask:
    who, file = file_of(world)
    return Ask(who, path={"file": file}, query={"revision": 1} if world.often(0.5) else {})


def begin(world: World) -> Ask:
    who = world.anyone()
    content = world.fresh_bytes()
    files: list[dict[str, Any]] = [{"filepath": f"/{world.fresh_name()}", "size": len(content)}, {"filepath": "/", "size": 1}]
    if world.often(0.5):
        files[0]["checksum"] = hashlib.sha256(content).hexdigest()
    return Ask(who, body={"files": files}, headers=key(world))


def begun(world: World) -> tuple[Person, dict[str, Any], bytes]:
    """An upload, perhaps with its bytes sent."""
    who, content = world.anyone(), world.fresh_bytes()
    upload = world.upload(who, content, checksum=hashlib.sha256(content).hexdigest())
    if world.often(0.5):
        sent(upload, content)
    return who, upload, content


def sent(upload: dict[str, Any], content: bytes) -> str:
    (part,) = upload["partUrls"]
    return put(part["url"], part["headers"], content)


def find(world: World) -> Ask:
    who, _, content = begun(world)
    return Ask(who, query={"fingerprint": hashlib.sha256(content).hexdigest()})


def of_upload(world: World) -> Ask:
    who, upload, _ = begun(world)
    return Ask(who, path={"upload": upload["uploadId"]})


def parts(world: World) -> Ask:
    found = of_upload(world)
    found.query = {"from": 1, "missing": "true" if world.often(0.5) else "false"}
    return found


def claim(world: World) -> Ask:
    who, content = world.anyone(), world.fresh_bytes()
    upload = world.upload(who, content)
    etag = sent(upload, content)
    return Ask(who, path={"upload": upload["uploadId"]}, body={"parts": [{"partNumber": 1, "etag": etag}]})


def complete(world: World) -> Ask:
    who, content = world.anyone(), world.fresh_bytes()
    upload = world.upload(who, content)
    etag = sent(upload, content)
    found = Ask(who, path={"upload": upload["uploadId"]})
    found.body = {"parts": [{"partNumber": 1, "etag": etag}]} if world.often(0.5) else {}
    return found


FEEDS = {
    "POST /v1/blocks/missing": missing,
    "POST /v1/packs": grant,
    "POST /v1/packs/done": done,
    "POST /v1/manifests": manifests,
    "GET /v1/files/{file}/manifest": manifest,
    "POST /v1/files/download": download,
    "GET /v1/files/{file}/download": redirect,
    "POST /v1/files/upload": begin,
    "GET /v1/uploads": find,
    "GET /v1/uploads/{upload}": of_upload,
    "GET /v1/uploads/{upload}/parts": parts,
    "PATCH /v1/uploads/{upload}/parts": claim,
    "DELETE /v1/uploads/{upload}": of_upload,
    "POST /v1/uploads/{upload}/complete": complete,
}
