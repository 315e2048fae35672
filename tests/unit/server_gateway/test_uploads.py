"""Plain uploads from outside, over real HTTP: begin, send, complete, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn, running_server
from tests.unit.server_gateway.uploading import (
    PART,
    begun,
    complete,
    downloaded,
    entry,
    put,
    send,
    settled,
    sha256,
    uploaded,
)

from syncline.model.limits import BATCH_MAX, UPLOAD_PARTS_WINDOW

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"
LARGE = random.Random(1).randbytes(2 * PART + 1234)


async def test_a_file_is_there_at_once_and_settles_into_blocks(ann: SignedIn) -> None:
    content = os.urandom(3_000_000)
    done = await uploaded(ann, "/photos/2026/sea.jpg", content, mime_type="image/jpeg", checksum=sha256(content))
    assert done["revision"] == 1
    found = await settled(ann, "/photos/2026/sea.jpg")
    assert (found["node_id"], found["op"], found["size"]) == (done["file_id"], "settled", len(content))
    assert found["content_hash"] == sha256(content)
    assert await downloaded(ann, found) == content
    _, versions = await ann.get(f"/v1/files/{done['file_id']}/versions")
    assert [(one["op"], one["revision"], one["content_hash"]) for one in versions["entries"]] == [("create", 1, sha256(content))]


async def test_the_journal_tells_of_a_raw_file_and_then_of_what_it_holds(ann: SignedIn) -> None:
    done = await uploaded(ann, "/notes.txt", b"hello")
    await settled(ann, "/notes.txt")
    _, page = await ann.get("/v1/changes")
    rows = [row for row in page["entries"] if row["node_id"] == done["file_id"]]
    assert [(row["op"], row["revision"], row.get("content"), row.get("content_hash")) for row in rows] == [
        ("create", 1, "raw", None),
        ("settled", 1, None, sha256(b"hello")),
    ]
    assert rows[0]["actor"] == rows[1]["actor"] == ann.user_id


async def test_parts_come_side_by_side_in_any_order(ann: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/large.bin", "size": len(LARGE)})
    assert (upload["partSize"], upload["partCount"], len(upload["partUrls"])) == (PART, 3, 3)
    assert [part["size"] for part in upload["partUrls"]] == [PART, PART, 1234]
    claims = await send(ann, upload, LARGE)
    status, answer = await ann.call("PATCH", f"/v1/uploads/{upload['uploadId']}/parts", {"parts": claims})
    assert status == 200
    assert {part["state"] for part in answer["parts"]} == {"verified"}
    status, _ = await complete(ann, upload, {"parts": claims})
    assert status == 200
    found = await settled(ann, "/large.bin")
    assert found["content_hash"] == sha256(LARGE)
    assert await downloaded(ann, found) == LARGE


async def test_a_batch_answers_for_each_file_in_order(ann: SignedIn) -> None:
    await uploaded(ann, "/taken", b"x")
    files: list[dict[str, Any]] = [
        {"filepath": "/a/b/one", "size": 3},
        {"filepath": "/taken", "size": 3},
        {"filepath": "/a/b/two", "size": 0},
        {"filepath": "/bad\\name", "size": 3},
        {"filepath": "/", "size": 3},
        {"filepath": "/huge", "size": 1 << 50},
        {"filepath": "/wrong", "size": 1, "checksum": "no"},
        {"filepath": "/taken/below", "size": 1},
        {"filepath": "/a/b/One", "size": 1},
        {"filepath": "/nothing-there", "size": 1, "base_revision": 1},
        {"filepath": "/taken", "size": 3, "base_revision": 7},
        {"filepath": "/minus", "size": -1},
        {"filepath": "/" + "a/" * 300, "size": 1},
    ]
    answers = await begun(ann, *files)
    assert [one["filepath"] for one in answers] == [one["filepath"] for one in files]
    codes = [one.get("error", {}).get("code") for one in answers]
    assert codes == [
        None,
        "name.taken",
        None,
        "name.invalid",
        "request.invalid",
        "limit.exceeded",
        "request.invalid",
        "name.taken",
        "name.taken",
        "not_found",
        "revision.stale",
        "request.invalid",
        "limit.exceeded",
    ]
    assert (answers[1]["error"]["status"], answers[1]["error"]["revision"]) == (409, 1)
    status, _ = await ann.post("/v1/files/upload", {"files": []})
    assert status == 400
    many = [{"filepath": f"/many/{number}", "size": 1} for number in range(BATCH_MAX + 1)]
    status, _ = await ann.post("/v1/files/upload", {"files": many})
    assert status == 413


async def test_an_empty_file_has_one_empty_part(ann: SignedIn) -> None:
    await uploaded(ann, "/empty", b"")
    found = await settled(ann, "/empty")
    assert (found["content_hash"], found.get("size", 0)) == (sha256(b""), 0)


async def test_a_new_version_names_the_one_it_follows(ann: SignedIn) -> None:
    first = await uploaded(ann, "/doc", b"one")
    (stale,) = await begun(ann, {"filepath": "/doc", "size": 3, "base_revision": 2})
    assert (stale["error"]["code"], stale["error"]["revision"]) == ("revision.stale", 1)
    second = await uploaded(ann, "/doc", b"two", base_revision=1)
    assert (second["file_id"], second["revision"]) == (first["file_id"], 2)
    found = await settled(ann, "/doc")
    assert await downloaded(ann, found) == b"two"
    async with asyncio.timeout(30):
        while True:
            _, versions = await ann.get(f"/v1/files/{first['file_id']}/versions")
            if not any("content" in one for one in versions["entries"]):
                break
            await asyncio.sleep(0.02)
    assert [one["content_hash"] for one in versions["entries"]] == [sha256(b"two"), sha256(b"one")]


async def test_a_manifest_of_what_is_raw_says_so(ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.server.workers.ingest.Ingest.step", _nothing)
    done = await uploaded(ann, "/raw", b"content")
    ref = {"node_id": done["file_id"], "revision": 1}
    _, answer = await ann.post("/v1/manifests", {"namespace": ann.root, "revisions": [ref, ref | {"revision": 2}]})
    assert [one["error"] for one in answer["manifests"]] == ["content.raw", "not_found"]
    change = {"op": "edit", "node_id": done["file_id"], "base_revision": 1, "executable": True}
    status, answer = await ann.post(
        "/v1/files/commit", {"namespace": ann.root, "changes": [change]}, headers={"idempotency-key": "x"}
    )
    assert (status, answer["failures"][0]["code"]) == (409, "content.raw")


async def _nothing(_: Any) -> bool:
    return False


# -- Trust, but verify ----------------------------------------------------------------------------------------------------------


async def test_no_word_of_a_client_is_believed(ann: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/lie", "size": PART + 5})
    url = f"/v1/uploads/{upload['uploadId']}/parts"
    _, etag = await put(ann, upload["partUrls"][0], LARGE[:PART])
    claims = [
        {"partNumber": 1, "etag": "0" * 64},
        {"partNumber": 2, "etag": etag},
        {"partNumber": 1, "etag": etag, "checksum": "ab" * 32},
        {"partNumber": 1, "etag": etag, "checksum": sha256(LARGE[:PART])},
        {"partNumber": 77, "etag": etag},
    ]
    _, answer = await ann.call("PATCH", url, {"parts": claims})
    assert [part["state"] for part in answer["parts"]] == ["mismatch", "absent", "mismatch", "verified", "absent"]
    status, problem = await complete(ann, upload)
    assert (status, problem["code"], problem["missing"]) == (409, "upload.incomplete", [2])
    await put(ann, upload["partUrls"][1], b"12345")
    status, problem = await complete(ann, upload, {"parts": [{"partNumber": 2, "etag": etag}]})
    assert (status, problem["code"], problem["parts"]) == (409, "upload.part_mismatch", [2])
    # Replaced after it was verified: noticed too.
    await put(ann, upload["partUrls"][0], LARGE[1 : PART + 1])
    status, problem = await complete(ann, upload)
    assert (status, problem["code"], problem["parts"]) == (409, "upload.part_mismatch", [1])
    await put(ann, upload["partUrls"][0], LARGE[:PART])
    status, _ = await complete(ann, upload)
    assert status == 200


async def test_a_part_url_takes_its_own_size_and_number_alone(ann: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/sizes", "size": PART + 5})
    first, second = upload["partUrls"]
    for content in (b"1234", b"123456"):
        assert (await put(ann, second, content))[0] == 403
    moved = second | {"url": second["url"].replace("partNumber=2", "partNumber=1")}
    assert (await put(ann, moved, b"12345"))[0] == 403
    bare = first | {"url": first["url"].replace("partNumber=1&", "")}
    assert (await put(ann, bare, b"12345"))[0] == 403
    assert (await put(ann, second, b"12345"))[0] == 200


async def test_a_false_checksum_of_a_new_file_takes_it_back(ann: SignedIn) -> None:
    done = await uploaded(ann, "/false", b"these bytes", checksum=sha256(b"other bytes"))
    async with asyncio.timeout(30):
        while True:
            _, page = await ann.get("/v1/changes")
            if page["entries"][-1]["op"] == "rejected":
                break
            await asyncio.sleep(0.02)
    assert page["entries"][-1]["deleted"] is True
    status, _ = await ann.get("/v1/metadata", path="/false")
    assert status == 404
    undelete = {"op": "undelete", "node_id": done["file_id"]}
    status, problem = await ann.post(
        "/v1/files/commit", {"namespace": ann.root, "changes": [undelete]}, headers={"idempotency-key": "x"}
    )
    assert (status, problem["failures"][0]["code"]) == (409, "content.rejected")
    await uploaded(ann, "/false", b"these bytes", checksum=sha256(b"these bytes"))
    assert (await settled(ann, "/false"))["content_hash"] == sha256(b"these bytes")


async def test_a_false_checksum_of_a_new_version_lets_the_one_before_stand(ann: SignedIn) -> None:
    first = await uploaded(ann, "/doc", b"good")
    await settled(ann, "/doc")
    await uploaded(ann, "/doc", b"bad", base_revision=1, checksum="sha256:" + sha256(b"other"))
    found = await settled(ann, "/doc")
    assert (found["op"], found["revision"], found["content_hash"], found["size"]) == ("rejected", 3, sha256(b"good"), 4)
    assert await downloaded(ann, found) == b"good"
    _, versions = await ann.get(f"/v1/files/{first['file_id']}/versions")
    assert [one["revision"] for one in versions["entries"]] == [3, 1]


# -- Resume, again, at once -------------------------------------------------------------------------------------------------------


async def test_an_upload_is_found_again_and_gone_on_with(ann: SignedIn, bob: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/later", "size": len(LARGE), "checksum": sha256(LARGE)})
    await put(ann, upload["partUrls"][1], LARGE[PART : 2 * PART])
    _, found = await ann.get("/v1/uploads", fingerprint=sha256(LARGE))
    (status,) = found["uploads"]
    assert status["uploadId"] == upload["uploadId"]
    assert (status["arrived"], status["missing"]) == (
        [{"first": 2, "last": 2}],
        [{"first": 1, "last": 1}, {"first": 3, "last": 3}],
    )
    assert status["arrivedBytes"] == PART
    _, more = await ann.call("GET", status["nextParts"].removeprefix(ann.server.url))
    assert [part["partNumber"] for part in more["partUrls"]] == [1, 3]
    await send(ann, more, LARGE)
    assert (await complete(ann, status))[0] == 200
    _, status = await ann.get(f"/v1/uploads/{upload['uploadId']}")
    assert (status["state"], status["revision"], status["missing"]) == ("done", 1, [])
    _, nothing = await bob.get("/v1/uploads", fingerprint=sha256(LARGE))
    assert nothing["uploads"] == []


async def test_completing_again_and_at_once_makes_one_revision(ann: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/once", "size": 9})
    await send(ann, upload, b"some text")
    answers = await asyncio.gather(*(complete(ann, upload) for _ in range(5)))
    assert [status for status, _ in answers] == [200] * 5
    assert len({str(answer) for _, answer in answers}) == 1
    assert await complete(ann, upload) == answers[0]
    _, page = await ann.get("/v1/changes")
    assert [row["op"] for row in page["entries"]][:1] == ["create"]
    assert sum(row["op"] == "create" for row in page["entries"]) == 1


async def test_the_same_idempotency_key_finds_the_same_uploads(ann: SignedIn) -> None:
    files = [{"filepath": "/k/one", "size": 1}, {"filepath": "/k/two", "size": 2}]
    first = await begun(ann, *files, **{"idempotency-key": "once"})
    again = await begun(ann, *files, **{"idempotency-key": "once"})
    assert [one["uploadId"] for one in first] == [one["uploadId"] for one in again]
    other = await begun(ann, files[0] | {"size": 5}, files[1], **{"idempotency-key": "once"})
    assert other[0]["error"]["code"] == "idempotency.mismatch"
    await send(ann, first[0], b"1")
    await complete(ann, first[0])
    done = await begun(ann, *files, **{"idempotency-key": "once"})
    assert (done[0]["state"], done[0].get("partUrls", [])) == ("done", [])


async def test_urls_take_nothing_once_an_upload_is_over(ann: SignedIn) -> None:
    uploads = await begun(ann, {"filepath": "/done", "size": 4}, {"filepath": "/aborted", "size": 4})
    for upload in uploads:
        await send(ann, upload, b"1234")
    await complete(ann, uploads[0])
    url = f"/v1/uploads/{uploads[1]['uploadId']}"
    assert (await ann.call("DELETE", url))[0] == 204
    assert (await ann.call("DELETE", url))[0] == 404
    for upload in uploads:
        assert (await put(ann, upload["partUrls"][0], b"5678"))[0] == 404
    status, problem = await ann.call("DELETE", f"/v1/uploads/{uploads[0]['uploadId']}")
    assert (status, problem["code"], problem["state"]) == (409, "upload.ended", "done")
    assert (await complete(ann, uploads[1]))[0] == 404
    assert (await settled(ann, "/done"))["content_hash"] == sha256(b"1234")


async def test_a_place_taken_meanwhile_is_told_and_another_can_be_named(ann: SignedIn) -> None:
    uploads = await begun(ann, *({"filepath": "/spot", "size": 4} for _ in range(1)))
    uploads += await begun(ann, {"filepath": "/spot", "size": 5})
    uploads += await begun(ann, {"filepath": "/spot", "size": 6})
    for upload, content in zip(uploads, (b"1234", b"12345", b"123456"), strict=True):
        await send(ann, upload, content)
    assert (await complete(ann, uploads[0]))[0] == 200
    for upload in uploads[1:]:
        status, problem = await complete(ann, upload)
        assert (status, problem["code"], problem["revision"]) == (409, "name.taken", 1)
    _, status = await ann.get(f"/v1/uploads/{uploads[1]['uploadId']}")
    assert (status["state"], status["problem"]) == ("completing", "name.taken")
    code, answer = await complete(ann, uploads[1], {"filepath": "/elsewhere/spot"})
    assert (code, answer["file_id"]) == (200, uploads[1]["file_id"])
    code, answer = await complete(ann, uploads[2], {"base_revision": 1})
    assert (code, answer["file_id"], answer["revision"]) == (200, uploads[0]["file_id"], 2)
    assert (await settled(ann, "/elsewhere/spot"))["content_hash"] == sha256(b"12345")
    assert (await settled(ann, "/spot"))["content_hash"] == sha256(b"123456")


async def test_a_folder_gone_meanwhile_is_told(ann: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/folder/file", "size": 4})
    await send(ann, upload, b"1234")
    folder = await entry(ann, "/folder")
    delete = {"op": "delete", "node_id": folder["node_id"], "recursive": True, "subtree_as_of": 1}
    status, _ = await ann.post("/v1/files/commit", {"namespace": ann.root, "changes": [delete]}, headers={"idempotency-key": "x"})
    assert status == 200
    status, problem = await complete(ann, upload)
    assert (status, problem["code"]) == (409, "parent.gone")
    assert (await complete(ann, upload, {"filepath": "/folder/file"}))[0] == 200


# -- Limits -----------------------------------------------------------------------------------------------------------------------


async def test_open_uploads_reserve_their_size_until_they_end(server: RunningServer) -> None:
    await server.add_user("eve@example.org", quota_bytes=10_000)
    eve = await server.sign_in("eve@example.org")
    first = await begun(eve, {"filepath": "/a", "size": 6000}, {"filepath": "/b", "size": 6000}, {"filepath": "/c", "size": 3000})
    assert [one.get("error", {}).get("code") for one in first] == [None, "quota.exceeded", None]
    _, me = await eve.get("/v1/me")
    assert me["used_bytes"] == 9000
    assert (await eve.call("DELETE", f"/v1/uploads/{first[2]['uploadId']}"))[0] == 204
    _, me = await eve.get("/v1/me")
    assert me["used_bytes"] == 6000
    content = os.urandom(6000)
    await send(eve, first[0], content)
    assert (await complete(eve, first[0]))[0] == 200
    await settled(eve, "/a")
    _, me = await eve.get("/v1/me")
    assert me["used_bytes"] == 6000


async def test_windows_of_urls_are_bounded_and_lead_on(ann: SignedIn) -> None:
    size = (UPLOAD_PARTS_WINDOW + 7) * PART
    (upload,) = await begun(ann, {"filepath": "/window", "size": size})
    assert (upload["partCount"], len(upload["partUrls"])) == (UPLOAD_PARTS_WINDOW + 7, UPLOAD_PARTS_WINDOW)
    _, more = await ann.call("GET", upload["nextParts"].removeprefix(ann.server.url))
    assert [part["partNumber"] for part in more["partUrls"]] == list(range(UPLOAD_PARTS_WINDOW + 1, UPLOAD_PARTS_WINDOW + 8))
    assert more["nextParts"] is None
    status, _ = await ann.get(f"/v1/uploads/{upload['uploadId']}/parts", **{"from": UPLOAD_PARTS_WINDOW + 8})
    assert status == 400
    many = await begun(ann, *({"filepath": f"/many/{number}", "size": size} for number in range(50)))
    assert {len(one["partUrls"]) for one in many} == {20}


async def test_uploads_are_their_users_alone(ann: SignedIn, bob: SignedIn) -> None:
    (upload,) = await begun(ann, {"filepath": "/mine", "size": 4})
    url = f"/v1/uploads/{upload['uploadId']}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", url, None),
        ("GET", url + "/parts", None),
        ("PATCH", url + "/parts", {"parts": []}),
        ("POST", url + "/complete", {}),
        ("DELETE", url, None),
    ]
    for method, path, body in calls:
        assert (await bob.call(method, path, body))[0] == 404
        assert (await bob.call(method, path.replace(upload["uploadId"], NOBODY), body))[0] == 404
    assert (await ann.get(url))[0] == 200
    status, _ = await ann.get("/v1/uploads", fingerprint="x" * 64)
    assert status == 400


async def test_a_server_ends_in_the_middle_of_taking_in_and_the_next_goes_on(tmp_path: Path) -> None:
    content = os.urandom(5 * PART)
    async with running_server(tmp_path) as server:
        ann = await server.newcomer()
        await uploaded(ann, "/large", content)
        assert (await entry(ann, "/large")).get("content") == "raw"
    async with running_server(tmp_path) as server:
        ann = await server.sign_in("ann@example.org")
        assert (await settled(ann, "/large"))["content_hash"] == sha256(content)
