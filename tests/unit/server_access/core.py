"""Rows of the doors that devices use, and of identity and operation."""

from __future__ import annotations

from typing import Any

from tests.unit.server_access.world import OPEN, OWN, PASSWORD, Ask, Row, Who, sha256
from tests.unit.server_gateway.content import granted, offer_of, packed, put
from tests.unit.server_gateway.nodes import create_folder, fresh_id

FOREIGN = ("404", "401", "401", "200")
"""The member may read what is asked for here."""
WRITES = ("404", "401", "401", "403")
"""The member may see it, and not do it."""
NEITHER = ("404", "401", "401", "404")
"""Of the owner alone: to the member it is as foreign as to anybody."""


async def _nothing(who: Who) -> Ask:
    return Ask()


async def _namespace(who: Who) -> Ask:
    return Ask(query={"namespace": who.world.ann.root})


async def _sign_in(who: Who) -> Ask:
    return Ask(json={"email": "ann@example.org", "password": PASSWORD})


async def _refresh(who: Who) -> Ask:
    """The owner's is used once only: it stands for the device whose access token expired, which is renewed by it."""
    device = who.device if not who.is_owner else await who.world.server.sign_in("ann@example.org")
    return Ask(json={"refresh_token": device.refresh_token})


async def _device(who: Who) -> Ask:
    return Ask(path={"device_id": (await who.world.server.sign_in("ann@example.org")).device_id})


async def _commit(who: Who) -> Ask:
    change = create_folder(who.world.ann.root, fresh_id())
    return Ask(json={"namespace": who.world.ann.root, "changes": [change]}, headers={"idempotency-key": fresh_id()})


async def _missing(who: Who) -> Ask:
    _, content = await who.world.file()
    return Ask(json={"namespace": who.world.ann.root, "hashes": [sha256(content)]})


async def _packs(who: Who) -> Ask:
    return Ask(json={"namespace": who.world.ann.root, "packs": [offer_of()]})


async def _packs_done(who: Who) -> Ask:
    content, offer = packed(fresh_id().encode())
    (grant,) = await granted(who.world.ann, offer)
    assert await put(who.world.ann, grant, content) == 200
    return Ask(json={"pack_ids": [grant["pack_id"]]})


def _pack_states(answer: Any) -> list[str]:
    return [str(pack["state"]) for pack in answer["packs"]]


async def _manifests(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(json={"namespace": who.world.ann.root, "revisions": [{"node_id": node, "revision": 1}]})


async def _node(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(query={"node_id": node, "namespace": who.world.ann.root})


async def _children(who: Who) -> Ask:
    return Ask(path={"folder": await who.world.folder()}, query={"namespace": who.world.ann.root})


async def _versions(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"file": node}, query={"namespace": who.world.ann.root})


async def _cursor(who: Who) -> Ask:
    return Ask(query={"namespace": who.world.ann.root, "cursor": await who.world.cursor(who)})


async def _poll_one(who: Who) -> Ask:
    return Ask(query={"cursor": await who.world.cursor(who), "timeout": "30"})


async def _poll(who: Who) -> Ask:
    return Ask(json={"cursors": [await who.world.cursor(who)], "timeout": 30})


ROWS = [
    Row("GET /.well-known/jwks.json", OPEN, _nothing),
    Row("GET /healthz", OPEN, _nothing),
    Row("GET /readyz", OPEN, _nothing),
    Row("POST /v1/auth/token", OPEN, _sign_in),
    Row("POST /v1/auth/refresh", ("200 own", "200", "401", "200 own"), _refresh),
    Row("GET /v1/me", OWN, _nothing),
    Row("GET /v1/devices", OWN, _nothing),
    Row("DELETE /v1/devices/{device_id}", NEITHER, _device),
    Row("GET /v1/namespaces", ("200 own", "401", "401", "200"), _nothing),
    Row("GET /v1/changes", ("400", "401", "401", "200"), _cursor),
    Row("GET /v1/changes/latest", FOREIGN, _namespace),
    Row("GET /v1/snapshot", FOREIGN, _namespace),
    Row("GET /v1/notifications/poll", ("400", "401", "401", "200"), _poll_one),
    Row("POST /v1/notifications/poll", ("400", "401", "401", "200"), _poll),
    Row("GET /v1/metadata", FOREIGN, _node),
    Row("GET /v1/folders/{folder}/children", FOREIGN, _children),
    Row("GET /v1/files/{file}/versions", FOREIGN, _versions),
    Row("POST /v1/files/commit", WRITES, _commit),
    Row("POST /v1/blocks/missing", WRITES, _missing),
    Row("POST /v1/packs", WRITES, _packs),
    Row("POST /v1/packs/done", ("200 unknown", "401", "401", "200 unknown"), _packs_done, _pack_states),
    Row("POST /v1/manifests", FOREIGN, _manifests),
]
