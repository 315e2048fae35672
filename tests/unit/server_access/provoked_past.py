"""What provokes the problems of going back: versions, trash, rewind and undo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.server_access.past import deleted
from tests.unit.server_access.provoked import Problem, Provocation, run_sql
from tests.unit.server_access.world import SignedIn, World
from tests.unit.server_gateway.nodes import commit, create_folder, fresh_id

from syncline.server.metadata.service import Metadata


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def not_kept(world: World) -> Problem:
    node, _ = await world.file()
    return await world.ann.post(f"/v1/files/{node}/restore", {"revision": 99})


async def name_taken(world: World) -> Problem:
    """Something else came to the place meanwhile."""
    node = await deleted(world.whos["owner"])
    _, found = await world.ann.get("/v1/metadata", node_id=node)
    assert (await commit(world.ann, create_folder(world.ann.root, found["entry"]["name"])))[0] == 200
    return await world.ann.post(f"/v1/files/{node}/restore", {"revision": 1})


async def not_in_trash(world: World) -> Problem:
    node, _ = await world.file()
    status, answer = await world.ann.post("/v1/trash/purge", {"node_ids": [node]})
    return status, _as_entry(answer["results"][0])


async def history_expired(world: World) -> Problem:
    """Of the journal only the end is kept."""
    old = await _with_folders(world)
    run_sql(world, "DELETE FROM journal WHERE namespace_id = ? AND sequence < 3", old.root)
    run_sql(world, "UPDATE namespaces SET pruned_sequence = 2 WHERE namespace_id = ?", old.root)
    then = datetime.now(UTC) - timedelta(days=1000)
    return await old.post("/v1/rewind", {"path": "/", "to": then.isoformat(), "dry_run": True})


async def not_there_then(world: World) -> Problem:
    other = await _with_folders(world)
    then = _now()
    late = create_folder(other.root, "late")
    assert (await commit(other, late))[0] == 200
    return await other.post("/v1/rewind", {"node_id": late["node_id"], "to": then})


async def overtaken(world: World) -> Problem:
    """Whenever the changeset is made somebody else is faster."""
    mine = await _with_folders(world)
    then = _now()
    assert (await commit(mine, create_folder(mine.root, "later")))[0] == 200
    wide = Metadata.commit_wide

    async def late(metadata: Metadata, *arguments: Any) -> Any:
        assert (await commit(mine, create_folder(mine.root, fresh_id())))[0] == 200
        return await wide(metadata, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metadata, "commit_wide", late)
        return await mine.post("/v1/rewind", {"path": "/", "to": then})


async def too_many(world: World) -> Problem:
    return await world.ann.post("/v1/files/undelete", {"files": [{"node_id": fresh_id()}] * 1001})


async def _with_folders(world: World) -> SignedIn:
    device = await world.server.newcomer(f"{fresh_id().lower()}@example.org")
    for name in "abc":
        assert (await commit(device, create_folder(device.root, name)))[0] == 200
    return device


def _as_entry(result: dict[str, Any]) -> dict[str, Any]:
    """An entry's result, its problem under the name that other batches have for it."""
    return {**result, "error": result.get("code")}


DOORS: dict[str, Provocation] = {
    "revision.not_kept": not_kept,
    "name.taken": name_taken,
    "history.expired": history_expired,
    "past.not_there": not_there_then,
    "past.overtaken": overtaken,
    "limit.exceeded": too_many,
}
ENTRIES: dict[str, Provocation] = {"trash.not_there": not_in_trash}
