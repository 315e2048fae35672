"""Looking about over HTTP: the doors as a program with nothing but JSON sees them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder, fresh_id


@pytest.fixture
async def tree(ann: SignedIn) -> dict[str, Any]:
    """`/docs/plan.txt`, and what it is made of."""
    await sent(ann, b"content")
    folder = create_folder(ann.root, "docs")
    file = create_file(folder["node_id"], "plan.txt", [b"content"])
    assert (await commit(ann, folder, file))[0] == 200
    return {"folder": folder["node_id"], "file": file["node_id"]}


def move(node: str, parent: str, name: str) -> dict[str, Any]:
    return {"op": "move", "node_id": node, "parent_id": parent, "name": name}


async def test_updates_by_path_and_page(ann: SignedIn, tree: dict[str, Any]) -> None:
    _, first = await ann.get("/v1/files/updates", path="/", page_size=1)
    assert [(one["status"], one["filepath"]) for one in first["entries"]] == [("created", "/docs")]
    assert (first["entries"][0]["presignedUrl"], first["next_since"]) == (None, None)
    _, second = await ann.get("/v1/files/updates", path="/", page_size=1, page=first["next"])
    assert [one["filepath"] for one in second["entries"]] == ["/docs/plan.txt"]
    async with ann.server.http.get(second["entries"][0]["presignedUrl"]) as content:
        assert await content.read() == b"content"
    while second["next"] is not None:
        _, second = await ann.get("/v1/files/updates", path="/", page_size=1, page=second["next"])
    await commit(ann, move(tree["file"], ann.root, "plan 2.txt"))
    _, third = await ann.get("/v1/files/updates", path="/docs", since=second["next_since"], status="moved,deleted")
    assert [one["filepath"] for one in third["entries"]] == [{"old": "/docs/plan.txt", "new": "/plan 2.txt"}]
    since = datetime.now(UTC).isoformat()
    assert (await ann.get("/v1/files/updates", path="/docs", since=since))[1]["entries"] == []


async def test_changes_and_polls_since_a_time(ann: SignedIn, tree: dict[str, Any]) -> None:
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    await commit(ann, create_folder(ann.root, "later"))
    _, page = await ann.get("/v1/changes", since=since)
    assert [entry["name"] for entry in page["entries"]] == ["later"]
    assert (await ann.get("/v1/changes", cursor=page["cursor"]))[1]["entries"] == []
    _, answer = await ann.get("/v1/notifications/poll", since=since)
    assert answer == {"changed": True, "namespaces": {ann.root: page["sequence"]}}
    for path in ("/v1/changes", "/v1/notifications/poll"):
        status, problem = await ann.get(path, since=since, cursor=page["cursor"])
        assert (status, problem["code"]) == (400, "request.invalid")
        assert (await ann.get(path, since="lately"))[0] == 400
    _, rows = await ann.get(f"/v1/files/{tree['file']}/changes")
    assert [(entry["op"], entry["name"]) for entry in rows["entries"]] == [("create", "plan.txt")]


async def test_names_sizes_and_deeds(ann: SignedIn, tree: dict[str, Any]) -> None:
    _, page = await ann.get("/v1/search", q="PLAN")
    assert [found["path"] for found in page["entries"]] == ["/docs/plan.txt"]
    assert (await ann.get("/v1/search", q="plan", kind="dir"))[1]["entries"] == []
    _, usage = await ann.get("/v1/usage", held="true")
    assert (usage["bytes"], usage["files"], usage["folders"]) == (7, 1, 1)
    assert [(one["path"], one["bytes"]) for one in usage["entries"]] == [("/docs", 7)]
    assert usage["held"] == {"live_bytes": 7, "version_bytes": 0, "trash_bytes": 0, "pending_bytes": 0}
    _, feed = await ann.get("/v1/activity", path="/docs")
    (deed,) = feed["entries"]
    assert (deed["what"], deed["count"], deed["actor_name"], deed["device_name"]) == ("created", 2, "ann", "ann's laptop")
    assert [one["path"] for one in deed["examples"]] == ["/docs", "/docs/plan.txt"]


async def test_a_stranger_sees_nothing(ann: SignedIn, bob: SignedIn, tree: dict[str, Any]) -> None:
    _, page = await ann.get("/v1/files/updates", page_size=1)
    for path, params in (
        ("/v1/files/updates", {"path": "/docs"}),
        (f"/v1/files/{tree['file']}/changes", {}),
        (f"/v1/files/{tree['file']}/changes", {"namespace": ann.root}),
        (f"/v1/files/{fresh_id()}/changes", {}),
        ("/v1/search", {"q": "plan", "path": "/docs"}),
        ("/v1/usage", {"path": "/docs"}),
        ("/v1/activity", {"path": "/docs"}),
        ("/v1/changes", {"namespace": ann.root, "since": "2026-01-01T00:00:00Z"}),
    ):
        assert (await bob.get(path, **params))[0] == 404, path
    for path, params in (
        ("/v1/files/updates", {"page": page["next"]}),
        ("/v1/files/updates", {"since": page["next"]}),
        ("/v1/activity", {"before": page["next"]}),
        ("/v1/search", {"q": "plan", "page": page["next"]}),
    ):
        status, problem = await bob.get(path, **params)
        assert (status, problem["code"]) == (400, "cursor.invalid"), path
    assert (await bob.get("/v1/search", q="plan"))[1]["entries"] == []
    assert (await bob.get("/v1/activity"))[1]["entries"] == []


async def test_what_is_asked_wrongly_says_so(ann: SignedIn) -> None:
    for path, params in (
        ("/v1/files/updates", {"status": "renamed"}),
        ("/v1/files/updates", {"page_size": 0}),
        ("/v1/files/updates", {"until": "soon"}),
        ("/v1/search", {}),
        ("/v1/search", {"q": " "}),
        ("/v1/usage", {"depth": 99}),
        ("/v1/activity", {"limit": 0}),
    ):
        status, problem = await ann.get(path, **params)
        assert (status, problem["code"]) == (400, "request.invalid"), (path, params)


async def test_devices_say_when_they_were_last_up_to_date(server: RunningServer, ann: SignedIn) -> None:
    await commit(ann, create_folder(ann.root, "a"))
    other = await server.sign_in("ann@example.org", device_name="other")
    _, before = await other.get("/v1/devices")
    assert [device["last_synced"] for device in before["devices"]] == [None, None]
    _, page = await ann.get("/v1/changes")
    assert (await ann.get("/v1/changes", cursor=page["cursor"]))[1]["entries"] == []
    _, after = await other.get("/v1/devices")
    synced = {device["name"]: device["last_synced"] for device in after["devices"]}
    assert synced["ann's laptop"] is not None
    assert synced["other"] is None
    _, latest = await other.get("/v1/changes/latest")
    _, answer = await other.post("/v1/notifications/poll", {"cursors": [latest["cursor"]], "timeout": 1})
    assert answer == {"changed": False, "sync": True}
    assert all(device["last_synced"] for device in (await other.get("/v1/devices"))[1]["devices"])


async def test_the_description_knows_the_doors(ann: SignedIn) -> None:
    _, document = await ann.get("/openapi.json")
    for path in ("/v1/files/updates", "/v1/files/{file}/changes", "/v1/search", "/v1/usage", "/v1/activity"):
        assert document["paths"][path]["get"]["description"], path
    filepath = document["components"]["schemas"]["Update"]["properties"]["filepath"]
    assert {"type": "string"} in filepath["oneOf"]
    assert "presignedUrl" in document["components"]["schemas"]["Update"]["properties"]
