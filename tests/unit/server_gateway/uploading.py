"""Plain uploads for tests, from outside: begun, sent in parts, completed, waited for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from tests.server import SignedIn

from syncline.content.seal import open_frame
from syncline.model.ids import Digest
from syncline.model.limits import MIB

PART = 8 * MIB
SETTLE_S = 60


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def begun(device: SignedIn, *files: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    status, answer = await device.post("/v1/files/upload", {"files": list(files)}, headers=headers)
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["files"]
    return found


async def put(device: SignedIn, part: dict[str, Any], content: bytes) -> tuple[int, str]:
    """Status and ETag."""
    headers = {name: value for name, value in part["headers"].items() if name != "content-length"}
    async with device.server.http.put(part["url"], data=content, headers=headers) as answer:
        return answer.status, answer.headers.get("etag", "")


async def send(device: SignedIn, upload: dict[str, Any], content: bytes) -> list[dict[str, Any]]:
    """Every part whose URL is in the answer, the last first; what to say of them."""
    size = upload["partSize"]

    async def one(part: dict[str, Any]) -> dict[str, Any]:
        number = part["partNumber"]
        status, etag = await put(device, part, content[(number - 1) * size : number * size])
        assert status == 200
        return {"partNumber": number, "etag": etag}

    return list(await asyncio.gather(*map(one, reversed(upload["partUrls"]))))


async def complete(device: SignedIn, upload: dict[str, Any], body: Any = None) -> tuple[int, Any]:
    return await device.call("POST", upload["completeUrl"].removeprefix(device.server.url), body)


async def uploaded(device: SignedIn, path: str, content: bytes, **more: Any) -> dict[str, Any]:
    """A file, uploaded and completed."""
    (upload,) = await begun(device, {"filepath": path, "size": len(content)} | more)
    assert "error" not in upload, upload
    await send(device, upload, content)
    status, answer = await complete(device, upload)
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


async def entry(device: SignedIn, path: str) -> dict[str, Any]:
    status, answer = await device.get("/v1/metadata", path=path)
    assert status == 200, answer
    found: dict[str, Any] = answer["entry"]
    return found


async def settled(device: SignedIn, path: str) -> dict[str, Any]:
    """The file's entry once nothing of it is raw any more."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            found = await entry(device, path)
            if "content" not in found:
                return found
            await asyncio.sleep(0.02)


async def downloaded(device: SignedIn, found: dict[str, Any], namespace: str | None = None) -> bytes:
    """A settled revision's bytes, as a device would read them."""
    ref = {"node_id": found["node_id"], "revision": found["revision"]}
    status, answer = await device.post("/v1/manifests", {"namespace": namespace or device.root, "revisions": [ref]})
    assert status == 200, answer
    (manifest,) = answer["manifests"]
    assert "error" not in manifest, manifest
    pieces: list[bytes] = []
    for name, size, pack, offset, length, _codec, key in manifest["blocks"]:
        headers = {"range": f"bytes={offset}-{offset + length - 1}"}
        async with device.server.http.get(answer["packs"][pack]["get"]["url"], headers=headers) as got:
            frame = await got.read()
        pieces.append(open_frame(frame, base64.b64decode(key), Digest(name), size))
    return b"".join(pieces)
