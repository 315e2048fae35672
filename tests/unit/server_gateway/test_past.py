"""The doors of the past: versions, restore, trash, purge, retention, rewind, undo; and what each refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import sent, sha256
from tests.unit.server_gateway.nodes import commit, create_file, create_folder, fresh_id

from syncline.app.checking import check_server
from syncline.server.check.findings import Finding

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


def now() -> str:
    return datetime.now(UTC).isoformat()


async def pause() -> str:
    """An instant that lies strictly between what was before and what comes after."""
    await asyncio.sleep(0.002)
    between = now()
    await asyncio.sleep(0.002)
    return between


async def done(device: SignedIn, *changes: dict[str, Any]) -> Any:
    status, answer = await commit(device, *changes)
    assert status == 200, answer
    return answer


def edit(node: str, base: int, content: bytes, **fields: Any) -> dict[str, Any]:
    given = {"content_hash": sha256(content), "size": len(content), "blocks": [sha256(content)], "cut": "test"}
    return {"op": "edit", "node_id": node, "base_revision": base} | given | fields


def delete(node: str, base: int) -> dict[str, Any]:
    return {"op": "delete", "node_id": node, "base_revision": base}


def delete_folder(node: str) -> dict[str, Any]:
    return {"op": "delete", "node_id": node, "recursive": True, "subtree_as_of": 1 << 40}


async def asked(device: SignedIn, path: str, body: Any, *, key: str | None = None) -> Any:
    status, answer = await device.post(path, body, headers={} if key is None else {"idempotency-key": key})
    assert status == 200, answer
    return answer


async def tree(device: SignedIn) -> dict[str, str | None]:
    """Live paths with their content."""
    _, page = await device.get("/v1/snapshot", namespace=device.root)
    rows = {entry["node_id"]: entry for entry in page["entries"]}

    def path(node: str) -> str:
        row = rows[node]
        above = "" if row["parent_id"] == device.root else path(row["parent_id"])
        return f"{above}/{row['name']}"

    return {path(node): row.get("content_hash") for node, row in rows.items()}


async def sound(server: RunningServer) -> None:
    """The server's own check finds nothing wrong."""
    findings: list[Finding] = []
    async for _ in check_server(server.data, deep=False, tell=findings.append, show=lambda _: None):
        pass
    assert findings == []


async def written(device: SignedIn, name: str = "plan.txt", contents: tuple[bytes, ...] = (b"one", b"two")) -> str:
    """A file with these contents, one version each; its id."""
    await sent(device, *contents)
    change = create_file(device.root, name, [contents[0]])
    await done(device, change)
    for base, content in enumerate(contents[1:], start=1):
        await done(device, edit(change["node_id"], base, content))
    return str(change["node_id"])


# -- Versions ------------------------------------------------------------------------------------------------------------------


async def test_versions_say_who_when_where_and_what_changed(ann: SignedIn) -> None:
    node = await written(ann)
    await done(ann, {"op": "move", "node_id": node, "name": "Plan.md"})
    await done(ann, {"op": "edit", "node_id": node, "base_revision": 2, "executable": True})
    await done(ann, edit(node, 3, b"one"))
    status, page = await ann.get(f"/v1/files/{node}/versions")
    assert status == 200
    assert [entry["revision"] for entry in page["entries"]] == [4, 3, 2, 1]
    newest, bit, second, first = page["entries"]
    assert first["changed"] == ["created"]
    assert (second["changed"], second.get("size_change", 0)) == (["content"], 0)
    assert bit["changed"] == ["executable", "renamed"]
    assert newest["changed"] == ["content", "restored"]
    assert (newest["restored_from"], newest["present"]) == (1, True)
    assert "kept_until" not in newest
    assert first["kept_until"] < bit["kept_until"] or first["kept_until"] <= second["kept_until"]
    author = first["author"]
    assert author["email"] == "ann@example.org"
    assert author["device_name"] == "ann's laptop"
    assert {"time", "mtime", "size", "content_hash", "changeset"} <= set(first)


async def test_versions_come_in_pages_that_say_the_same(ann: SignedIn) -> None:
    contents = tuple(b"%d" % number * (number + 1) for number in range(7))
    node = await written(ann, contents=contents)
    _, whole = await ann.get(f"/v1/files/{node}/versions")
    entries: list[Any] = []
    page: str | None = None
    for _ in range(10):
        _, answer = await ann.get(f"/v1/files/{node}/versions", limit=2, **({} if page is None else {"page": page}))
        entries += answer["entries"]
        page = answer.get("next")
        if page is None:
            break
    assert entries == whole["entries"]
    assert [entry.get("size_change") for entry in entries] == [entry["size"] - (6 - at) for at, entry in enumerate(entries)]
    for wrong in ("nonsense", "-1", "0", "9" * 30):
        assert (await ann.get(f"/v1/files/{node}/versions", page=wrong))[1]["code"] == "cursor.invalid"


async def test_a_restored_version_is_a_new_one_and_sends_nothing(ann: SignedIn) -> None:
    node = await written(ann)
    body = {"revision": 1}
    restored = await asked(ann, f"/v1/files/{node}/restore", body, key="again and again")
    assert (restored["revision"], restored["path"], restored["adopted"]) == (3, "/plan.txt", False)
    assert await tree(ann) == {"/plan.txt": sha256(b"one")}
    assert await asked(ann, f"/v1/files/{node}/restore", body, key="again and again") == restored
    status, problem = await ann.post(f"/v1/files/{node}/restore", {"revision": 2}, headers={"idempotency-key": "again and again"})
    assert (status, problem["code"]) == (422, "idempotency.mismatch")
    ref = {"node_id": node, "revision": 3}
    _, manifests = await ann.post("/v1/manifests", {"namespace": ann.root, "revisions": [ref]})
    assert manifests["manifests"][0]["content_hash"] == sha256(b"one")
    assert (await asked(ann, f"/v1/files/{node}/restore", body))["adopted"] is True


async def test_a_deleted_file_comes_back_with_the_version_asked_for(ann: SignedIn) -> None:
    folder = create_folder(ann.root, "Docs")
    await done(ann, folder)
    node = await written(ann)
    await done(ann, {"op": "move", "node_id": node, "parent_id": folder["node_id"]})
    await done(ann, delete(node, 2))
    await done(ann, delete_folder(folder["node_id"]))
    restored = await asked(ann, f"/v1/files/{node}/restore", {"revision": 1})
    assert restored["path"] == "/Docs/plan.txt"
    assert await tree(ann) == {"/Docs": None, "/Docs/plan.txt": sha256(b"one")}
    _, found = await ann.get("/v1/metadata", path="/Docs/plan.txt")
    assert found["entry"]["node_id"] == node


async def test_what_cannot_be_restored_says_why(ann: SignedIn, bob: SignedIn) -> None:
    node = await written(ann)
    folder = create_folder(ann.root, "Docs")
    await done(ann, folder)
    for target, body, status, code in (
        (node, {"revision": 9}, 404, "revision.not_kept"),
        (NOBODY, {"revision": 1}, 404, "not_found"),
        (folder["node_id"], {"revision": 1}, 400, "request.invalid"),
    ):
        found, problem = await ann.post(f"/v1/files/{target}/restore", body)
        assert (found, problem["code"]) == (status, code)
    assert (await bob.post(f"/v1/files/{node}/restore", {"revision": 1}))[0] == 404
    assert (await bob.post(f"/v1/files/{node}/restore", {"revision": 1, "namespace": ann.root}))[0] == 404
    await done(ann, delete(node, 2))
    await done(ann, create_file(ann.root, "plan.txt", [b"one"]))
    found, problem = await ann.post(f"/v1/files/{node}/restore", {"revision": 1})
    assert (found, problem["code"]) == (409, "name.taken")
    restored = await asked(ann, f"/v1/files/{node}/restore", {"revision": 1, "rename": True})
    assert restored["path"] == "/plan (restored).txt"


# -- Trash ---------------------------------------------------------------------------------------------------------------------


async def test_the_trash_lists_what_was_deleted_and_not_what_was_in_it(ann: SignedIn) -> None:
    await sent(ann, b"one")
    outer, inner = create_folder(ann.root, "Outer"), None
    inner = create_folder(outer["node_id"], "Inner")
    file = create_file(inner["node_id"], "deep.txt", [b"one"])
    alone = create_file(ann.root, "alone.txt", [b"one"])
    await done(ann, outer, inner, file, alone)
    await done(ann, delete(alone["node_id"], 1))
    await done(ann, delete(file["node_id"], 1))
    await done(ann, delete_folder(outer["node_id"]))
    status, page = await ann.get("/v1/trash")
    assert status == 200
    assert [entry["path"] for entry in page["entries"]] == ["/Outer", "/Outer/Inner/deep.txt", "/alone.txt"]
    entry = page["entries"][0]
    assert (entry["kind"], entry["by"]["email"], entry["by"]["device_name"]) == ("dir", "ann@example.org", "ann's laptop")
    kept = datetime.fromisoformat(entry["purged_after"]) - datetime.fromisoformat(entry["deleted"])
    assert kept.days == 30
    paths: list[str] = []
    token: str | None = None
    for _ in range(3):
        _, part = await ann.get("/v1/trash", limit=1, **({} if token is None else {"page": token}))
        paths += [entry["path"] for entry in part["entries"]]
        token = part["next"]
    assert (paths, token) == ([entry["path"] for entry in page["entries"]], None)
    assert (await ann.get("/v1/trash", page="nonsense"))[1]["code"] == "cursor.invalid"


async def test_undelete_brings_back_what_was_deleted_together_each_for_itself(ann: SignedIn) -> None:
    await sent(ann, b"one", b"two")
    outer = create_folder(ann.root, "Outer")
    inner = create_folder(outer["node_id"], "Inner")
    file = create_file(inner["node_id"], "deep.txt", [b"one"])
    earlier = create_file(inner["node_id"], "earlier.txt", [b"two"])
    await done(ann, outer, inner, file, earlier)
    await done(ann, delete(earlier["node_id"], 1))
    await done(ann, delete_folder(outer["node_id"]))
    files = [{"node_id": outer["node_id"]}, {"node_id": NOBODY}, {"node_id": outer["node_id"]}]
    answer = await asked(ann, "/v1/files/undelete", {"files": files}, key="bring back")
    codes = [result.get("code") for result in answer["results"]]
    assert codes == [None, "not_found", "trash.not_there"]
    assert answer["results"][0]["restored"]["path"] == "/Outer"
    assert set(await tree(ann)) == {"/Outer", "/Outer/Inner", "/Outer/Inner/deep.txt"}
    again = await asked(ann, "/v1/files/undelete", {"files": files}, key="bring back")
    assert again["results"][0] == answer["results"][0]
    answer = await asked(ann, "/v1/files/undelete", {"files": [{"node_id": earlier["node_id"]}]})
    assert answer["results"][0]["restored"]["path"] == "/Outer/Inner/earlier.txt"


async def test_a_file_comes_back_into_the_folder_that_has_the_old_ones_name_now(ann: SignedIn) -> None:
    await sent(ann, b"one")
    old = create_folder(ann.root, "Docs")
    file = create_file(old["node_id"], "a.txt", [b"one"])
    await done(ann, old, file)
    await done(ann, delete(file["node_id"], 1))
    await done(ann, delete_folder(old["node_id"]))
    new = create_folder(ann.root, "Docs")
    await done(ann, new)
    answer = await asked(ann, "/v1/files/undelete", {"files": [{"node_id": file["node_id"]}]})
    assert answer["results"][0]["restored"]["path"] == "/Docs/a.txt"
    assert set(await tree(ann)) == {"/Docs", "/Docs/a.txt"}
    await done(ann, delete(file["node_id"], 1))
    twin = create_file(new["node_id"], "a.txt", [b"one"])
    await done(ann, twin)
    wanted = [{"node_id": file["node_id"]}]
    answer = await asked(ann, "/v1/files/undelete", {"files": wanted})
    assert answer["results"][0]["code"] == "name.taken"
    answer = await asked(ann, "/v1/files/undelete", {"files": wanted, "rename": True})
    assert answer["results"][0]["restored"]["path"] == "/Docs/a (restored).txt"
    await done(ann, delete(file["node_id"], 1))
    place = [{"node_id": file["node_id"], "parent_id": ann.root, "name": "b.txt"}]
    answer = await asked(ann, "/v1/files/undelete", {"files": place})
    assert answer["results"][0]["restored"]["path"] == "/b.txt"


async def test_purging_frees_what_nothing_else_names(ann: SignedIn) -> None:
    shared, own = b"s" * 5000, b"o" * 7000
    await sent(ann, shared, own)
    first, second = create_file(ann.root, "a", [shared, own]), create_file(ann.root, "b", [shared])
    await done(ann, first, second)
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 12_000
    await done(ann, delete(first["node_id"], 1))
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 12_000
    answer = await asked(ann, "/v1/trash/purge", {"node_ids": [first["node_id"], second["node_id"], NOBODY]})
    assert [result.get("code") for result in answer["results"]] == [None, "trash.not_there", "not_found"]
    assert (answer["purged"], answer["freed_bytes"]) == (1, 7000)
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 5000
    assert (await ann.get("/v1/trash"))[1]["entries"] == []
    assert (await ann.get(f"/v1/files/{first['node_id']}/versions"))[0] == 404
    # The same bytes sent again are held, and count, again; and under the purged id the numbers go on.
    await sent(ann, own)
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 12_000
    back = first | {"op": "undelete", "name": "back"}
    answer = await done(ann, back)
    assert answer["results"][0]["revision"] == 2
    await sound(ann.server)
    assert (await asked(ann, "/v1/trash/purge", {"node_ids": [first["node_id"]]}))["results"][0]["code"] == "trash.not_there"


async def test_condemned_bytes_can_still_be_named(ann: SignedIn) -> None:
    await sent(ann, b"x" * 900)
    file = create_file(ann.root, "a", [b"x" * 900])
    await done(ann, file)
    await done(ann, delete(file["node_id"], 1))
    await asked(ann, "/v1/trash/purge", {"all": True})
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 0
    await sound(ann.server)
    again = await asked(ann, "/v1/trash/purge", {"node_ids": [file["node_id"]]})
    assert (again["results"][0].get("code"), again["purged"]) == (None, 0)
    await done(ann, create_file(ann.root, "b", [b"x" * 900]))
    assert (await ann.get("/v1/me"))[1]["used_bytes"] == 900


async def test_all_of_the_trash_goes_at_once_and_nothing_else(ann: SignedIn, bob: SignedIn) -> None:
    await sent(ann, b"one")
    folder = create_folder(ann.root, "Docs")
    files = [create_file(folder["node_id"], f"{number}", [b"one"]) for number in range(20)]
    stays = create_file(ann.root, "stays", [b"one"])
    await done(ann, folder, *files, stays)
    await done(ann, delete(files[0]["node_id"], 1))
    await done(ann, delete_folder(folder["node_id"]))
    assert (await bob.post("/v1/trash/purge", {"all": True, "namespace": ann.root}))[0] == 404
    for wrong in ({}, {"all": True, "node_ids": [NOBODY]}):
        assert (await ann.post("/v1/trash/purge", wrong))[1]["code"] == "request.invalid"
    answer = await asked(ann, "/v1/trash/purge", {"all": True})
    assert answer == {"results": [], "purged": 21, "freed_bytes": 0, "more": False}
    assert await tree(ann) == {"/stays": sha256(b"one")}
    assert (await ann.get("/v1/changes"))[0] == 200


# -- Retention -------------------------------------------------------------------------------------------------------------------


async def test_retention_is_explained_in_words(ann: SignedIn) -> None:
    node = await written(ann, contents=(b"one", b"two", b"three"))
    _, general = await ann.get("/v1/retention")
    assert general["policy"] == {"trash_days": 30, "versions_days": 30, "daily_versions_days": 180}
    assert any("30 days" in line for line in general["lines"])
    _, answer = await ann.get("/v1/retention", path="/plan.txt")
    assert answer["versions"][0]["why"] == "present"
    assert {version["why"] for version in answer["versions"][1:]} <= {"recent", "daily"}
    assert all("until" in version["text"] for version in answer["versions"][1:])
    await done(ann, delete(node, 3))
    _, answer = await ann.get("/v1/retention", node_id=node)
    assert answer["purged_after"] > answer["deleted"]
    assert "trash until" in answer["lines"][0]
    assert (await ann.get("/v1/retention", path="/plan.txt"))[0] == 404
    assert (await ann.get("/v1/retention", path="/x", node_id=node))[1]["code"] == "request.invalid"


# -- Rewind and undo -----------------------------------------------------------------------------------------------------------


async def test_a_rewind_and_its_undo(ann: SignedIn) -> None:
    await sent(ann, b"one", b"two", b"new")
    docs, old = create_folder(ann.root, "Docs"), create_folder(ann.root, "Old")
    a, b = create_file(docs["node_id"], "a.txt", [b"one"]), create_file(docs["node_id"], "b.txt", [b"one"])
    await done(ann, docs, old, a, b)
    before = await tree(ann)
    then = await pause()
    await done(ann, edit(a["node_id"], 1, b"two", executable=True), {"op": "move", "node_id": b["node_id"], "name": "B.md"})
    await done(ann, create_file(docs["node_id"], "c.txt", [b"new"]), delete_folder(old["node_id"]))
    await done(ann, delete(b["node_id"], 1))
    after = await tree(ann)

    dry = await asked(ann, "/v1/rewind", {"to": then, "path": "/", "dry_run": True})
    assert dry["counts"] == {"restored": 2, "moved": 0, "reverted": 1, "deleted": 1, "spared": 0}
    assert "changeset" not in dry
    assert await tree(ann) == after
    made = await asked(ann, "/v1/rewind", {"to": then, "path": "/"}, key="back")
    assert made["items"] == dry["items"]
    assert await tree(ann) == before
    assert await asked(ann, "/v1/rewind", {"to": then, "path": "/"}, key="back") == made
    undone = await asked(ann, "/v1/undo", {"changeset": made["changeset"]})
    assert undone["counts"]["spared"] == 0
    assert await tree(ann) == after
    assert "changeset" not in await asked(ann, "/v1/rewind", {"to": now()})
    await sound(ann.server)


async def test_an_undo_of_a_device_spares_what_another_did_later(server: RunningServer, ann: SignedIn) -> None:
    desk = await server.sign_in("ann@example.org", device_name="desk")
    await sent(ann, b"one", b"spoilt", b"mended")
    files = [create_file(ann.root, f"{number}.txt", [b"one"]) for number in range(6)]
    await done(ann, *files)
    since = await pause()
    await done(ann, *[edit(file["node_id"], 1, b"spoilt") for file in files])
    await done(desk, edit(files[0]["node_id"], 2, b"mended"))
    await done(ann, delete(files[1]["node_id"], 2), delete(files[0]["node_id"], 3))
    answer = await asked(desk, "/v1/undo", {"device": ann.device_id, "since": since})
    assert answer["counts"] == {"restored": 2, "moved": 0, "reverted": 5, "deleted": 0, "spared": 1}
    (spared,) = answer["spared"]
    assert (spared["path"], spared["reason"], spared["by"]["device_name"]) == ("/0.txt", "changed.later", "desk")
    assert await tree(desk) == {f"/{number}.txt": sha256(b"mended" if number == 0 else b"one") for number in range(6)}
    _, page = await desk.get(f"/v1/files/{files[2]['node_id']}/versions")
    assert page["entries"][0]["author"]["device_name"] == "desk"


async def test_going_back_refuses_what_makes_no_sense(ann: SignedIn, bob: SignedIn) -> None:
    then = await pause()
    await done(ann, create_folder(ann.root, "Docs"))
    refusals = (
        ("/v1/rewind", {"to": then, "path": "/Docs"}, "past.not_there"),
        ("/v1/rewind", {"to": then, "path": "/Nothing"}, "not_found"),
        ("/v1/rewind", {"to": then, "path": "/", "node_id": NOBODY}, "request.invalid"),
        ("/v1/rewind", {"to": "2026-01-01T00:00:00"}, "request.invalid"),
        ("/v1/rewind", {"to": then, "namespace": bob.root}, "not_found"),
        ("/v1/undo", {}, "request.invalid"),
        ("/v1/undo", {"device": ann.device_id}, "request.invalid"),
        ("/v1/undo", {"device": ann.device_id, "since": now(), "until": then}, "request.invalid"),
        ("/v1/undo", {"changeset": NOBODY, "device": ann.device_id}, "request.invalid"),
        ("/v1/undo", {"changeset": NOBODY}, "not_found"),
        ("/v1/undo", {"changeset": NOBODY, "namespace": bob.root}, "not_found"),
    )
    for path, body, code in refusals:
        status, problem = await ann.post(path, body)
        assert (status >= 400, problem["code"]) == (True, code), body


@pytest.mark.slow
async def test_ten_thousand_files_go_back_in_one_request(ann: SignedIn) -> None:
    await sent(ann, b"one", b"spoilt")
    folders = [create_folder(ann.root, f"d{number}") for number in range(10)]
    files = [create_file(folders[number % 10]["node_id"], f"{number}", [b"one"]) for number in range(10_000)]
    await done(ann, *folders)
    for start in range(0, len(files), 1000):
        await done(ann, *files[start : start + 1000])
    since = await pause()
    for start in range(0, 5000, 1000):
        await done(ann, *[edit(file["node_id"], 1, b"spoilt") for file in files[start : start + 1000]])
    for start in range(5000, 10_000, 1000):
        await done(ann, *[delete(file["node_id"], 1) for file in files[start : start + 1000]])
    _, before = await ann.get("/v1/changes/latest")

    undone = await asked(ann, "/v1/undo", {"device": ann.device_id, "since": since})
    assert undone["counts"] == {"restored": 5000, "moved": 0, "reverted": 5000, "deleted": 0, "spared": 0}
    assert (len(undone["items"]), undone["more"]) == (1000, True)
    assert undone["sequence"] == before["sequence"] + 10_000

    redone = await asked(ann, "/v1/undo", {"changeset": undone["changeset"]})
    assert redone["counts"] == {"restored": 0, "moved": 0, "reverted": 5000, "deleted": 5000, "spared": 0}
    rewound = await asked(ann, "/v1/rewind", {"to": since})
    assert rewound["counts"] == undone["counts"]
    assert rewound["sequence"] == before["sequence"] + 30_000


async def test_without_a_token_nothing_of_the_past_is_told(server: RunningServer) -> None:
    doors = [("GET", "/v1/trash"), ("GET", "/v1/retention"), ("GET", f"/v1/files/{fresh_id()}/versions")]
    doors += [("POST", path) for path in ("/v1/rewind", "/v1/undo", "/v1/trash/purge", "/v1/files/undelete")]
    doors += [("POST", f"/v1/files/{fresh_id()}/restore")]
    for method, path in doors:
        async with server.http.request(method, server.url + path, json={}) as answer:
            assert answer.status == 401, path
