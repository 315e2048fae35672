"""Copies over HTTP: new ids, the same bytes, nothing replaced, into shared folders and out of them."""

from __future__ import annotations

import os
from typing import Any

from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder


async def tree(device: SignedIn, *blocks: bytes) -> dict[str, str]:
    """`/docs/plan.txt` and `/docs/old/notes.txt`."""
    await sent(device, *blocks)
    docs = create_folder(device.root, "docs")
    old = create_folder(docs["node_id"], "old")
    plan, notes = create_file(docs["node_id"], "plan.txt", blocks), create_file(old["node_id"], "notes.txt", blocks[:1])
    assert (await commit(device, docs, old, plan, notes))[0] == 200
    return {"docs": docs["node_id"], "old": old["node_id"], "plan": plan["node_id"], "notes": notes["node_id"]}


async def copied(device: SignedIn, *asked: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    status, answer = await device.post("/v1/files/copy", {"files": list(asked)}, **options)
    assert status == 200, answer
    files: list[dict[str, Any]] = answer["files"]
    return files


async def blocks_of(device: SignedIn, namespace: str, node: str) -> list[str]:
    _, answer = await device.post("/v1/manifests", {"namespace": namespace, "revisions": [{"node_id": node, "revision": 1}]})
    (manifest,) = answer["manifests"]
    assert manifest.get("error") is None
    assert answer["packs"], "the bytes can be read"
    return [block[0] for block in manifest["blocks"]]


async def shared_folder(owner: SignedIn, member: SignedIn, email: str, name: str, access: str = "write") -> str:
    folder = create_folder(owner.root, name)
    await commit(owner, folder)
    node = folder["node_id"]
    status, answer = await owner.post(f"/v1/files/{node}/share", {"users": [{"email": email, "access": access}]})
    assert (status, answer["users"][0].get("error")) == (200, None), answer
    assert (await member.post(f"/v1/shares/{node}/accept", {}))[0] == 200
    return str(node)


async def test_a_folder_is_copied_with_all_in_it(ann: SignedIn) -> None:
    ids = await tree(ann, os.urandom(200), b"tail")
    _, before = await ann.get("/v1/me")
    (copy,) = await copied(ann, {"path": "/docs", "to_path": "/copy"})
    assert (copy["nodes"], copy["entry"]["name"], copy["namespace"]) == (4, "copy", ann.root)
    _, plan = await ann.get("/v1/metadata", path="/copy/plan.txt")
    _, original = await ann.get("/v1/metadata", path="/docs/plan.txt")
    assert plan["entry"]["node_id"] != ids["plan"]
    for field in ("content_hash", "size", "mtime", "revision"):
        assert plan["entry"][field] == original["entry"][field]
    assert await blocks_of(ann, ann.root, plan["entry"]["node_id"]) == await blocks_of(ann, ann.root, ids["plan"])
    assert (await ann.get("/v1/metadata", path="/copy/old/notes.txt"))[0] == 200
    _, after = await ann.get("/v1/me")
    assert after["used_bytes"] == before["used_bytes"]
    _, feed = await ann.get("/v1/activity", limit=1)
    assert [(one["what"], one["count"]) for one in feed["entries"]] == [("created", 4)]
    (inside,) = await copied(ann, {"node_id": ids["docs"], "to_parent_id": ids["old"]})
    assert inside["nodes"] == 4
    assert (await ann.get("/v1/metadata", path="/docs/old/docs/old/notes.txt"))[0] == 200


async def test_nothing_is_replaced_and_numbers_are_given(ann: SignedIn) -> None:
    ids = await tree(ann, b"block")
    answers = await copied(
        ann,
        {"path": "/docs/plan.txt", "to_path": "/docs/plan.txt"},
        {"path": "/docs/plan.txt", "to_path": "/docs/plan.txt", "autorename": True},
        {"node_id": ids["plan"], "to_parent_id": ids["docs"], "autorename": True},
        {"path": "/docs", "to_path": "/docs", "autorename": True},
        {"path": "/docs/plan.txt", "to_path": "/nowhere/plan.txt"},
        {"path": "/docs/plan.txt", "to_path": "/docs/plan.txt/below"},
        {"path": "/nothing", "to_path": "/x"},
        {"path": "/", "to_path": "/x"},
        {"path": "/docs"},
        {"path": "/docs", "to_path": "/x", "name": "y"},
        {"to_path": "/x"},
        {"path": "/docs", "to_parent_id": ids["old"], "name": "a/b"},
    )
    assert [one.get("error") or one["entry"]["name"] for one in answers] == [
        "exists",
        "plan (1).txt",
        "plan (2).txt",
        "docs (1)",
        "not_found",
        "not_found",
        "not_found",
        "request.invalid",
        "request.invalid",
        "request.invalid",
        "request.invalid",
        "name.invalid",
    ]


async def test_a_key_makes_a_copy_once(ann: SignedIn) -> None:
    await tree(ann, b"block")
    asked = {"path": "/docs", "to_path": "/copy"}
    first = await copied(ann, asked, headers={"idempotency-key": "one"})
    assert await copied(ann, asked, headers={"idempotency-key": "one"}) == first
    status, problem = await ann.post(
        "/v1/files/copy", {"files": [asked | {"to_path": "/other"}]}, headers={"idempotency-key": "one"}
    )
    assert (status, problem["code"]) == (422, "idempotency.mismatch")
    status, problem = await ann.post("/v1/files/copy", {"files": [asked] * 101})
    assert (status, problem["code"]) == (413, "limit.exceeded")


async def test_between_namespaces_possession_follows(ann: SignedIn, bob: SignedIn) -> None:
    await tree(ann, os.urandom(300), b"rest")
    team = await shared_folder(ann, bob, "bob@example.org", "team")
    (copy,) = await copied(ann, {"path": "/docs", "to_path": "/team/docs"})
    assert (copy["namespace"], copy["nodes"]) == (team, 4)
    _, plan = await bob.get("/v1/metadata", path="/team/docs/plan.txt")
    assert len(await blocks_of(bob, team, plan["entry"]["node_id"])) == 2
    (taken,) = await copied(bob, {"path": "/team", "to_path": "/mine"})
    assert (taken["namespace"], taken["nodes"], taken.get("left_out")) == (bob.root, 5, None)
    _, mine = await bob.get("/v1/metadata", path="/mine/docs/plan.txt")
    assert len(await blocks_of(bob, bob.root, mine["entry"]["node_id"])) == 2
    _, me = await bob.get("/v1/me")
    assert me["used_bytes"] == 304
    (whole,) = await copied(ann, {"path": "/team", "to_path": "/again"})
    assert whole["nodes"] == 5
    box = create_folder(ann.root, "box")
    await commit(ann, box)
    await commit(ann, {"op": "move", "node_id": team, "parent_id": box["node_id"], "name": "team"})
    (boxed,) = await copied(ann, {"path": "/box", "to_path": "/box 2"})
    assert (boxed["nodes"], boxed["left_out"]) == (1, 1)


async def test_readers_copy_out_and_not_in(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    ids = await tree(ann, b"block")
    await shared_folder(ann, bob, "bob@example.org", "team", "read")
    await copied(ann, {"path": "/docs/plan.txt", "to_path": "/team/plan.txt"})
    answers = await copied(
        bob,
        {"path": "/team/plan.txt", "to_path": "/plan.txt"},
        {"path": "/plan.txt", "to_path": "/team/other.txt"},
        {"node_id": ids["plan"], "to_path": "/stolen.txt"},
        {"node_id": ids["plan"], "namespace": ann.root, "to_path": "/stolen.txt"},
    )
    assert [one.get("error") for one in answers] == [None, "access.denied", "not_found", "not_found"]
    await server.add_user("small@example.org", quota_bytes=3)
    small = await server.sign_in("small@example.org")
    await shared_folder(ann, small, "small@example.org", "for small")
    await copied(ann, {"path": "/docs/plan.txt", "to_path": "/for small/plan.txt"})
    (refused,) = await copied(small, {"path": "/for small/plan.txt", "to_path": "/plan.txt"})
    assert refused["error"] == "quota.exceeded"
    assert (await small.get("/v1/metadata", path="/plan.txt"))[0] == 404
