"""Downloads by plain HTTP: URLs, the content door behind them, and everything it must refuse."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway import uploading
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder, fresh_id

from syncline.adapters.machine import MachineClock
from syncline.content.seal import open_frame
from syncline.model.errors import NotFound
from syncline.model.limits import BATCH_MAX, GRANT_TTL_S, KIB, MIB
from syncline.server.content.downloads import DEVICE
from syncline.server.content.tickets import Holder, Ticket, Tickets

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


async def uploaded(device: SignedIn, name: str, packs: Sequence[Sequence[bytes]], **changed: Any) -> str:
    """A file of the blocks of these packs, sent and committed; its id."""
    for blocks in packs:
        await sent(device, *blocks)
    change = create_file(device.root, name, [block for blocks in packs for block in blocks]) | changed
    status, answer = await commit(device, change)
    assert status == 200, answer
    return str(change["node_id"])


async def offered(device: SignedIn, *files: Any, **more: Any) -> list[dict[str, Any]]:
    status, answer = await device.post("/v1/files/download", {"file_ids": list(files), **more})
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["files"]
    return found


async def url_of(device: SignedIn, file: Any, **more: Any) -> str:
    (found,) = await offered(device, file, **more)
    return str(found["presignedUrl"])


async def fetched(device: SignedIn, url: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body, asked for without a token."""
    async with device.server.http.request(method, url, headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers, await answer.read()


async def received_into(received: bytearray, answer: aiohttp.ClientResponse) -> None:
    async for piece in answer.content.iter_any():
        received += piece


def tickets(server: RunningServer) -> Tickets:
    """Ones that the server takes for its own."""
    return Tickets((server.data / "keys" / "content.key").read_bytes(), MachineClock())


def run_sql(server: RunningServer, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(server.data / "metadata.db", timeout=20)) as database, database:
        database.execute(statement, values)


def damage(server: RunningServer, block: bytes) -> None:
    """Flips a byte in the middle of the stored copy of a block."""
    with closing(sqlite3.connect(server.data / "metadata.db")) as database:
        key, at, length = database.execute(
            "SELECT object_key, block_offset, length FROM block_copies JOIN packs USING (pack_id) WHERE hash = ?",
            (hashlib.sha256(block).digest(),),
        ).fetchone()
    path = server.data / "objects" / key[:2] / key
    content = bytearray(path.read_bytes())
    content[at + length // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def blocks() -> list[bytes]:
    return [os.urandom(1000 + 100 * number) for number in range(7)]


# -- What is offered ---------------------------------------------------------------------------------------------------------


async def test_files_are_offered_in_order_and_each_by_itself(ann: SignedIn, bob: SignedIn) -> None:
    one = await uploaded(ann, "one.txt", [[b"one"]])
    two = await uploaded(ann, "two", [[b"two two"]], mime_type="image/png")
    theirs = await uploaded(bob, "secret", [[b"bob's"]])
    folder = create_folder(ann.root, "folder")
    assert (await commit(ann, folder))[0] == 200
    asked = [two, theirs, "nonsense", {"file_id": one, "revision": 1}, {"file_id": one, "revision": 2}, folder["node_id"], NOBODY]
    asked += [{"file_id": two, "namespace": ann.root}, {"file_id": two, "namespace": bob.root}, ann.root, one, one]
    found = await offered(ann, *asked)
    good = {0: two, 3: one, 7: two, 10: one, 11: one}
    for index, file in enumerate(found):
        if index not in good:
            ref = asked[index]
            assert file == {"file_id": ref["file_id"] if isinstance(ref, dict) else ref, "error": NotFound.code}
            continue
        assert file["file_id"] == good[index]
        assert (file["namespace"], file["revision"]) == (ann.root, 1)
    assert (found[0]["name"], found[0]["size"], found[0]["mime_type"]) == ("two", 7, "image/png")
    assert found[0]["sha256"] == hashlib.sha256(b"two two").hexdigest()
    status, headers, body = await fetched(ann, found[0]["presignedUrl"])
    assert (status, body, headers["content-type"]) == (200, b"two two", "image/png")
    status, headers, body = await fetched(ann, found[3]["presignedUrl"])
    assert (status, body, headers["content-type"]) == (200, b"one", "text/plain")


async def test_offers_are_bounded_and_need_a_token(server: RunningServer, ann: SignedIn) -> None:
    status, problem = await ann.post("/v1/files/download", {"file_ids": [NOBODY] * (BATCH_MAX + 1)})
    assert (status, problem["code"]) == (413, "limit.exceeded")
    assert await offered(ann) == []
    assert len(await offered(ann, *[NOBODY] * BATCH_MAX)) == BATCH_MAX
    file = await uploaded(ann, "file", [[b"bytes"]])
    for method, path in (
        ("POST", "/v1/files/download"),
        ("GET", f"/v1/files/{file}/download"),
        ("GET", f"/v1/files/{file}/manifest"),
    ):
        async with server.http.request(method, server.url + path, json={"file_ids": []}, allow_redirects=False) as answer:
            assert answer.status == 401, path


async def test_offers_end_within_the_quarter_of_an_hour(server: RunningServer, ann: SignedIn) -> None:
    file = await uploaded(ann, "file", [[b"bytes"]])
    url = await url_of(ann, file)
    ticket = tickets(server).open(url.split("/")[4])
    now_s = MachineClock().now_us() // 1_000_000
    assert now_s < ticket.expires_s <= now_s + GRANT_TTL_S
    assert ticket.holder == Holder(DEVICE, ann.device_id, ann.user_id)


async def test_revisions_and_deleted_files(ann: SignedIn) -> None:
    file = await uploaded(ann, "file.bin", [[b"first"]])
    await sent(ann, b"second!")
    edit = create_file(ann.root, "file.bin", [b"second!"]) | {"op": "edit", "node_id": file, "base_revision": 1}
    for unwanted in ("parent_id", "name", "kind"):
        del edit[unwanted]
    assert (await commit(ann, edit))[0] == 200
    assert (await fetched(ann, await url_of(ann, file)))[2] == b"second!"
    assert (await fetched(ann, await url_of(ann, {"file_id": file, "revision": 1})))[2] == b"first"
    kept = await url_of(ann, file)
    delete = {"op": "delete", "node_id": file, "base_revision": 2}
    assert (await commit(ann, delete))[0] == 200
    (gone,) = await offered(ann, file)
    assert gone["error"] == NotFound.code
    assert (await fetched(ann, await url_of(ann, {"file_id": file, "revision": 1})))[2] == b"first"
    assert (await fetched(ann, kept))[2] == b"second!"


async def test_download_redirects_to_the_bytes(ann: SignedIn, bob: SignedIn) -> None:
    file = await uploaded(ann, "a b.txt", [[b"bytes"]])
    url = f"{ann.server.url}/v1/files/{file}/download"
    async with ann.server.http.get(url, headers=ann.headers, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["cache-control"]) == (302, "no-store")
        assert answer.headers["location"].startswith(f"{ann.server.url}/content/")
        assert answer.headers["location"].endswith("/a%20b.txt")
    async with ann.server.http.get(url + "?revision=1", headers=ann.headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"bytes")
        assert answer.headers["content-disposition"] == "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"
    async with ann.server.http.get(url + "?disposition=inline", headers=ann.headers) as answer:
        assert answer.headers["content-disposition"].startswith("inline; ")
    for path, device in ((f"/v1/files/{file}/download?revision=2", ann), (f"/v1/files/{file}/download", bob)):
        status, problem = await device.get(path)
        assert (status, problem["code"]) == (404, "not_found")


async def test_a_manifest_can_be_read_by(ann: SignedIn, bob: SignedIn, blocks: list[bytes]) -> None:
    file = await uploaded(ann, "file", [blocks[:3], blocks[3:]])
    status, answer = await ann.get(f"/v1/files/{file}/manifest")
    assert status == 200
    assert answer["namespace"] == ann.root
    assert answer["manifest"]["content_hash"] == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert len(answer["packs"]) == 2
    read = b""
    for name, size, pack, offset, length, _codec, key in answer["manifest"]["blocks"]:
        stretch = f"bytes={offset}-{offset + length - 1}"
        _, _, frame = await fetched(ann, answer["packs"][pack]["get"]["url"], range=stretch)
        read += open_frame(frame, base64.b64decode(key), name, size)
    assert read == b"".join(blocks)
    _, rest = await ann.get(f"/v1/files/{file}/manifest", from_block=5)
    assert rest["manifest"]["blocks"][0][0] == hashlib.sha256(blocks[5]).hexdigest()
    for path, device, expected in (
        (f"/v1/files/{file}/manifest?from_block=8", ann, (400, "request.invalid")),
        (f"/v1/files/{file}/manifest?from_block=-1", ann, (400, "request.invalid")),
        (f"/v1/files/{file}/manifest?revision=2", ann, (404, "not_found")),
        (f"/v1/files/{file}/manifest", bob, (404, "not_found")),
    ):
        status, problem = await device.get(path)
        assert (status, problem["code"]) == expected, path


# -- What the content door gives ---------------------------------------------------------------------------------------------


async def test_the_whole_and_its_headers(ann: SignedIn, blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    file = await uploaded(ann, "blocks.bin", [blocks[:2], blocks[2:]])
    url = await url_of(ann, file)
    status, headers, body = await fetched(ann, url)
    assert (status, body) == (200, whole)
    assert headers["etag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-length"] == str(len(whole))
    assert headers["last-modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert "content-encoding" not in headers
    head_status, head, nothing = await fetched(ann, url, "HEAD", range="bytes=1-2")
    assert (head_status, nothing) == (200, b"")
    ours = ("etag", "content-length", "content-type", "content-disposition", "last-modified", "accept-ranges")
    assert [head[name] for name in ours] == [headers[name] for name in ours]


async def test_ranges(ann: SignedIn, blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    size, edge = len(whole), len(blocks[0])
    url = await url_of(ann, await uploaded(ann, "file", [blocks[:4], blocks[4:]]))
    for header, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, size),
        (f"bytes=0-{size - 1}", 0, size),
        (f"bytes=0-{size * 9}", 0, size),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-1", size - 1, size),
        (f"bytes=-{size * 9}", 0, size),
        (f"bytes={edge - 1}-{edge}", edge - 1, edge + 1),
        (f"bytes={edge}-{edge}", edge, edge + 1),
        (f"bytes={edge - 1}-{edge - 1}", edge - 1, edge),
        (f"Bytes= {edge}-{size - 5} ", edge, size - 4),
    ):
        status, headers, body = await fetched(ann, url, range=header)
        assert (status, body) == (206, whole[start:end]), header
        assert headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert headers["content-length"] == str(end - start)
    for header in (f"bytes={size}-", f"bytes={size * 2}-{size * 3}", "bytes=-0"):
        status, headers, body = await fetched(ann, url, range=header)
        assert (status, headers["content-range"]) == (416, f"bytes */{size}"), header
        assert b"range.unsatisfiable" in body
    for header in ("bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b", "nonsense", "bytes=0-1; x"):
        status, headers, body = await fetched(ann, url, range=header)
        assert (status, body) == (200, whole), header
        assert "content-range" not in headers


async def test_what_is_known_is_not_sent_again(ann: SignedIn, blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    etag = f'"{hashlib.sha256(whole).hexdigest()}"'
    url = await url_of(ann, await uploaded(ann, "file", [blocks]))
    for known in (etag, "*", f'"other", {etag}', f"W/{etag}"):
        for method in ("GET", "HEAD"):
            headers = {"if-none-match": known, "range": "bytes=0-1"}
            status, answer, body = await fetched(ann, url, method, **headers)
            assert (status, body, answer["etag"]) == (304, b"", etag)
    for known in ('"other"', etag[1:-1], ""):
        assert (await fetched(ann, url, **{"if-none-match": known}))[0] == 200
    status, _, body = await fetched(ann, url, **{"if-range": etag, "range": "bytes=2-4"})
    assert (status, body) == (206, whole[2:5])
    for other in ('"other"', f"W/{etag}", "Fri, 02 Jan 2026 03:04:05 GMT"):
        status, _, body = await fetched(ann, url, **{"if-range": other, "range": "bytes=2-4"})
        assert (status, body) == (200, whole)


async def test_a_file_without_bytes(ann: SignedIn) -> None:
    url = await url_of(ann, await uploaded(ann, "empty.txt", [], cut=""))
    for method in ("GET", "HEAD"):
        status, headers, body = await fetched(ann, url, method)
        assert (status, headers["content-length"], body) == (200, "0", b"")
        assert headers["etag"] == f'"{hashlib.sha256(b"").hexdigest()}"'
    assert (await fetched(ann, url, range="bytes=0-"))[0] == 416


async def test_many_blocks_across_packs_and_any_part_of_them(ann: SignedIn) -> None:
    chance = random.Random(7)
    blocks = [chance.randbytes(chance.randrange(1, 40 * KIB)) for _ in range(300)]
    packs = [blocks[at : at + 60] for at in range(0, 300, 60)]
    for pack in packs:
        await sent(ann, *pack)
    # Blocks occur twice and out of their packs' order.
    order = [chance.choice(blocks) for _ in range(2500)]
    whole = b"".join(order)
    change = create_file(ann.root, "many", order)
    status, problem = await commit(ann, change)
    assert status == 200, problem
    url = await url_of(ann, change["node_id"])
    status, _, body = await fetched(ann, url)
    assert status == 200
    assert body == whole
    for _ in range(25):
        start = chance.randrange(len(whole))
        end = chance.randrange(start, min(len(whole), start + 3 * MIB))
        status, _, body = await fetched(ann, url, range=f"bytes={start}-{end}")
        assert status == 206
        assert body == whole[start : end + 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain.txt", 'attachment; filename="plain.txt"'),
        ('say "hi".txt', "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("Übergröße.pdf", "attachment; filename=\"_bergr__e.pdf\"; filename*=UTF-8''%C3%9Cbergr%C3%B6%C3%9Fe.pdf"),
        ("100%; a=b.csv", "attachment; filename=\"100_; a=b.csv\"; filename*=UTF-8''100%25%3B%20a%3Db.csv"),
        ("日本 🎈.png", "attachment; filename=\"__ _.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%F0%9F%8E%88.png"),
    ],
)
async def test_names_arrive_as_they_are(ann: SignedIn, name: str, expected: str) -> None:
    url = await url_of(ann, await uploaded(ann, name, [[b"x"]]))
    assert url.endswith("/" + quote(name, safe=""))
    status, headers, _ = await fetched(ann, url)
    assert (status, headers["content-disposition"]) == (200, expected)


async def test_only_what_can_run_nothing_is_shown(ann: SignedIn) -> None:
    for name, mime_type, kind, shown in (
        ("page.html", None, "text/html", False),
        ("drawing.svg", None, "image/svg+xml", False),
        ("photo.jpg", None, "image/jpeg", True),
        ("photo.jpg.exe", "image/jpeg", "image/jpeg", True),
        ("notes.txt", "text/plain; charset=utf-8", "text/plain; charset=utf-8", True),
        ("evil.png", "text/html", "text/html", False),
        ("odd.png", "image/png\r\nx-evil: 1", "image/png", True),
        ("archive.tar.gz", None, "application/gzip", False),
        ("unknown.zzz9", "nonsense", "application/octet-stream", False),
    ):
        changed = {} if mime_type is None else {"mime_type": mime_type}
        file = await uploaded(ann, fresh_id() + name, [[b"<script>alert(1)</script>"]], **changed)
        _, headers, _ = await fetched(ann, await url_of(ann, file, disposition="inline"))
        assert (headers["content-type"], headers["content-disposition"].partition(";")[0]) == (
            kind,
            "inline" if shown else "attachment",
        )
        assert "x-evil" not in headers
        _, headers, _ = await fetched(ann, await url_of(ann, file))
        assert headers["content-disposition"].startswith("attachment; ")


# -- What it refuses ---------------------------------------------------------------------------------------------------------


async def test_altered_and_expired_urls_give_nothing(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    file = await uploaded(ann, "file", [[b"bytes"]])
    url = await url_of(ann, file)
    token = url.split("/")[4]
    assert (await fetched(ann, url.replace("/file", "/another-name")))[0] == 200
    assert (await fetched(ann, f"{server.url}/content/{token}"))[0] == 200
    middle = len(token) // 2
    altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in (0, middle, len(token) - 1)]
    altered += [token[:-1], token + "A", token + "=", "", "x", "%00", "ü", "A" * 600, token[:middle] + "." + token[middle:]]
    for one in altered:
        status, _, body = await fetched(ann, f"{server.url}/content/{one}/file")
        assert status == 403, one
        assert b"access.denied" in body
    signer = tickets(server)
    expired = Ticket(ann.root, file, 1, False, MachineClock().now_us() // 1_000_000, Holder(DEVICE, ann.device_id, ann.user_id))
    assert (await fetched(ann, f"{server.url}/content/{signer.seal(expired)}/file"))[0] == 403
    # Under another of the server's keys, or for a kind of holder nobody answers for.
    live = Ticket(ann.root, file, 1, False, signer.expiry(60), Holder(DEVICE, ann.device_id, ann.user_id))
    other = Tickets((server.data / "keys" / "urls.key").read_bytes(), MachineClock())
    nobody = Ticket(ann.root, file, 1, False, signer.expiry(60), Holder("stranger", ann.device_id, ann.user_id))
    for token in (other.seal(live), signer.seal(nobody)):
        assert (await fetched(ann, f"{server.url}/content/{token}/file"))[0] == 403
    assert (await fetched(ann, f"{server.url}/content/{signer.seal(live)}/file"))[2] == b"bytes"
    # One's device does not vouch for another, nor for what it may not see.
    for holder, status in ((Holder(DEVICE, bob.device_id, ann.user_id), 404), (Holder(DEVICE, bob.device_id, bob.user_id), 404)):
        ticket = signer.seal(Ticket(ann.root, file, 1, False, signer.expiry(60), holder))
        assert (await fetched(ann, f"{server.url}/content/{ticket}/file"))[0] == status


async def test_it_gives_and_does_nothing_else(ann: SignedIn) -> None:
    url = await url_of(ann, await uploaded(ann, "file", [[b"bytes"]]))
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, body = await fetched(ann, url, method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert b"method.not_allowed" in body


async def test_an_unlinked_device_has_no_urls(server: RunningServer, ann: SignedIn) -> None:
    other = await server.sign_in("ann@example.org")
    file = await uploaded(ann, "file", [[b"bytes"]])
    mine, theirs = await url_of(ann, file), await url_of(other, file)
    assert (await fetched(ann, theirs))[0] == 200
    assert (await ann.call("DELETE", f"/v1/devices/{other.device_id}"))[0] in (200, 204)
    status, _, body = await fetched(ann, theirs)
    assert status == 401
    assert b"auth.invalid" in body
    assert (await fetched(ann, theirs, "HEAD", **{"if-none-match": "*"}))[0] == 401
    assert (await fetched(ann, mine))[0] == 200


async def test_a_revoked_member_has_no_urls(server: RunningServer, ann: SignedIn, bob: SignedIn) -> None:
    file = await uploaded(ann, "file", [[b"bytes"]])
    member = "INSERT INTO members (namespace_id, user_id, access, since_us) VALUES (?, ?, 'read', 0)"
    run_sql(server, member, ann.root, bob.user_id)
    url = await url_of(bob, file)
    assert (await fetched(bob, url))[2] == b"bytes"
    run_sql(server, "DELETE FROM members WHERE namespace_id = ? AND user_id = ?", ann.root, bob.user_id)
    assert (await fetched(bob, url))[0] == 404
    assert (await offered(bob, file))[0]["error"] == NotFound.code
    assert (await fetched(ann, await url_of(ann, file)))[2] == b"bytes"


# -- Damage ------------------------------------------------------------------------------------------------------------------


async def test_damage_at_the_start_is_a_problem_and_later_breaks_the_connection(
    server: RunningServer, ann: SignedIn, capfd: pytest.CaptureFixture[str]
) -> None:
    blocks = [os.urandom(700 * KIB) for _ in range(24)]
    file = await uploaded(ann, "file", [blocks[:12], blocks[12:]])
    url, whole = await url_of(ann, file), b"".join(blocks)
    damage(server, blocks[20])
    received = bytearray()
    async with server.http.get(url) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await received_into(received, answer)
    assert received == whole[: len(received)]
    assert len(received) <= 20 * 700 * KIB
    # What lies before it, and what lies behind it, is whole.
    for start, end in ((0, 18 * 700 * KIB), (21 * 700 * KIB, len(whole))):
        status, _, body = await fetched(ann, url, range=f"bytes={start}-{end - 1}")
        assert status == 206
        assert body == whole[start:end]
    status, _, body = await fetched(ann, url, range=f"bytes={20 * 700 * KIB}-{20 * 700 * KIB + 5}")
    assert status == 500
    assert b"block.corrupt" in body
    damage(server, blocks[0])
    status, headers, body = await fetched(ann, url)
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"block.corrupt" in body
    logged = capfd.readouterr()
    text = logged.out + logged.err
    assert "block.corrupt" in text
    assert url.split("/")[4] not in text


async def test_a_pack_that_is_lost_is_told(server: RunningServer, ann: SignedIn) -> None:
    url = await url_of(ann, await uploaded(ann, "file", [[b"bytes"]]))
    for path in (server.data / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    assert (await fetched(ann, url))[0] == 404
    assert (await fetched(ann, url, "HEAD"))[0] == 200


async def test_whoever_leaves_makes_room(server: RunningServer, ann: SignedIn) -> None:
    """More than may be open at once, each left after its first bytes."""
    blocks = [os.urandom(MIB) for _ in range(12)]
    url = await url_of(ann, await uploaded(ann, "file", [blocks]))
    for _ in range(3):
        answers = [await server.http.get(url) for _ in range(16)]
        assert [answer.status for answer in answers] == [200] * 16
        for answer in answers:
            assert await answer.content.readexactly(1000) == blocks[0][:1000]
            answer.close()
    async with asyncio.timeout(60):
        while (answer := await fetched(ann, url))[0] == 429:
            await asyncio.sleep(0.05)
    assert answer[2] == b"".join(blocks)


# -- Raw contents ------------------------------------------------------------------------------------------------------------


async def test_a_plain_upload_is_downloadable_at_once_and_once_settled(ann: SignedIn) -> None:
    content = os.urandom(3 * MIB) + b"the end"
    done = await uploading.uploaded(ann, "/holiday.mp4", content, mime_type="video/mp4")
    at_once = await url_of(ann, done["file_id"])
    status, headers, body = await fetched(ann, at_once, range="bytes=5-")
    assert (status, body) == (206, content[5:])
    assert headers["content-type"] == "video/mp4"
    await uploading.settled(ann, "/holiday.mp4")
    (found,) = await offered(ann, done["file_id"])
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert "/content/" in found["presignedUrl"]
    status, headers, body = await fetched(ann, found["presignedUrl"])
    assert (status, body, headers["content-type"]) == (200, content, "video/mp4")
    # A URL of before holds until it expires: the raw object goes later than that.
    assert (await fetched(ann, at_once))[2] == content


async def test_what_lies_raw_is_given_by_its_object(server: RunningServer, ann: SignedIn) -> None:
    """Stored as ingest finds it, which is not due for long: an object of the plain bytes and no content hash."""
    file = await uploaded(ann, "Füße.svg", [[b"<svg/>"]], mime_type="image/svg+xml")
    key = os.urandom(20).hex()
    place = server.data / "objects" / key[:2]
    place.mkdir(exist_ok=True)
    (place / key).write_bytes(b"<svg/>")
    run_sql(server, "UPDATE revisions SET content_hash = NULL WHERE node_id = ?", file)
    raw = (ann.root, file, key, 6)
    run_sql(
        server,
        "INSERT INTO raw_contents"
        " (namespace_id, node_id, revision, object_key, size, state, attempts, packed_bytes, due_us, created_us)"
        " VALUES (?, ?, 1, ?, ?, 'waiting', 0, 0, 1 << 62, 0)",
        *raw,
    )
    (found,) = await offered(ann, file, disposition="inline")
    assert (found.get("sha256"), found["size"]) == (None, 6)
    url = found["presignedUrl"]
    assert url.startswith(f"{server.url}/objects/{key}?")
    status, headers, body = await fetched(ann, url)
    assert (status, body, headers["content-type"]) == (200, b"<svg/>", "image/svg+xml")
    assert headers["content-disposition"] == "attachment; filename=\"F__e.svg\"; filename*=UTF-8''F%C3%BC%C3%9Fe.svg"
    assert headers["content-security-policy"].startswith("sandbox")
    assert (await fetched(ann, url, range="bytes=1-3"))[2] == b"svg"
    for altered in (
        url.replace("image%2Fsvg%2Bxml", "text%2Fhtml"),
        url.replace("attachment", "inline"),
        url + "&response-content-type=text%2Fhtml",
        url.replace("response-content-type=", "response-content-typo="),
        url + "&a&b&c&d&e&f&g&h",
    ):
        assert altered != url
        assert (await fetched(ann, altered))[0] == 403, altered
    async with server.http.get(f"{server.url}/v1/files/{file}/download", headers=ann.headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"<svg/>")
    status, problem = await ann.get(f"/v1/files/{file}/manifest")
    assert (status, problem["code"]) == (409, "content.raw")
    # A ticket from before still works, through the content door.
    signer = tickets(server)
    ticket = signer.seal(Ticket(ann.root, file, 1, False, signer.expiry(60), Holder(DEVICE, ann.device_id, ann.user_id)))
    status, headers, body = await fetched(ann, f"{server.url}/content/{ticket}/x", range="bytes=2-")
    assert (status, body, headers["etag"]) == (206, b"vg/>", f'"{file}.1"')
