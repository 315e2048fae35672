"""Sharing from outside: over HTTP, with nothing but tokens and JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder, fresh_id

BOB = "bob@example.org"


@pytest.fixture
async def work(ann: SignedIn, bob: SignedIn) -> str:
    """Ann's folder `work` with the file `f`, shared with Bob, who may write and has accepted."""
    await sent(ann, b"bytes")
    folder = create_folder(ann.root, "work")
    await commit(ann, folder, create_file(folder["node_id"], "f", [b"bytes"]))
    status, answer = await ann.post(f"/v1/files/{folder['node_id']}/share", {"users": [{"email": BOB, "access": "write"}]})
    assert (status, answer["users"][0]["status"], answer["namespace"]) == (200, "invited", folder["node_id"])
    status, mounted = await bob.post(f"/v1/shares/{folder['node_id']}/accept", {})
    assert (status, mounted["path"]) == (200, "/work")
    return str(folder["node_id"])


async def _file(device: SignedIn, path: str) -> dict[str, Any]:
    status, found = await device.get("/v1/metadata", path=path)
    assert status == 200, found
    entry: dict[str, Any] = found["entry"]
    return entry


async def test_members_see_one_folder(ann: SignedIn, bob: SignedIn, work: str) -> None:
    f = await _file(bob, "/work/f")
    body = {"namespace": work, "revisions": [{"node_id": f["node_id"], "revision": 1}]}
    status, answer = await bob.post("/v1/manifests", body)
    assert (status, answer["manifests"][0].get("error")) == (200, None)
    namespaces = (await bob.get("/v1/namespaces"))[1]["namespaces"]
    shared = next(space for space in namespaces if not space["is_root"])
    assert {name: shared[name] for name in ("owner", "members", "path", "access")} == {
        "owner": "ann@example.org",
        "members": 2,
        "path": "/work",
        "access": "write",
    }
    status, people = await bob.get(f"/v1/files/{work}/share")
    assert [(one["email"], one["access"]) for one in people["members"]] == [("ann@example.org", "owner"), (BOB, "write")]
    status, listed = await bob.get("/v1/shared")
    assert [one["path"] for one in listed["folders"]] == ["/work"]
    assert (await bob.get(f"/v1/folders/{work}/children"))[1]["entries"][0]["name"] == "f"


async def test_a_revoked_member_is_refused_at_every_door_and_woken(ann: SignedIn, bob: SignedIn, work: str) -> None:
    cursor = (await bob.get("/v1/changes/latest", namespace=work))[1]["cursor"]
    mine = (await bob.get("/v1/changes/latest"))[1]["cursor"]
    f = await _file(bob, "/work/f")
    waits = [
        asyncio.ensure_future(bob.post("/v1/notifications/poll", {"cursors": cursors, "timeout": 60}))
        for cursors in ([cursor, mine], [cursor])
    ]
    await asyncio.sleep(0.1)
    status, _ = await ann.call("DELETE", f"/v1/files/{work}/share?email={BOB}")
    assert status == 200
    async with asyncio.timeout(10):
        assert [(await wait)[0] for wait in waits] == [404, 404]
    for status, _ in (
        await bob.get("/v1/changes", cursor=cursor),
        await bob.get("/v1/snapshot", namespace=work),
        await bob.get("/v1/metadata", node_id=f["node_id"], namespace=work),
        await bob.get(f"/v1/files/{f['node_id']}/versions", namespace=work),
        await bob.get(f"/v1/files/{work}/share"),
        await bob.post("/v1/manifests", {"namespace": work, "revisions": [{"node_id": f["node_id"], "revision": 1}]}),
        await bob.post("/v1/blocks/missing", {"namespace": work, "hashes": []}),
        await bob.post("/v1/shares/" + work + "/mount", {}),
        await bob.post("/v1/shares/" + work + "/accept", {}),
    ):
        assert status == 404
    assert (await bob.get("/v1/metadata", path="/work"))[0] == 404
    # The root goes on by its own cursor, and says that the mount is gone.
    (entry,) = (await bob.get("/v1/changes", cursor=mine))[1]["entries"]
    assert (entry["op"], entry["deleted"], entry["mount"]) == ("unmount", True, True)


async def test_a_file_granted_to_somebody_is_theirs_by_its_id(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"one")
    file = create_file(ann.root, "plan.txt", [b"one"])
    await commit(ann, file)
    node = file["node_id"]
    status, answer = await ann.post(
        f"/v1/files/{node}/share", {"users": [{"email": BOB, "access": "write"}, {"email": "x", "access": "read"}]}
    )
    assert [(one.get("status"), one.get("error")) for one in answer["users"]] == [("granted", None), (None, "not_found")]
    (granted,) = (await bob.get("/v1/shared"))[1]["files"]
    assert (granted["entry"]["name"], granted["namespace"], granted["access"]) == ("plan.txt", ann.root, "write")
    assert (await bob.get("/v1/metadata", node_id=node))[0] == 200
    bob_there = SignedIn(bob.server, bob.user_id, bob.device_id, bob.access_token, bob.refresh_token, root=ann.root)
    assert (await bob.post("/v1/blocks/missing", {"namespace": ann.root, "hashes": file["blocks"]}))[1]["missing"] == file["blocks"]
    await sent(bob_there, b"two")
    edit = create_file(ann.root, "plan.txt", [b"two"])
    change = {"op": "edit", "node_id": node, "base_revision": 1} | {k: edit[k] for k in ("content_hash", "size", "blocks", "cut")}
    status, _ = await commit(bob_there, change)
    assert status == 200
    status, refused = await commit(bob_there, {"op": "delete", "node_id": node, "base_revision": 2})
    assert (status, refused["failures"][0]["code"]) == (409, "access.denied")
    assert (await ann.call("DELETE", f"/v1/files/{node}/share"))[1]["ended"] == [BOB]
    assert (await commit(bob_there, change))[0] == 404


async def test_the_plain_doors(ann: SignedIn, bob: SignedIn, work: str) -> None:
    status, made = await ann.post("/v1/folders", {"path": "/a/b", "parents": True})
    assert (status, made["entry"]["name"]) == (201, "b")
    assert (await ann.post("/v1/folders", {"path": "/a/b"}))[0] == 412
    moves = {"files": [{"path": "/a", "to_path": "/work/a"}, {"path": "/nowhere", "to_path": "/x"}]}
    key = {"idempotency-key": fresh_id()}
    status, moved = await ann.post("/v1/files/move", moves, headers=key)
    assert [one.get("error") for one in moved["files"]] == [None, "not_found"]
    assert moved["files"][0]["namespace"] == work
    assert (await ann.post("/v1/files/move", moves, headers=key))[1]["files"][0] == moved["files"][0]
    assert (await _file(bob, "/work/a/b"))["kind"] == "dir"
    status, gone = await bob.post("/v1/files/delete", {"files": [{"path": "/work/a", "recursive": True}]})
    assert gone["files"][0]["entry"]["deleted"] is True


async def test_what_a_client_sends_to_the_old_place_is_told_the_new(ann: SignedIn, work: str) -> None:
    status, refused = await commit(ann, create_folder(work, "new"))
    assert (status, refused["failures"][0]["code"], refused["failures"][0]["namespace"]) == (409, "moved", work)


async def test_strangers_find_nothing(server: RunningServer, ann: SignedIn, work: str) -> None:
    eve = await server.newcomer("eve@example.org")
    for act in ("accept", "decline", "leave", "mount", "unmount"):
        assert (await eve.post(f"/v1/shares/{work}/{act}", {}))[0] == 404
    assert (await eve.post(f"/v1/files/{work}/share", {"users": []}))[0] == 404
    assert (await eve.get(f"/v1/files/{work}/share"))[0] == 404
    assert (await eve.call("DELETE", f"/v1/files/{work}/share"))[0] == 404
    assert (await eve.get("/v1/shared"))[1] == {"folders": [], "invitations": [], "files": [], "by_me": [], "more": False}


@pytest.mark.parametrize("door", ["accept", "mount"])
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "x" * 256, "x" * 70_000])
async def test_a_shared_folder_is_mounted_under_no_name_that_no_node_may_have(
    ann: SignedIn, bob: SignedIn, work: str, door: str, name: str
) -> None:
    if door == "accept":
        folder = create_folder(ann.root, "more")
        await commit(ann, folder)
        work = folder["node_id"]
        await ann.post(f"/v1/files/{work}/share", {"users": [{"email": BOB, "access": "read"}]})
    before = (await bob.get("/v1/changes/latest"))[1]["sequence"]
    status, problem = await bob.post(f"/v1/shares/{work}/{door}", {"name": name})
    assert (status, problem["code"]) == (400, "name.invalid")
    assert (await bob.get("/v1/changes/latest"))[1]["sequence"] == before


async def test_a_long_name_that_is_taken_is_told_so_rather_than_made_longer(ann: SignedIn, bob: SignedIn) -> None:
    name = "x" * 255
    mine, theirs = create_folder(bob.root, name), create_folder(ann.root, name)
    await commit(bob, mine)
    await commit(ann, theirs)
    await ann.post(f"/v1/files/{theirs['node_id']}/share", {"users": [{"email": BOB, "access": "read"}]})
    status, problem = await bob.post(f"/v1/shares/{theirs['node_id']}/accept", {})
    assert (status, problem["code"]) == (412, "exists")
    status, mounted = await bob.post(f"/v1/shares/{theirs['node_id']}/accept", {"name": "short"})
    assert (status, mounted["path"]) == (200, "/short")


@pytest.mark.parametrize("door", ["accept", "mount", "unmount", "decline", "leave"])
async def test_nobodys_root_is_a_shared_folder(ann: SignedIn, bob: SignedIn, door: str) -> None:
    for root in (ann.root, bob.root):
        status, problem = await bob.post(f"/v1/shares/{root}/{door}", {})
        assert (status, problem["code"]) == (404, "not_found")
    assert (await bob.get("/v1/changes/latest"))[1]["sequence"] == 0
    assert (await bob.get(f"/v1/folders/{bob.root}/children"))[1]["entries"] == []
