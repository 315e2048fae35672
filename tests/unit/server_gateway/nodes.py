"""Changes for tests, and committing them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from tests.server import SignedIn

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.ports.clock import Ids

_IDS = Ids(MachineClock(), MachineChance())


def fresh_id() -> str:
    return _IDS.fresh()


def create_folder(parent: str, name: str) -> dict[str, Any]:
    return {"op": "create", "node_id": fresh_id(), "parent_id": parent, "name": name, "kind": "dir"}


def create_file(parent: str, name: str, blocks: Sequence[bytes]) -> dict[str, Any]:
    content = b"".join(blocks)
    return {
        "op": "create",
        "node_id": fresh_id(),
        "parent_id": parent,
        "name": name,
        "kind": "file",
        "content_hash": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "mtime": "2026-01-02T03:04:05Z",
        "blocks": [hashlib.sha256(block).hexdigest() for block in blocks],
        "cut": "test",
    }


async def commit(device: SignedIn, *changes: dict[str, Any]) -> tuple[int, Any]:
    """Commits to the device's root."""
    body = {"namespace": device.root, "changes": list(changes)}
    return await device.post("/v1/files/commit", body, headers={"idempotency-key": fresh_id()})
