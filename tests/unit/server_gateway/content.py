"""Packs for tests: real ones, sealed by `syncline.content`, and their way up."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from typing import Any

import msgspec
from tests.server import SignedIn

from syncline.adapters.machine import MachineChance
from syncline.content.pack import PackWriter
from syncline.model.blocks import PackOffer
from syncline.model.ids import Digest


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(*blocks: bytes) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a pack of these blocks, and its offer as JSON would have it."""
    file = io.BytesIO()
    writer = PackWriter(file, os.urandom(32), MachineChance())
    for block in blocks:
        writer.add(Digest(sha256(block)), block)
    offer: PackOffer = writer.finish()
    return file.getvalue(), msgspec.to_builtins(offer)


def offer_of(size: int = 100, **changed: Any) -> dict[str, Any]:
    """A well-formed offer of one block, with fields changed."""
    index = [{"hash": "ab" * 32, "offset": 0, "length": 60, "plain_size": 50, "codec": "raw"}]
    return {"size": size, "sha256": "cd" * 32, "index": index, "pack_key": base64.b64encode(bytes(32)).decode()} | changed


async def granted(device: SignedIn, *offers: dict[str, Any], namespace: str | None = None) -> list[dict[str, Any]]:
    status, answer = await device.post("/v1/packs", {"namespace": namespace or device.root, "packs": list(offers)})
    assert status == 200, answer
    packs: list[dict[str, Any]] = answer["packs"]
    return packs


async def put(device: SignedIn, grant: dict[str, Any], content: bytes) -> int:
    async with device.server.http.put(grant["put"]["url"], data=content, headers=grant["put"]["headers"]) as answer:
        return answer.status


async def sent(device: SignedIn, *blocks: bytes) -> str:
    """Sends one pack of these blocks; its id."""
    content, offer = packed(*blocks)
    (grant,) = await granted(device, offer)
    assert await put(device, grant, content) == 200
    return str(grant["pack_id"])
