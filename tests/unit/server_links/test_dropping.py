"""File drop: strangers put files into a folder of which they see nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.nodes import commit
from tests.unit.server_links.visitors import BROWSER, PROGRAM, file, folder, form, link, rows, run_sql, visited


async def names_in(device: SignedIn, node: str) -> list[str]:
    status, answer = await device.get(f"/v1/folders/{node}/children")
    assert status == 200
    return [one["name"] for one in answer["entries"]]


async def content_of(device: SignedIn, path: str) -> bytes:
    _, found = await device.get("/v1/metadata", path=path)
    _, answer = await device.post("/v1/files/download", {"file_ids": [found["entry"]["node_id"]]})
    async with device.server.http.get(answer["files"][0]["presignedUrl"]) as given:
        return await given.read()


async def drop_link(ann: SignedIn, **more: object) -> tuple[str, str]:
    """A folder and the token of a drop link to it."""
    inbox = await folder(ann, "Inbox")
    return inbox, str((await link(ann, inbox, kind="drop", **more))["token"])


async def test_the_page_shows_a_form_and_nothing_of_the_folder(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    await file(ann, "earlier-secret.txt", b"x", inbox)
    page = await visited(server, f"/s/{token}", **BROWSER)
    assert page.status == 200
    assert 'enctype="multipart/form-data"' in page.text
    meta = await visited(server, f"/s/{token}/meta")
    assert json.loads(meta.body)["kind"] == "drop"
    for told in (page.text, meta.text):
        assert "earlier-secret" not in told
        assert "Inbox" not in told
    for door in ("/download?path=earlier-secret.txt", "/zip", "/download"):
        assert (await visited(server, f"/s/{token}{door}")).status == 404
    assert json.loads((await visited(server, f"/s/{token}/meta?path=earlier-secret.txt")).body) == json.loads(meta.body)


async def test_files_arrive_through_the_form(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    large = os.urandom(3_000_000) + bytes(2_000_000)
    answer = await visited(
        server, f"/s/{token}/files", "POST", data=form(("a.txt", b"hello"), ("big.bin", large), ("none", b"")), **BROWSER
    )
    assert answer.status == 201
    assert "a.txt" in answer.text
    assert sorted(await names_in(ann, inbox)) == ["a.txt", "big.bin", "none"]
    assert await content_of(ann, "/Inbox/a.txt") == b"hello"
    assert await content_of(ann, "/Inbox/big.bin") == large
    assert await content_of(ann, "/Inbox/none") == b""


async def test_the_link_signs_what_was_dropped(server: RunningServer, ann: SignedIn) -> None:
    inbox = await folder(ann, "Inbox")
    made = await link(ann, inbox, kind="drop")
    answer = await visited(server, f"/s/{made['token']}/files/x.txt", "PUT", data=b"hello")
    sent = {"name": "x.txt", "size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert (answer.status, json.loads(answer.body)) == (201, {"files": [sent]})
    _, found = await ann.get("/v1/metadata", path="/Inbox/x.txt")
    assert (found["entry"]["actor"], found["entry"]["device"]) == (ann.user_id, f"link:{made['link_id']}")


async def test_names_never_collide_and_tell_nothing(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    await file(ann, "report.pdf", b"ours", inbox)
    for number in range(4):
        answer = await visited(server, f"/s/{token}/files/report.pdf", "PUT", data=f"theirs {number}".encode())
        assert json.loads(answer.body)["files"][0]["name"] == "report.pdf"
    assert sorted(await names_in(ann, inbox)) == [
        "report (2).pdf",
        "report (3).pdf",
        "report (4).pdf",
        "report (5).pdf",
        "report.pdf",
    ]
    assert await content_of(ann, "/Inbox/report.pdf") == b"ours"
    answers = await asyncio.gather(*(visited(server, f"/s/{token}/files/same", "PUT", data=os.urandom(100)) for _ in range(3)))
    assert [one.status for one in answers] == [201] * 3
    assert len([name for name in await names_in(ann, inbox) if name.startswith("same")]) == 3


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("C:\\Users\\eve\\photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        (".syncline", "file"),
        ("..", "file"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
        ("<b>.txt", "<b>.txt"),
    ],
)
async def test_whatever_a_file_is_called_it_gets_a_name_a_tree_can_hold(
    server: RunningServer, ann: SignedIn, given: str, stored: str
) -> None:
    inbox, token = await drop_link(ann)
    answer = await visited(server, f"/s/{token}/files", "POST", data=form((given, b"x")), **PROGRAM)
    assert answer.status == 201, answer
    assert await names_in(ann, inbox) == [stored]


async def test_quota_holds(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    run_sql(server, "UPDATE users SET quota_bytes = 3000000 WHERE user_id = ?", ann.user_id)
    fits = await visited(server, f"/s/{token}/files/fits", "PUT", data=os.urandom(2_000_000))
    assert fits.status == 201
    packs = rows(server, "SELECT count(*) FROM packs")
    objects = sum(1 for one in (server.data / "objects").rglob("*") if one.is_file())
    over = await visited(server, f"/s/{token}/files/over", "PUT", data=os.urandom(2_000_000))
    assert (over.status, json.loads(over.body)["code"]) == (403, "quota.exceeded")
    assert await names_in(ann, inbox) == ["fits"]
    assert rows(server, "SELECT count(*) FROM packs") == packs
    assert sum(1 for one in (server.data / "objects").rglob("*") if one.is_file()) == objects
    _, me = await ann.get("/v1/me")
    assert me["used_bytes"] == 2_000_000


async def test_the_same_bytes_are_stored_once(server: RunningServer, ann: SignedIn) -> None:
    _, token = await drop_link(ann)
    content = os.urandom(1_500_000)
    for _ in range(3):
        assert (await visited(server, f"/s/{token}/files/again", "PUT", data=content)).status == 201
    (used,) = rows(server, "SELECT sum(size) FROM packs")[0]
    assert used < 1_600_000


async def test_a_file_that_breaks_off_leaves_nothing(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield os.urandom(500_000)
        raise ConnectionResetError("the sender left")

    with pytest.raises(Exception, match=r".*"):
        await visited(server, f"/s/{token}/files/partial", "PUT", data=broken())
    for _ in range(200):
        if rows(server, "SELECT count(*) FROM packs")[0][0] == 0:
            break
        await asyncio.sleep(0.05)
    assert rows(server, "SELECT count(*) FROM packs") == [(0,)]
    assert await names_in(ann, inbox) == []
    assert [one for one in (server.data / "objects").rglob("*") if one.is_file()] == []
    assert (await visited(server, f"/s/{token}/files/whole", "PUT", data=b"x")).status == 201


async def test_a_file_is_bounded(server: RunningServer, ann: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, token = await drop_link(ann)
    monkeypatch.setattr("syncline.server.links.drops.DROP_FILE_MAX_BYTES", 1_000_000)
    answer = await visited(server, f"/s/{token}/files/large", "PUT", data=bytes(1_000_001))
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "limit.exceeded")
    assert await names_in(ann, inbox) == []
    assert (await visited(server, f"/s/{token}/files/fits", "PUT", data=bytes(1_000_000))).status == 201


async def test_as_many_are_taken_as_the_link_allows(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann, downloads_max=2)
    first = await visited(server, f"/s/{token}/files", "POST", data=form(("a", b"1"), ("b", b"2"), ("c", b"3")), **BROWSER)
    assert first.status == 404
    assert sorted(await names_in(ann, inbox)) == ["a", "b"]
    assert (await visited(server, f"/s/{token}")).status == 404


async def test_a_drop_ends_with_its_makers_right_to_write(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    run_sql(server, "UPDATE members SET access = 'read' WHERE user_id = ?", ann.user_id)
    assert (await visited(server, f"/s/{token}")).status == 404
    assert (await visited(server, f"/s/{token}/files/x", "PUT", data=b"x")).status == 404
    run_sql(server, "UPDATE members SET access = 'owner' WHERE user_id = ?", ann.user_id)
    assert (await visited(server, f"/s/{token}/files/x", "PUT", data=b"x")).status == 201
    assert (await commit(ann, {"op": "delete", "node_id": inbox, "recursive": True, "subtree_as_of": 100}))[0] == 200
    assert (await visited(server, f"/s/{token}/files/y", "PUT", data=b"x")).status == 404


async def test_revoking_reaches_files_under_way(server: RunningServer, ann: SignedIn) -> None:
    inbox = await folder(ann, "Inbox")
    made = await link(ann, inbox, kind="drop")
    under_way, revoked = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        under_way.set()
        await revoked.wait()
        yield b"second"

    sending = asyncio.ensure_future(visited(server, f"/s/{made['token']}/files/x", "PUT", data=slow()))
    await under_way.wait()
    for _ in range(200):
        if rows(server, "SELECT downloads FROM links") == [(1,)]:
            break
        await asyncio.sleep(0.05)
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 204
    revoked.set()
    assert (await sending).status == 404
    assert await names_in(ann, inbox) == []


async def test_a_drop_can_have_a_password(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann, password="p")
    assert (await visited(server, f"/s/{token}/files", "POST", data=form(("a", b"1")), **BROWSER)).status == 401
    assert await names_in(ann, inbox) == []
    right = await visited(server, f"/s/{token}", "POST", data={"password": "p"}, **BROWSER)
    sent = await visited(server, f"/s/{token}/files", "POST", data=form(("a", b"1")), cookies=right.cookies, **BROWSER)
    assert sent.status == 201
    assert await names_in(ann, inbox) == ["a"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"file=x"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary at all"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf'),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n--b--"),
    ],
)
async def test_what_is_no_form_is_refused(server: RunningServer, ann: SignedIn, kind: str, body: bytes) -> None:
    inbox, token = await drop_link(ann)
    answer = await visited(server, f"/s/{token}/files", "POST", data=body, content_type=kind, **PROGRAM)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "request.invalid")
    assert await names_in(ann, inbox) == []


async def test_nothing_is_dropped_through_a_download_link(server: RunningServer, ann: SignedIn) -> None:
    inbox = await folder(ann, "Inbox")
    token = (await link(ann, inbox))["token"]
    assert (await visited(server, f"/s/{token}/files/x", "PUT", data=b"x")).status == 404
    assert (await visited(server, f"/s/{token}/files", "POST", data=form(("a", b"1")))).status == 404
    compressed = await visited(server, f"/s/{token}/files/x", "PUT", data=b"x", content_encoding="zstd")
    assert compressed.status == 415
    assert await names_in(ann, inbox) == []


async def test_few_are_taken_in_at_once_for_one_link(server: RunningServer, ann: SignedIn) -> None:
    from syncline.server.links.drops import PER_LINK

    _, token = await drop_link(ann)
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        await held.wait()

    under_way = [
        asyncio.ensure_future(visited(server, f"/s/{token}/files/{number}", "PUT", data=slow())) for number in range(PER_LINK)
    ]
    for _ in range(200):
        if rows(server, "SELECT downloads FROM links") == [(PER_LINK,)]:
            break
        await asyncio.sleep(0.05)
    refused = await visited(server, f"/s/{token}/files/one-more", "PUT", data=b"x")
    assert (refused.status, json.loads(refused.body)["code"]) == (429, "rate.limited")
    held.set()
    assert [answer.status for answer in await asyncio.gather(*under_way)] == [201] * PER_LINK


# -- In parts ----------------------------------------------------------------------------------------------------------------------


async def asked(server: RunningServer, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body)
    answer = await visited(server, path, method, data=data, content_type="application/json")
    return answer.status, json.loads(answer.body) if answer.body else None


async def parts_sent(server: RunningServer, upload: dict[str, Any], content: bytes) -> list[dict[str, Any]]:
    claims = []
    for part in upload["partUrls"]:
        at = (part["partNumber"] - 1) * upload["partSize"]
        headers = {name: value for name, value in part["headers"].items() if name != "content-length"}
        async with server.http.put(part["url"], data=content[at : at + part["size"]], headers=headers) as answer:
            assert answer.status == 200
            claims.append({"partNumber": part["partNumber"], "etag": answer.headers["etag"]})
    return claims


async def test_a_large_file_comes_in_parts_and_is_gone_on_with(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    await file(ann, "big.bin", b"ours", inbox)
    content = os.urandom(9_000_000)
    wanted = {"name": "big.bin", "size": len(content), "checksum": hashlib.sha256(content).hexdigest()}
    status, begun = await asked(server, f"/s/{token}/uploads", "POST", {"files": [wanted]})
    assert status == 200, begun
    (upload,) = begun["files"]
    assert upload["filepath"] == "big.bin"
    assert not {"file_id", "namespace"} & set(upload)
    door = f"/s/{token}/uploads/{upload['uploadId']}"
    assert upload["completeUrl"] == f"{server.url}{door}/complete"
    first = {**upload, "partUrls": upload["partUrls"][:1]}
    await parts_sent(server, first, content)
    status, problem = await asked(server, f"{door}/complete", "POST")
    assert (status, problem["code"]) == (409, "upload.incomplete")
    status, found = await asked(server, door)
    assert (status, found["arrived"], found["missing"]) == (200, [{"first": 1, "last": 1}], [{"first": 2, "last": 2}])
    assert not {"name", "file_id", "namespace", "checksum"} & set(found)
    status, more = await asked(server, f"{door}/parts?missing=true")
    assert [part["partNumber"] for part in more["partUrls"]] == [2]
    await parts_sent(server, more, content)
    for _ in range(2):
        assert await asked(server, f"{door}/complete", "POST") == (200, {"uploadId": upload["uploadId"], "size": len(content)})
    assert sorted(await names_in(ann, inbox)) == ["big (2).bin", "big.bin"]
    assert await content_of(ann, "/Inbox/big (2).bin") == content


async def test_two_of_one_name_both_arrive(server: RunningServer, ann: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    uploads = []
    for _ in range(2):
        _, begun = await asked(server, f"/s/{token}/uploads", "POST", {"files": [{"name": "a", "size": 3}]})
        uploads += begun["files"]
    for upload in uploads:
        await parts_sent(server, upload, b"abc")
        assert (await asked(server, upload["completeUrl"], "POST"))[0] == 200
    assert sorted(await names_in(ann, inbox)) == ["a", "a (2)"]


async def test_an_upload_belongs_to_its_link(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    inbox, token = await drop_link(ann)
    other = (await link(ann, inbox, kind="drop"))["token"]
    _, begun = await asked(server, f"/s/{token}/uploads", "POST", {"files": [{"name": "a", "size": 3}]})
    upload = begun["files"][0]["uploadId"]
    for door in (f"/s/{other}/uploads/{upload}", f"/s/{token}/uploads/none"):
        assert (await asked(server, door))[0] == 404
        assert (await asked(server, f"{door}/parts"))[0] == 404
        assert (await asked(server, f"{door}/complete", "POST"))[0] == 404
        assert (await asked(server, door, "DELETE"))[0] == 404
    status, _ = await bob.get(f"/v1/uploads/{upload}")
    assert status == 404
    assert (await asked(server, f"/s/{token}/uploads/{upload}", "DELETE"))[0] == 204
    assert (await asked(server, f"/s/{token}/uploads/{upload}"))[0] == 404


async def test_parts_are_bounded_counted_and_end_with_the_link(server: RunningServer, ann: SignedIn) -> None:
    inbox = await folder(ann, "Inbox")
    made = await link(ann, inbox, kind="drop", downloads_max=2)
    door = f"/s/{made['token']}/uploads"
    too_many = [{"name": "a", "size": 1}] * 101
    assert (await asked(server, door, "POST", {"files": too_many}))[0] == 413
    files = [{"name": "a", "size": 3}, {"name": "b", "size": 1 << 50}, {"name": "c", "size": 3}, {"name": "d", "size": 3}]
    status, begun = await asked(server, door, "POST", {"files": files})
    assert status == 200
    codes = [one.get("error", {}).get("code") for one in begun["files"]]
    assert codes == [None, "limit.exceeded", None, "not_found"]
    assert (await ann.call("DELETE", f"/v1/links/{made['link_id']}"))[0] == 204
    assert (await asked(server, begun["files"][0]["completeUrl"], "POST"))[0] == 404


async def test_quota_holds_for_parts_and_is_not_told(server: RunningServer, ann: SignedIn) -> None:
    _, token = await drop_link(ann)
    run_sql(server, "UPDATE users SET quota_bytes = 1000 WHERE user_id = ?", ann.user_id)
    status, begun = await asked(server, f"/s/{token}/uploads", "POST", {"files": [{"name": "a", "size": 2000}]})
    assert (status, begun["files"][0]["error"]["code"]) == (200, "quota.exceeded")
    assert "1000" not in json.dumps(begun)
    whole = await visited(server, f"/s/{token}/files/a", "PUT", data=bytes(2000))
    assert whole.status == 403
    assert "1000" not in whole.text
