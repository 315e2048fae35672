"""Rows of the doors of sharing: folders and their members, invitations, files granted one by one."""

from __future__ import annotations

from typing import Any

from tests.unit.server_access.core import FOREIGN, NEITHER
from tests.unit.server_access.world import OWN, Ask, Row, Who

WRITERS = ("404", "401", "401", "403")
GUEST = "bob@example.org"


async def _file(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"file": node})


async def _share(who: Who) -> Ask:
    node, _ = await who.world.file()
    return Ask(path={"file": node}, json={"users": [{"email": await _guest(who), "access": "read"}]})


async def _unshare(who: Who) -> Ask:
    node, _ = await who.world.file()
    await _granted(who, node)
    return Ask(path={"file": node}, query={"email": GUEST})


async def _granted(who: Who, node: str) -> None:
    users = [{"email": await _guest(who), "access": "read"}]
    status, answer = await who.world.ann.post(f"/v1/files/{node}/share", {"users": users})
    assert status == 200, answer


async def _guest(who: Who) -> str:
    """Somebody else, who has an account and asks for nothing here."""
    if "guest" not in who.world.others:
        who.world.others["guest"] = await who.world.server.newcomer(GUEST)
    return GUEST


async def _nothing(who: Who) -> Ask:
    return Ask()


async def _invited(who: Who) -> Ask:
    """Into a folder of the guest's that the owner of everything else was invited to, and nobody else."""
    return Ask(path={"share": await shared_folder(who)}, json={})


async def _joined(who: Who) -> Ask:
    share = await shared_folder(who)
    status, answer = await who.world.ann.post(f"/v1/shares/{share}/accept", {})
    assert status == 200, answer
    return Ask(path={"share": share}, json={})


async def _joined_not_mounted(who: Who) -> Ask:
    asked = await _joined(who)
    status, answer = await who.world.ann.post(f"/v1/shares/{asked.path['share']}/unmount", None)
    assert status == 200, answer
    return asked


async def shared_folder(who: Who) -> str:
    """A shared folder of the guest's, with an invitation for the owner that waits."""
    await _guest(who)
    guest = who.world.others["guest"]
    _, made = await guest.post("/v1/folders", {"path": f"/{who.world.fresh_name()}"})
    node = str(made["entry"]["node_id"])
    users = [{"email": "ann@example.org", "access": "write"}]
    status, answer = await guest.post(f"/v1/files/{node}/share", {"users": users})
    assert status == 200, answer
    return node


def codes(answer: Any) -> list[str]:
    """What became of each entry of a batch."""
    return [str(file.get("error", "")) for file in answer["files"]]


ROWS = [
    Row("POST /v1/files/{file}/share", WRITERS, _share),
    Row("GET /v1/files/{file}/share", FOREIGN, _file),
    Row("DELETE /v1/files/{file}/share", WRITERS, _unshare),
    Row("GET /v1/shared", OWN, _nothing),
    Row("POST /v1/shares/{share}/accept", NEITHER, _invited),
    Row("POST /v1/shares/{share}/decline", NEITHER, _invited),
    Row("POST /v1/shares/{share}/leave", NEITHER, _joined),
    Row("POST /v1/shares/{share}/mount", NEITHER, _joined_not_mounted),
    Row("POST /v1/shares/{share}/unmount", NEITHER, _joined),
]
