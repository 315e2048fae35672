"""Rows of the doors to the past: versions, trash, retention, rewind and undo."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.unit.server_access.core import FOREIGN
from tests.unit.server_access.world import Ask, Row, Who
from tests.unit.server_gateway.nodes import commit

WRITES = ("404", "401", "401", "403")
EPOCH = "2001-01-01T00:00:00Z"


async def deleted(who: Who) -> str:
    """A file of the owner's in the trash."""
    node, _ = await who.world.file()
    status, answer = await commit(who.world.ann, {"op": "delete", "node_id": node, "base_revision": 1})
    assert status == 200, answer
    return node


async def _restore(who: Who) -> Ask:
    return Ask(path={"file": await deleted(who)}, json={"revision": 1, "namespace": who.world.ann.root})


async def _trash(who: Who) -> Ask:
    await deleted(who)
    return Ask(query={"namespace": who.world.ann.root})


async def _undelete(who: Who) -> Ask:
    return Ask(json={"files": [{"node_id": await deleted(who)}], "namespace": who.world.ann.root})


async def _purge(who: Who) -> Ask:
    return Ask(json={"node_ids": [await deleted(who)], "namespace": who.world.ann.root})


async def _retention(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(query={"node_id": node, "namespace": who.world.ann.root})


async def _rewind(who: Who) -> Ask:
    folder = await who.world.folder()
    now = datetime.now(UTC).isoformat()
    return Ask(json={"node_id": folder, "namespace": who.world.ann.root, "to": now, "dry_run": True})


async def _undo(who: Who) -> Ask:
    device = who.world.ann.device_id
    return Ask(json={"device": device, "since": EPOCH, "namespace": who.world.ann.root, "dry_run": True})


def codes(answer: Any) -> list[str]:
    return [str(one.get("code", "")) for one in answer["results"]]


ROWS = [
    Row("POST /v1/files/{file}/restore", WRITES, _restore),
    Row("GET /v1/trash", FOREIGN, _trash),
    Row("POST /v1/files/undelete", WRITES, _undelete, codes),
    Row("POST /v1/trash/purge", WRITES, _purge, codes),
    Row("GET /v1/retention", FOREIGN, _retention),
    Row("POST /v1/rewind", WRITES, _rewind),
    Row("POST /v1/undo", WRITES, _undo),
]
