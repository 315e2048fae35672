"""The tree: committing, looking, and the doors by path or id."""

from __future__ import annotations

from typing import Any

from tests.fuzz.world import BLOCKS, Ask, Person, World


def commit(world: World) -> Ask:
    who = world.anyone()
    kind = world.chance.randrange(6)
    if kind == 0:
        return _by_blocks(world, who)
    if kind == 1:
        changes: list[dict[str, Any]] = [world.created(who) for _ in range(world.chance.randint(1, 4))]
    elif kind == 2:
        node = world.new_file(who)
        changes = [{"op": "move", "node_id": node, "base_revision": 1, "parent_id": who.root, "name": world.fresh_name()}]
    elif kind == 3:
        changes = [{"op": "delete", "node_id": world.new_file(who), "base_revision": 1}]
    elif kind == 4:
        changes = [{"op": "undelete", "node_id": world.deleted(who), "recursive": True}]
    else:
        node = world.new_file(who, versions=2)
        changes = [{"op": "edit", "node_id": node, "base_revision": 2, "from_revision": 1, "description": "as before"}]
    return Ask(who, body={"namespace": who.root, "changes": changes}, headers={"Idempotency-Key": world.fresh_id()})


def _by_blocks(world: World, who: Person) -> Ask:
    block = world.chance.choice(who.blocks)
    session = world.need("POST /v1/files/upload_session", who, body={"block_list": [block]})
    body = {"upload_id": session["upload_id"], "block_list": [block], "file_name": world.fresh_name()}
    return Ask(who, body=body | {"content_hash": block, "size": len(BLOCKS[block])})


def session(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, body={"block_list": [*world.chance.sample(who.blocks, 2), "ab" * 32]})


def file_of(world: World) -> tuple[Person, str]:
    who = world.anyone()
    return who, world.new_file(who, versions=world.chance.randint(1, 2))


def node(world: World) -> Ask:
    who, found = file_of(world)
    if world.often(0.4):
        return Ask(who, query={"path": world.path_of(who, found)})
    return Ask(who, query={"node_id": found} | ({"namespace": who.root} if world.often(0.5) else {}))


def metadata(world: World) -> Ask:
    who, found = file_of(world)
    return Ask(who, query={"file_id": found})


def children(world: World) -> Ask:
    who = world.anyone()

    def done(page: Any) -> None:
        if page["next"]:
            world.seen[f"children of {who.email}"].append(page["next"])

    query: dict[str, Any] = {"limit": world.chance.randint(1, 60)}
    later = world.known(f"children of {who.email}")
    if later and world.often(0.4):
        query["page"] = later
    return Ask(who, path={"folder": who.root}, query=query, done=done)


def make_folder(world: World) -> Ask:
    who = world.anyone()
    by_path = {"path": f"/{world.fresh_name()}/{world.fresh_name()}", "parents": True}
    body = by_path if world.often(0.5) else {"parent_id": who.root, "name": world.fresh_name()}
    return Ask(who, body=body, headers=key(world))


def key(world: World) -> dict[str, str]:
    return {"Idempotency-Key": world.fresh_id()} if world.often(0.5) else {}


def move(world: World) -> Ask:
    who, found = file_of(world)
    files = [{"node_id": found, "to_path": f"/{world.fresh_name()}"}, {"path": "/nowhere", "name": "x"}]
    return Ask(who, body={"files": files}, headers=key(world))


def copy(world: World) -> Ask:
    who, found = file_of(world)
    files = [{"node_id": found, "to_parent_id": who.root, "name": world.fresh_name(), "autorename": world.often(0.5)}]
    return Ask(who, body={"files": files}, headers=key(world))


def delete(world: World) -> Ask:
    who, found = file_of(world)
    return Ask(who, body={"files": [{"node_id": found}, {"path": "/nowhere", "recursive": True}]}, headers=key(world))


def changes(world: World) -> Ask:
    who = world.anyone()

    def done(page: Any) -> None:
        world.seen[f"cursor of {who.email}"].append(page["cursor"])

    query: dict[str, Any] = {"limit": world.chance.randint(1, 100), "namespace": who.root}
    cursor = world.known(f"cursor of {who.email}")
    if cursor and world.often(0.6):
        query["cursor"] = cursor
    elif world.often(0.3):
        query["since"] = "2026-01-02T03:04:05Z"
    return Ask(who, query=query, done=done)


def latest(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, query={"namespace": who.root} if world.often(0.5) else {})


def snapshot(world: World) -> Ask:
    who = world.anyone()

    def done(page: Any) -> None:
        if page["next"]:
            world.seen[f"snapshot of {who.email}"].append(page["next"])

    query: dict[str, Any] = {"limit": world.chance.randint(1, 100)}
    later = world.known(f"snapshot of {who.email}")
    if later and world.often(0.4):
        query["page"] = later
    return Ask(who, query=query, done=done)


def _stale(world: World) -> tuple[Person, str]:
    """A cursor that something happened after, so that a poll need not wait."""
    who = world.anyone()
    cursor = world.need("GET /v1/changes/latest", who)["cursor"]
    if world.often(0.9):
        world.new_folder(who)
    return who, cursor


def poll_one(world: World) -> Ask:
    who, cursor = _stale(world)
    return Ask(who, query={"cursor": [cursor], "timeout": 1})


def poll(world: World) -> Ask:
    who, cursor = _stale(world)
    return Ask(who, body={"cursors": [cursor], "timeout": 1})


def updates(world: World) -> Ask:
    who = world.anyone()
    query: dict[str, Any] = {"page_size": world.chance.randint(1, 100)}
    if world.often(0.7):
        # Later in a run people have more shared folders mounted than one answer takes in.
        query["path"] = world.path_of(who, world.new_folder(who))
    if world.often(0.4):
        query["since"] = "2026-01-02T03:04:05Z"
    if world.often(0.3):
        query["status"] = world.chance.choice(("created", "modified", "moved,deleted"))
    return Ask(who, query=query)


def file_changes(world: World) -> Ask:
    who, found = file_of(world)
    return Ask(who, path={"file": found}, query={"limit": world.chance.randint(1, 10), "after": world.chance.randint(0, 3)})


def search(world: World) -> Ask:
    words = ("report", "bericht", "ünï", "фото", "*.txt", "a b")
    query: dict[str, Any] = {"q": world.chance.choice(words), "limit": world.chance.randint(1, 50)}
    if world.often(0.3):
        query["kind"] = world.chance.choice(("file", "dir"))
    return Ask(world.anyone(), query=query)


def usage(world: World) -> Ask:
    return Ask(world.anyone(), query={"depth": world.chance.randint(0, 8), "held": "true" if world.often(0.5) else "false"})


def activity(world: World) -> Ask:
    who = world.anyone()
    query: dict[str, Any] = {"limit": world.chance.randint(1, 60)}
    if world.often(0.3):
        query["device"] = who.device
    return Ask(who, query=query)


FEEDS = {
    "POST /v1/files/commit": commit,
    "POST /v1/files/upload_session": session,
    "GET /v1/files/metadata": metadata,
    "GET /v1/metadata": node,
    "GET /v1/folders/{folder}/children": children,
    "POST /v1/folders": make_folder,
    "POST /v1/files/move": move,
    "POST /v1/files/copy": copy,
    "POST /v1/files/delete": delete,
    "GET /v1/changes": changes,
    "GET /v1/changes/latest": latest,
    "GET /v1/snapshot": snapshot,
    "GET /v1/notifications/poll": poll_one,
    "POST /v1/notifications/poll": poll,
    "GET /v1/files/updates": updates,
    "GET /v1/files/{file}/changes": file_changes,
    "GET /v1/search": search,
    "GET /v1/usage": usage,
    "GET /v1/activity": activity,
}
