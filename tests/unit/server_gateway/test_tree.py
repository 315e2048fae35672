"""Commits, the journal, manifests and looking around: the way of a file through the doors, and their refusals."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import packed, sent, sha256
from tests.unit.server_gateway.nodes import commit, create_file, create_folder

from syncline.content.seal import open_frame
from syncline.model.ids import Digest

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


async def test_a_file_goes_up_and_comes_down(ann: SignedIn) -> None:
    blocks = [os.urandom(70_000), b"text " * 30_000, b"tail"]
    await sent(ann, *blocks)
    change = create_file(ann.root, "report.txt", blocks)
    status, answer = await commit(ann, change)
    assert (status, answer["results"][0]["revision"]) == (200, 1)

    ref = {"node_id": change["node_id"], "revision": 1}
    status, answer = await ann.post("/v1/manifests", {"namespace": ann.root, "revisions": [ref]})
    assert status == 200
    (manifest,), (pack,) = answer["manifests"], answer["packs"]
    assert (manifest["content_hash"], manifest["size"]) == (change["content_hash"], change["size"])
    content = b""
    for name, size, number, offset, length, _, key in manifest["blocks"]:
        assert number == 0
        headers = {"range": f"bytes={offset}-{offset + length - 1}"}
        async with ann.server.http.get(pack["get"]["url"], headers=headers) as part:
            assert part.status == 206
            content += open_frame(await part.read(), base64.b64decode(key), Digest(name), size)
    assert content == b"".join(blocks)


async def test_a_manifest_goes_on_where_the_page_ended(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.server.blocks.fetch.MANIFEST_BLOCKS_PAGE_MAX", 4)
    blocks = [os.urandom(100 + n) for n in range(6)]
    await sent(ann, *blocks)
    changes = [create_file(ann.root, f"{n}", blocks) for n in range(2)]
    assert (await commit(ann, *changes))[0] == 200
    wanted = [{"node_id": change["node_id"], "revision": 1} for change in changes]
    seen: list[list[str]] = [[], []]
    index = rounds = 0
    while index < 2:
        _, page = await ann.post("/v1/manifests", {"namespace": ann.root, "revisions": wanted[index:]})
        assert sum(len(manifest["blocks"]) for manifest in page["manifests"]) <= 4
        for manifest in page["manifests"]:
            seen[index] += [block[0] for block in manifest["blocks"]]
            if manifest.get("next_block") is None:
                index += 1
            else:
                wanted[index]["from_block"] = manifest["next_block"]
        rounds += 1
    assert seen == [[sha256(block) for block in blocks]] * 2
    assert rounds == 3


async def test_what_cannot_be_served_says_so_and_spoils_nothing_else(ann: SignedIn) -> None:
    await sent(ann, b"block")
    change = create_file(ann.root, "file", [b"block"])
    await commit(ann, change)
    refs = [
        {"node_id": NOBODY, "revision": 1},
        {"node_id": change["node_id"], "revision": 1},
        {"node_id": change["node_id"], "revision": 2},
        {"node_id": change["node_id"], "revision": 1, "from_block": 5},
        {"node_id": change["node_id"], "revision": 1, "from_block": -1},
        {"node_id": "nonsense", "revision": -1},
    ]
    status, answer = await ann.post("/v1/manifests", {"namespace": ann.root, "revisions": refs})
    assert status == 200
    errors = [manifest.get("error") for manifest in answer["manifests"]]
    assert errors == ["not_found", None, "not_found", "request.invalid", "request.invalid", "not_found"]
    assert [len(manifest["blocks"]) for manifest in answer["manifests"]] == [0, 1, 0, 0, 0, 0]


async def test_a_stranger_gets_neither_bytes_nor_possession(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"secret")
    change = create_file(ann.root, "secret", [b"secret"])
    await commit(ann, change)
    status, _ = await bob.post(
        "/v1/manifests", {"namespace": ann.root, "revisions": [{"node_id": change["node_id"], "revision": 1}]}
    )
    assert status == 404
    _, answer = await bob.post(
        "/v1/manifests", {"namespace": bob.root, "revisions": [{"node_id": change["node_id"], "revision": 1}]}
    )
    assert answer["manifests"][0]["error"] == "not_found"
    status, problem = await commit(bob, create_file(bob.root, "mine", [b"secret"]))
    assert (status, problem["code"]) == (409, "commit.refused")
    assert problem["failures"][0]["code"] == "blocks.missing"


async def test_commits_need_a_key_and_are_done_once(ann: SignedIn) -> None:
    change = create_folder(ann.root, "folder")
    body = {"namespace": ann.root, "changes": [change]}
    status, problem = await ann.post("/v1/files/commit", body)
    assert (status, problem["code"]) == (400, "request.invalid")
    for key in ("", "x" * 129):
        status, _ = await ann.post("/v1/files/commit", body, headers={"idempotency-key": key})
        assert status == 400
    first = await ann.post("/v1/files/commit", body, headers={"idempotency-key": "one"})
    again = await ann.post("/v1/files/commit", body, headers={"idempotency-key": "one"})
    assert first[0] == 200
    assert first == again
    other = {"namespace": ann.root, "changes": [create_folder(ann.root, "other")]}
    status, problem = await ann.post("/v1/files/commit", other, headers={"idempotency-key": "one"})
    assert (status, problem["code"]) == (422, "idempotency.mismatch")


async def test_a_refusal_names_the_change_and_whoever_is_in_the_way(ann: SignedIn) -> None:
    await commit(ann, create_folder(ann.root, "Folder"))
    status, problem = await commit(ann, create_folder(ann.root, "Folder"))
    assert (status, problem["code"]) == (409, "commit.refused")
    assert (problem["failures"][0]["code"], problem["failures"][0]["by"]["name"]) == ("name.taken", "Folder")


async def test_looking_around(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"block")
    folder = create_folder(ann.root, "folder")
    file = create_file(folder["node_id"], "file", [b"block"])
    assert (await commit(ann, folder, file))[0] == 200
    _, found = await ann.get("/v1/metadata", path="/folder/file")
    assert (found["path"], found["entry"]["node_id"]) == ("/folder/file", file["node_id"])
    assert (await ann.get("/v1/metadata", node_id=file["node_id"]))[1] == found
    _, root = await ann.get("/v1/metadata", path="/")
    assert (root["namespace"], root["entry"]) == (ann.root, None)
    _, page = await ann.get(f"/v1/folders/{folder['node_id']}/children")
    assert [entry["name"] for entry in page["entries"]] == ["file"]
    _, page = await ann.get(f"/v1/folders/{ann.root}/children")
    assert [entry["name"] for entry in page["entries"]] == ["folder"]
    _, versions = await ann.get(f"/v1/files/{file['node_id']}/versions")
    assert [entry["revision"] for entry in versions["entries"]] == [1]

    for params in ({}, {"path": "/", "node_id": file["node_id"]}):
        assert (await ann.get("/v1/metadata", **params))[0] == 400
    assert (await ann.get("/v1/metadata", path="/nothing"))[0] == 404
    for device, own in ((bob, {}), (bob, {"namespace": ann.root})):
        assert (await device.get("/v1/metadata", node_id=file["node_id"], **own))[0] == 404
        assert (await device.get(f"/v1/folders/{folder['node_id']}/children", **own))[0] == 404
        assert (await device.get(f"/v1/files/{file['node_id']}/versions", **own))[0] == 404
    for path in ("/v1/changes", "/v1/changes/latest", "/v1/snapshot"):
        status, problem = await bob.get(path, namespace=ann.root)
        assert (status, problem["code"]) == (404, "not_found")
    _, answer = await bob.get("/v1/namespaces")
    assert [one["id"] for one in answer["namespaces"]] == [bob.root]


async def test_the_journal_is_read_by_cursor_and_a_foreign_cursor_is_none(ann: SignedIn, bob: SignedIn) -> None:
    folders = [create_folder(ann.root, f"{n}") for n in range(5)]
    for folder in folders:
        await commit(ann, folder)
    names: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        _, page = await ann.get("/v1/changes", **params)
        names += [entry["name"] for entry in page["entries"]]
        params["cursor"] = page["cursor"]
        if not page["has_more"]:
            break
    assert names == ["0", "1", "2", "3", "4"]
    _, latest = await ann.get("/v1/changes/latest")
    assert (latest["cursor"], latest["sequence"], latest["chain"]) == (page["cursor"], page["sequence"], page["chain"])
    _, snapshot = await ann.get("/v1/snapshot")
    assert sorted(entry["name"] for entry in snapshot["entries"]) == names
    for cursor in (page["cursor"], "nonsense", page["cursor"][:-2]):
        status, problem = await bob.get("/v1/changes", cursor=cursor)
        assert (status, problem["code"]) in ((400, "cursor.invalid"), (404, "not_found"))


async def test_a_quota_is_asked_before_bytes_are_sent(server: RunningServer) -> None:
    await server.add_user("small@example.org", quota_bytes=1000)
    small = await server.sign_in("small@example.org")
    await sent(small, os.urandom(900))
    _, me = await small.get("/v1/me")
    assert (me["used_bytes"], me["quota_bytes"]) == (900, 1000)
    status, problem = await small.post("/v1/packs", {"namespace": small.root, "packs": [packed(os.urandom(101))[1]]})
    assert (status, problem["code"]) == (403, "quota.exceeded")
    status, _ = await small.post("/v1/packs", {"namespace": small.root, "packs": [packed(os.urandom(100))[1]]})
    assert status == 200
