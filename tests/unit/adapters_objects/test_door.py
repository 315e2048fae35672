"""The disk store's presigned contract, from outside."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from urllib.parse import urlsplit

import pytest
from tests.unit.adapters_objects.conftest import Doorstep, digest

from syncline.adapters.objects.disk import Draft

KEY = "k" * 20
BODY = bytes(range(256)) * 20_000  # Five pieces and a bit.


async def test_put_then_get_gives_the_same_bytes_and_tells_the_server_once(doorstep: Doorstep) -> None:
    assert await doorstep.put(doorstep.grant(BODY), BODY) == (200, "")
    status, body, headers = await doorstep.get()
    assert (status, body) == (200, BODY)
    assert headers["accept-ranges"] == "bytes"
    assert doorstep.told == [(KEY, len(BODY), digest(BODY))]
    assert doorstep.files() == [f"kk/{KEY}"]
    path = doorstep.root / "kk" / KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(doorstep.root.stat().st_mode) == 0o700


@pytest.mark.parametrize("sent", [BODY + b"x", BODY[:-1], b""], ids=["one more", "one less", "nothing"])
async def test_another_length_stores_nothing(doorstep: Doorstep, sent: bytes) -> None:
    grant = doorstep.grant(BODY)
    # The signed length does not fit the body, so an honest length breaks the signature …
    assert await doorstep.put(grant, sent, **{"content-length": str(len(sent))}) == (403, "access.denied")
    assert doorstep.files() == []


@pytest.mark.parametrize("count", [-1, 1], ids=["one less", "one more"])
async def test_a_lying_length_stores_nothing(doorstep: Doorstep, count: int) -> None:
    """… and the signed one leaves the body short, or its tail to be read as another request."""
    grant, parts = doorstep.grant(BODY), urlsplit(doorstep.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"PUT {grant.url} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in grant.headers.items())]
    writer.write("\r\n".join((*lines, "", "")).encode())
    writer.write((BODY + b"x")[: len(BODY) + count])
    if count < 0:
        writer.write_eof()
    await asyncio.wait_for(reader.read(64), 5)
    writer.close()
    for _ in range(100):
        if not any(name.startswith("tmp/") for name in doorstep.files()):
            break
        await asyncio.sleep(0.01)
    assert doorstep.files() == ([] if count < 0 else [f"kk/{KEY}"])
    if count > 0:
        assert (await doorstep.get())[1] == BODY


async def test_other_bytes_of_the_same_length_store_nothing(doorstep: Doorstep) -> None:
    assert await doorstep.put(doorstep.grant(BODY), b"x" + BODY[1:]) == (400, "checksum.mismatch")
    assert doorstep.files() == []
    assert doorstep.told == []


async def test_a_second_put_replaces_nothing(doorstep: Doorstep) -> None:
    grant = doorstep.grant(b"first")
    assert await doorstep.put(grant, b"first") == (200, "")
    assert await doorstep.put(grant, b"first") == (412, "exists")
    assert await doorstep.put(grant, b"other") == (412, "exists")
    assert (await doorstep.get())[1] == b"first"


async def test_of_two_puts_at_once_one_is_there_already(doorstep: Doorstep) -> None:
    grant = doorstep.grant(BODY)
    answers = await asyncio.gather(*(doorstep.put(grant, BODY) for _ in range(4)))
    assert sorted(answers) == [(200, ""), (412, "exists"), (412, "exists"), (412, "exists")]
    assert doorstep.files() == [f"kk/{KEY}"]


async def test_an_expired_url_opens_nothing(doorstep: Doorstep) -> None:
    put, get = doorstep.grant(b"x", ttl_s=60), doorstep.store.presign_get(KEY, ttl_s=60)
    doorstep.clock.time_us += 60_000_000
    assert await doorstep.put(put, b"x") == (403, "access.denied")
    async with doorstep.http.get(doorstep.url + get.url) as answer:
        assert answer.status == 403
    assert doorstep.files() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expires=1", "expires=2"),
        (f"/objects/{KEY}", f"/objects/{'j' * 20}"),
        ("signature=", "signature=A"),
        ("if-none-match", "if-match"),
        ("&signed=content-length;x-amz-checksum-sha256;if-none-match", ""),
    ],
)
async def test_an_altered_url_opens_nothing(doorstep: Doorstep, old: str, new: str) -> None:
    grant = doorstep.grant(b"x")
    assert old in grant.url
    grant.url = grant.url.replace(old, new)
    assert await doorstep.put(grant, b"x") == (403, "access.denied")


@pytest.mark.parametrize("name", ["x-amz-checksum-sha256", "if-none-match"])
async def test_every_signed_header_must_be_sent_as_signed(doorstep: Doorstep, name: str) -> None:
    grant = doorstep.grant(b"x")
    assert await doorstep.put(grant, b"x", **{name: "other"}) == (403, "access.denied")
    del grant.headers[name]
    assert await doorstep.put(grant, b"x") == (403, "access.denied")


async def test_a_url_is_good_for_its_method_only(doorstep: Doorstep) -> None:
    await doorstep.put(doorstep.grant(b"x"), b"x")
    get, put = doorstep.store.presign_get(KEY, ttl_s=60), doorstep.grant(b"y", "j" * 20)
    async with doorstep.http.put(doorstep.url + get.url, data=b"y") as answer:
        assert answer.status == 403
    async with doorstep.http.get(doorstep.url + put.url) as answer:
        assert answer.status == 403
    async with doorstep.http.delete(doorstep.url + get.url) as answer:
        assert answer.status == 405


async def test_chunked_and_encoded_bodies_are_refused(doorstep: Doorstep) -> None:
    grant = doorstep.grant(b"x")

    async def chunks():  # type: ignore[no-untyped-def]
        yield b"x"

    del grant.headers["content-length"]
    async with doorstep.http.put(doorstep.url + grant.url, data=chunks(), headers=grant.headers) as answer:
        assert answer.status == 403
    assert await doorstep.put(doorstep.grant(b"x"), b"x", **{"content-encoding": "zstd"}) == (400, "request.invalid")
    assert doorstep.files() == []


@pytest.mark.parametrize("path", ["../metadata.db", "..%2f..%2fetc%2fpasswd", "tmp", "K" * 20, "k"])
async def test_no_key_is_a_path(doorstep: Doorstep, path: str) -> None:
    signed = doorstep.store._signer.sign("GET", path.replace("%2f", "/"), {}, 60)
    parts = urlsplit(doorstep.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    query = signed.url.partition("?")[2]
    writer.write(f"GET /objects/{path}?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.read(), 5)).split(b"\r\n")[0] == b"HTTP/1.1 404 Not Found"
    writer.close()


async def test_an_object_nobody_granted_is_dropped(doorstep: Doorstep) -> None:
    doorstep.wanted = False
    assert await doorstep.put(doorstep.grant(b"x"), b"x") == (404, "not_found")
    assert doorstep.files() == []


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=5-9", 206, 5, 10),
        ("bytes=95-", 206, 95, 100),
        ("bytes=-5", 206, 95, 100),
        ("bytes=-500", 206, 0, 100),
        ("bytes=0-99", 206, 0, 100),
        ("bytes=90-500", 206, 90, 100),
        ("bytes=100-", 416, 0, 0),
        ("bytes=500-600", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("bytes=x", 200, 0, 100),
        ("lines=1-2", 200, 0, 100),
        ("", 200, 0, 100),
    ],
)
async def test_ranges(doorstep: Doorstep, asked: str, status: int, start: int, end: int) -> None:
    content = bytes(range(100))
    await doorstep.put(doorstep.grant(content), content)
    got, body, headers = await doorstep.get(range=asked)
    assert got == status
    if status == 416:
        assert headers["content-range"] == "bytes */100"
    else:
        assert body == content[start:end]
    if status == 206:
        assert headers["content-range"] == f"bytes {start}-{end - 1}/100"


async def test_a_range_across_pieces_and_if_range(doorstep: Doorstep) -> None:
    await doorstep.put(doorstep.grant(BODY), BODY)
    _, body, headers = await doorstep.get(range="bytes=1000-3000000")
    assert body == BODY[1000:3000001]
    assert (await doorstep.get(range="bytes=0-9", **{"if-range": headers["etag"]}))[0] == 206
    assert (await doorstep.get(range="bytes=0-9", **{"if-range": '"other"'}))[0] == 200


async def test_head_says_size_without_a_body(doorstep: Doorstep) -> None:
    await doorstep.put(doorstep.grant(BODY), BODY)
    async with doorstep.http.head(doorstep.url + doorstep.store.presign_get(KEY, ttl_s=60).url) as answer:
        assert (answer.status, answer.headers["content-length"], await answer.read()) == (200, str(len(BODY)), b"")
    async with doorstep.http.head(doorstep.url + doorstep.store.presign_get("j" * 20, ttl_s=60).url) as answer:
        assert answer.status == 404


async def test_a_full_disk_is_said_and_leaves_nothing(doorstep: Doorstep, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        assert await doorstep.put(doorstep.grant(BODY), BODY) == (507, "disk.full")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert await doorstep.put(doorstep.grant(BODY), BODY) == (507, "disk.full")
    assert doorstep.files() == []
    assert await doorstep.put(doorstep.grant(BODY), BODY) == (200, "")


async def test_a_sender_that_leaves_leaves_nothing(doorstep: Doorstep) -> None:
    grant, parts = doorstep.grant(BODY), urlsplit(doorstep.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"PUT {grant.url} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in grant.headers.items())]
    writer.write("\r\n".join((*lines, "", "")).encode() + BODY[: len(BODY) // 2])
    await writer.drain()
    while not doorstep.files():
        await asyncio.sleep(0.005)
    writer.close()
    while doorstep.files():
        await asyncio.sleep(0.005)
    assert doorstep.told == []


async def test_drafts_of_an_earlier_life_are_thrown_away(doorstep: Doorstep) -> None:
    (doorstep.root / "tmp" / "old").write_bytes(b"half")
    type(doorstep.store).open(doorstep.root, doorstep.store._signer, doorstep.store._chance).close()
    assert doorstep.files() == []


async def test_a_closed_draft_writes_nowhere(doorstep: Doorstep) -> None:
    from syncline.model.errors import Unavailable

    draft: Draft = doorstep.store.draft(KEY)
    draft.close()
    with pytest.raises(Unavailable):
        draft.write([b"late"])
