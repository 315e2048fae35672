"""Rows of copies and of the views: changes, search, sizes, deeds."""

from __future__ import annotations

from tests.unit.server_access.core import FOREIGN
from tests.unit.server_access.people import codes
from tests.unit.server_access.tree import BATCH
from tests.unit.server_access.world import OWN, SECRET, Ask, Row, Who


async def _copy(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"files": [{"node_id": node, "to_parent_id": who.world.ann.root, "name": who.world.fresh_name()}]})


async def _file(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"file": node}, query={"namespace": who.world.ann.root})


async def _own(who: Who) -> Ask:
    await who.world.file()
    return Ask()


async def _search(who: Who) -> Ask:
    await who.world.file()
    return Ask(query={"q": SECRET.split()[-1]})


async def _activity(who: Who) -> Ask:
    await who.world.file()
    return Ask(query={"actor": who.world.ann.user_id})


ROWS = [
    Row("POST /v1/files/copy", BATCH, _copy, codes),
    Row("GET /v1/files/updates", OWN, _own),
    Row("GET /v1/files/{file}/changes", FOREIGN, _file),
    Row("GET /v1/search", OWN, _search),
    Row("GET /v1/usage", OWN, _own),
    Row("GET /v1/activity", OWN, _activity),
]
