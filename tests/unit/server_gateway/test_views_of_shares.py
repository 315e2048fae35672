"""Looking about in trees with shared folders: what is mounted lies at its path, and what is not does not show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.server import SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import create_file, create_folder, fresh_id


async def put_in(device: SignedIn, namespace: str, *changes: dict[str, Any]) -> None:
    body = {"namespace": namespace, "changes": list(changes)}
    status, answer = await device.post("/v1/files/commit", body, headers={"idempotency-key": fresh_id()})
    assert status == 200, answer


async def share(owner: SignedIn, node: str, email: str, access: str = "write") -> None:
    status, answer = await owner.post(f"/v1/files/{node}/share", {"users": [{"email": email, "access": access}]})
    assert (status, answer["users"][0].get("error")) == (200, None), answer


async def updates(device: SignedIn, since: str | None, path: str = "/") -> tuple[set[tuple[str, str]], str]:
    found: set[tuple[str, str]] = set()
    page: str | None = None
    while True:
        params = {"path": path, "page_size": 3} | ({"page": page} if page else {}) | ({"since": since} if since else {})
        status, answer = await device.get("/v1/files/updates", **params)
        assert status == 200, answer
        for one in answer["entries"]:
            place = one["filepath"] if isinstance(one["filepath"], str) else f"{one['filepath']['old']} → {one['filepath']['new']}"
            assert (one["status"], place) not in found
            found.add((one["status"], place))
        page = answer["next"]
        if page is None:
            return found, answer["next_since"]


async def test_updates_go_through_mounts_and_know_when_they_came(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"block")
    team = create_folder(ann.root, "team")
    plan = create_file(team["node_id"], "plan.txt", [b"block"])
    await put_in(ann, ann.root, team, plan)
    _, ann_since = await updates(ann, None)
    _, bob_since = await updates(bob, None)
    asked = datetime.now(UTC).isoformat()
    node = team["node_id"]
    await share(ann, node, "bob@example.org")
    await bob.post(f"/v1/shares/{node}/accept", {"path": "/from ann"})
    for since in (ann_since, asked):
        assert (await updates(ann, since))[0] == set(), "to its owner a shared folder is what it was"
    found, bob_since = await updates(bob, bob_since)
    assert found == {("created", "/from ann"), ("created", "/from ann/plan.txt")}
    assert (await updates(bob, bob_since))[0] == set()

    await put_in(bob, node, create_folder(node, "new"))
    await put_in(ann, node, {"op": "move", "node_id": plan["node_id"], "parent_id": node, "name": "plan 2.txt"})
    found, ann_since = await updates(ann, ann_since)
    assert found == {("created", "/team/new"), ("moved", "/team/plan.txt → /team/plan 2.txt")}
    found, bob_since = await updates(bob, bob_since)
    assert found == {("created", "/from ann/new"), ("moved", "/from ann/plan.txt → /from ann/plan 2.txt")}
    assert (await updates(bob, None, "/from ann"))[0] == {("created", "/from ann/new"), ("created", "/from ann/plan 2.txt")}

    await put_in(bob, bob.root, {"op": "move", "node_id": node, "parent_id": bob.root, "name": "renamed"})
    found, bob_since = await updates(bob, bob_since)
    assert found == {("moved", "/from ann → /renamed")}
    assert (await bob.post(f"/v1/shares/{node}/unmount", None))[0] == 200
    found, bob_since = await updates(bob, bob_since)
    assert found == {("deleted", "/renamed")}
    await put_in(ann, node, create_folder(node, "unseen"))
    assert (await updates(bob, bob_since))[0] == set()


async def test_names_sizes_and_deeds_go_through_mounts(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"block", b"longer block")
    team, box = create_folder(ann.root, "team"), create_folder(ann.root, "box")
    plan = create_file(team["node_id"], "plan.txt", [b"longer block"])
    await put_in(ann, ann.root, team, box, plan, create_file(ann.root, "plan of mine", [b"block"]))
    node = team["node_id"]
    await share(ann, node, "bob@example.org")
    await put_in(ann, ann.root, {"op": "move", "node_id": node, "parent_id": box["node_id"], "name": "team"})
    _, page = await ann.get("/v1/search", q="plan")
    assert {found["path"] for found in page["entries"]} == {"/box/team/plan.txt", "/plan of mine"}
    for path in ("/box", "/box/team"):
        _, page = await ann.get("/v1/search", q="plan", path=path)
        assert [found["path"] for found in page["entries"]] == ["/box/team/plan.txt"]
    assert (await bob.get("/v1/search", q="plan"))[1]["entries"] == []

    _, usage = await ann.get("/v1/usage", depth=2)
    assert (usage["bytes"], usage["files"], usage["folders"]) == (17, 2, 2)
    assert [(one["path"], one["bytes"], one["mount"]) for one in usage["entries"]] == [("/box", 12, False), ("/box/team", 12, True)]
    _, usage = await ann.get("/v1/usage", path="/box/team", held="true")
    assert (usage["bytes"], usage["held"]["live_bytes"]) == (12, 12)

    await bob.post(f"/v1/shares/{node}/accept", {})
    await put_in(bob, node, create_folder(node, "by bob"))
    _, feed = await ann.get("/v1/activity")
    said = [(one["actor_name"], one["what"], one["examples"][0]["path"]) for one in feed["entries"]]
    assert said[0] == ("bob", "created", "/box/team/by bob")
    assert ("ann", "shared", "/team") in said or ("ann", "shared", "/box/team") in said
    _, feed = await ann.get("/v1/activity", path="/box/team")
    assert {one["actor_name"] for one in feed["entries"]} == {"ann", "bob"}
    _, feed = await bob.get("/v1/activity", limit=2)
    assert [(one["what"], one["examples"][0]["path"]) for one in feed["entries"]] == [
        ("created", "/team/by bob"),
        ("joined", "/team"),
    ]


async def test_a_revoked_member_sees_nothing_more_with_old_tokens(ann: SignedIn, bob: SignedIn) -> None:
    team = create_folder(ann.root, "team")
    node = team["node_id"]
    await put_in(ann, ann.root, team, *(create_folder(node, f"secret {n}") for n in range(5)))
    await share(ann, node, "bob@example.org", "read")
    await bob.post(f"/v1/shares/{node}/accept", {})
    await put_in(ann, node, create_folder(node, "later"))
    _, mark = await bob.get("/v1/files/updates", path="/team")
    _, page = await bob.get("/v1/files/updates", path="/", page_size=2)
    _, inside = await bob.get("/v1/files/updates", path="/team", page_size=2)
    _, feed = await bob.get("/v1/activity", path="/team", limit=1)
    _, names = await bob.get("/v1/search", q="secret", limit=2)
    status, answer = await ann.call("DELETE", f"/v1/files/{node}/share", params={"email": "bob@example.org"})
    assert (status, answer["ended"]) == (200, ["bob@example.org"])
    _, rest = await bob.get("/v1/files/updates", path="/", page=page["next"])
    assert not [one for one in rest["entries"] if one["namespace"] == node]
    assert (await bob.get("/v1/files/updates", path="/team", page=inside["next"]))[0] == 404
    assert (await bob.get("/v1/files/updates", path="/team", since=mark["next_since"]))[0] == 404
    assert (await bob.get("/v1/activity", path="/team", before=feed["next"]))[0] == 404
    _, rest = await bob.get("/v1/search", q="secret", page=names["next"], limit=2)
    assert rest["entries"] == []
    assert (await bob.get(f"/v1/files/{node}/changes", namespace=node))[0] == 404


async def test_a_shared_folder_is_found_under_its_name_as_it_is_written(ann: SignedIn, bob: SignedIn) -> None:
    """Names collide exactly where the tree says so, for mounts too."""
    team = create_folder(ann.root, "Team")
    node = team["node_id"]
    await put_in(ann, ann.root, team, create_folder(ann.root, "team"))
    await share(ann, node, "bob@example.org")
    assert (await bob.post(f"/v1/shares/{node}/accept", {}))[0] == 200
    for device in (ann, bob):
        _, found = await device.get("/v1/metadata", path="/Team")
        assert (found.get("entry") or {}).get("node_id") == node
    await put_in(bob, bob.root, create_folder(bob.root, "team"))
    assert (await bob.post(f"/v1/shares/{node}/unmount", None))[0] == 200
    assert (await bob.get("/v1/metadata", path="/Team"))[0] == 404
    assert (await bob.post(f"/v1/shares/{node}/mount", {}))[0] == 200
    assert (await bob.get("/v1/metadata", path="/Team"))[1]["entry"]["mount"]
    assert (await share_access(ann, node)) == 200
    assert (await ann.get("/v1/metadata", path="/Team"))[1]["entry"]["node_id"] == node


async def share_access(owner: SignedIn, node: str) -> int:
    """Another access for the member, which says so at their mount."""
    body = {"users": [{"email": "bob@example.org", "access": "read"}]}
    return (await owner.post(f"/v1/files/{node}/share", body))[0]
