"""Versions, trash, retention, and going back in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fuzz.feeds.tree import key
from tests.fuzz.world import Ask, World


def versions(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, path={"file": world.new_file(who, versions=3)}, query={"limit": world.chance.randint(1, 5)})


def restore(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, path={"file": world.new_file(who, versions=2)}, body={"revision": 1}, headers=key(world))


def trash(world: World) -> Ask:
    who = world.anyone()

    def done(page: Any) -> None:
        if page.get("next"):
            world.seen[f"trash of {who.email}"].append(page["next"])

    query: dict[str, Any] = {"limit": world.chance.randint(1, 50)}
    later = world.known(f"trash of {who.email}")
    if later and world.often(0.4):
        query["page"] = later
    return Ask(who, query=query, done=done)


def undelete(world: World) -> Ask:
    who = world.anyone()
    return Ask(who, body={"files": [{"node_id": world.deleted(who)}, {"node_id": world.fresh_id()}]}, headers=key(world))


def purge(world: World) -> Ask:
    who = world.anyone()
    if world.often(0.1):
        return Ask(who, body={"all": True})
    return Ask(who, body={"node_ids": [world.deleted(who), world.fresh_id()]})


def retention(world: World) -> Ask:
    who = world.anyone()
    if world.often(0.3):
        return Ask(who)
    return Ask(who, query={"node_id": world.new_file(who, versions=2)})


def rewind(world: World) -> Ask:
    who = world.anyone()
    folder = world.new_folder(who)
    at = datetime.now(UTC)
    world.new_file(who, folder, versions=2)
    return Ask(who, body={"to": at.isoformat(), "node_id": folder, "dry_run": world.often(0.5)}, headers=key(world))


def undo(world: World) -> Ask:
    who = world.anyone()
    if world.often(0.3):
        since = (datetime.now(UTC) - timedelta(seconds=2)).isoformat()
        return Ask(who, body={"device": who.device, "since": since, "dry_run": True})
    answer = world.change(who, world.created(who))
    return Ask(who, body={"changeset": answer["changeset"]}, headers=key(world))


FEEDS = {
    "GET /v1/files/{file}/versions": versions,
    "POST /v1/files/{file}/restore": restore,
    "GET /v1/trash": trash,
    "POST /v1/files/undelete": undelete,
    "POST /v1/trash/purge": purge,
    "GET /v1/retention": retention,
    "POST /v1/rewind": rewind,
    "POST /v1/undo": undo,
}
