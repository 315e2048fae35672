"""What provokes the problems of sharing: those of doors, of entries in a batch, and of changesets."""

from __future__ import annotations

from tests.unit.server_access.provoked import Problem, Provocation, raw_file
from tests.unit.server_access.world import World
from tests.unit.server_gateway.nodes import commit, create_folder

GUEST = "guest@example.org"


async def shared(world: World) -> str:
    """A shared folder of the owner's, with an invitation for a guest."""
    if GUEST not in world.others:
        world.others[GUEST] = await world.server.newcomer(GUEST)
    folder = await world.folder()
    users = [{"email": GUEST, "access": "write"}]
    status, answer = await world.ann.post(f"/v1/files/{folder}/share", {"users": users})
    assert status == 200, answer
    return folder


async def nested(world: World) -> Problem:
    """A folder inside of a shared one."""
    outer = await shared(world)
    _, made = await world.ann.post("/v1/folders", {"parent_id": outer, "name": "inner", "namespace": outer})
    return await world.ann.post(f"/v1/files/{made['entry']['node_id']}/share", {"users": [], "namespace": outer})


async def owner_stays(world: World) -> Problem:
    return await world.ann.post(f"/v1/shares/{await shared(world)}/leave", None)


async def id_taken(world: World) -> Problem:
    folder = await shared(world)
    guest = world.others[GUEST]
    status, answer = await commit(guest, {**create_folder(guest.root, world.fresh_name()), "node_id": folder})
    assert status == 200, answer
    return await guest.post(f"/v1/shares/{folder}/accept", {})


async def not_a_member(world: World) -> Problem:
    """Handed over to somebody who was only invited."""
    users = [{"email": GUEST, "access": "owner"}]
    status, answer = await world.ann.post(f"/v1/files/{await shared(world)}/share", {"users": users})
    return status, answer["users"][0]


async def moved(world: World) -> Problem:
    """A change at the old place of what lies in a shared folder now."""
    folder = await world.folder()
    inner = create_folder(folder, "inner")
    assert (await commit(world.ann, inner))[0] == 200
    status, answer = await world.ann.post(f"/v1/files/{folder}/share", {"users": []})
    assert status == 200, answer
    return await commit(world.ann, {"op": "move", "node_id": inner["node_id"], "parent_id": world.ann.root, "name": "x"})


async def settling(world: World) -> Problem:
    """A copy of what nobody has cut yet."""
    copy = {"node_id": await raw_file(world), "to_parent_id": world.ann.root, "name": world.fresh_name()}
    return await world.ann.post("/v1/files/copy", {"files": [copy]})


async def mount_nested(world: World) -> Problem:
    one, other = await shared(world), await shared(world)
    return await commit(world.ann, {"op": "move", "node_id": one, "parent_id": other, "name": "x"})


DOORS: dict[str, Provocation] = {"share.nested": nested, "share.owner_stays": owner_stays, "share.id_taken": id_taken}
ENTRIES: dict[str, Provocation] = {"share.not_a_member": not_a_member}
ALSO: dict[str, Provocation] = {"content.raw": settling}
"""What other sections of the page are about is told here too."""
CHANGESETS: dict[str, Provocation] = {"moved": moved, "mount.nested": mount_nested}
