"""Rows of the doors to the tree by path or id."""

from __future__ import annotations

from tests.unit.server_access.people import codes
from tests.unit.server_access.world import Ask, Row, Who

BATCH = ("200 not_found", "401", "401", "200 access.denied")
"""Each entry answers for itself."""


async def _make_folder(who: Who) -> Ask:
    return Ask(json={"parent_id": await who.world.folder(), "name": "new", "namespace": who.world.ann.root})


async def _move(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"files": [{"node_id": node, "name": who.world.fresh_name(), "to_parent_id": await who.world.folder()}]})


async def _delete(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"files": [{"node_id": node}]})


ROWS = [
    Row("POST /v1/folders", ("404", "401", "401", "403"), _make_folder),
    Row("POST /v1/files/move", BATCH, _move, codes),
    Row("POST /v1/files/delete", BATCH, _delete, codes),
]
