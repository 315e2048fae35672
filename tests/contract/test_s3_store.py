"""What S3 keeps of the contract's other half, which crosses HTTP, and of objects in parts: asked of SeaweedFS."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from multidict import CIMultiDict
from tests.seaweed import Seaweed, bucket_of, s3_objects
from yarl import URL

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.s3.probe import probed
from syncline.adapters.objects.s3.store import Enforced, S3Objects
from syncline.model.errors import Conflict, InvalidRequest, NotFound
from syncline.model.ids import Digest
from syncline.model.limits import MIB
from syncline.ports.object_listing import ListedObject
from syncline.ports.object_store import ObjectStat, StoredPart
from syncline.protocol.blocks import SignedRequest

KEY = "0123456789abcdef0123"
BODY = os.urandom(100_000)
SHA256 = Digest(hashlib.sha256(BODY).hexdigest())


class Late(MachineClock):
    """A clock ten minutes slow: what it signs for a minute has expired."""

    def now_us(self) -> int:
        return super().now_us() - 600 * 1_000_000


@pytest.fixture
async def store(seaweed: Seaweed) -> AsyncIterator[S3Objects]:
    async with s3_objects(seaweed) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def asked(
    http: aiohttp.ClientSession, method: str, request: SignedRequest, body: bytes = b"", **headers: str
) -> tuple[int, aiohttp.typedefs.LooseHeaders, bytes]:
    sent = request.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, URL(request.url, encoded=True), data=body or None, headers=sent) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_seaweed_enforces_what_we_rely_on(store: S3Objects) -> None:
    assert store._enforced == Enforced(checksum=True, once=True)


async def test_a_presigned_put_takes_exactly_these_bytes_once(store: S3Objects, http: aiohttp.ClientSession) -> None:
    put = store.presign_put(KEY, size=len(BODY), sha256=SHA256, ttl_s=60)
    assert (await asked(http, "PUT", put, BODY[:-1] + bytes([BODY[-1] ^ 1])))[0] == 400
    without = SignedRequest(url=put.url, headers={name: value for name, value in put.headers.items() if name != "if-none-match"})
    other = SignedRequest(url=put.url, headers=put.headers | {"x-amz-checksum-sha256": "A" * 43 + "="})
    elsewhere = SignedRequest(url=put.url.replace(KEY, "f" * 20), headers=put.headers)
    for altered in (without, other, elsewhere):
        assert (await asked(http, "PUT", altered, BODY))[0] == 403
    shorter = SignedRequest(url=put.url, headers=put.headers | {"content-length": str(len(BODY) - 1)})
    assert (await asked(http, "PUT", shorter, BODY[:-1]))[0] == 403
    assert await store.head(KEY) is None
    assert (await asked(http, "PUT", put, BODY))[0] == 200
    assert (await asked(http, "PUT", put, BODY))[0] == 412
    assert await store.head(KEY) == ObjectStat(len(BODY), SHA256)


async def test_a_presigned_get_honours_range_and_says_what_it_is_told(store: S3Objects, http: aiohttp.ClientSession) -> None:
    await store.write(KEY, BODY)
    told = {
        "content-type": "image/svg+xml",
        "content-disposition": "attachment; filename=\"F__e\"; filename*=UTF-8''F%C3%BC%C3%9Fe",
    }
    get = store.presign_get(KEY, ttl_s=60, answer=told)
    status, headers, body = await asked(http, "GET", get)
    assert (status, body) == (200, BODY)
    assert {name: headers[name] for name in told} == told
    assert (await asked(http, "GET", get, range="bytes=5-9"))[::2] == (206, BODY[5:10])
    for url in (get.url.replace("svg", "xyz"), get.url.replace(KEY, "f" * 20), get.url[:-1] + ("0" if get.url[-1] != "0" else "1")):
        assert (await asked(http, "GET", SignedRequest(url=url)))[0] == 403
    assert (await asked(http, "PUT", SignedRequest(url=get.url), b"x"))[0] == 403


async def test_objects_are_stored_as_the_class_that_is_named(seaweed: Seaweed, http: aiohttp.ClientSession) -> None:
    bucket = bucket_of(seaweed, "classes", storage_class="STANDARD_IA")
    try:
        store = await probed(bucket, MachineChance())
        put = store.presign_put(KEY, size=len(BODY), sha256=SHA256, ttl_s=60)
        assert (await asked(http, "PUT", put, BODY))[0] == 200
        plain = SignedRequest(url=put.url, headers={name: value for name, value in put.headers.items() if "class" not in name})
        assert (await asked(http, "PUT", plain, BODY))[0] == 403
        await store.write("1" + KEY[1:], b"of the server's own making")
        for key in (KEY, "1" + KEY[1:]):
            answer = await asked(http, "GET", store.presign_get(key, ttl_s=60))
            assert CIMultiDict(answer[1])["x-amz-storage-class"] == "STANDARD_IA"
    finally:
        await bucket.close()


async def test_urls_expire(seaweed: Seaweed, store: S3Objects, http: aiohttp.ClientSession) -> None:
    await store.write(KEY, BODY)
    late = S3Objects(bucket_of(seaweed, "any-bucket", clock=Late()))
    for method, request in (
        ("GET", late.presign_get(KEY, ttl_s=60)),
        ("PUT", late.presign_put(KEY, size=len(BODY), sha256=SHA256, ttl_s=60)),
        ("PUT", late.presign_part(KEY, "u", 1, size=len(BODY), ttl_s=60)),
    ):
        assert (await asked(http, method, request, BODY if method == "PUT" else b""))[0] == 403
    await late.close()


async def test_wrong_keys_are_told_at_start(seaweed: Seaweed) -> None:
    bucket = bucket_of(seaweed, "any-bucket", secret_key="another")
    with pytest.raises(InvalidRequest, match=r"SignatureDoesNotMatch.*objects\.region"):
        await probed(bucket, MachineChance())
    await bucket.close()


async def test_objects_are_listed_by_key_and_in_pages(store: S3Objects) -> None:
    keys = [f"{number:020d}" for number in range(12)]
    for number, key in enumerate(reversed(keys)):
        await store.write(key, b"x" * (number + 1))
    listed = await store.listed("", 5)
    assert [found.key for found in listed] == keys[:5]
    assert listed[0] == ListedObject(keys[0], 12)
    assert [found.key for found in await store.listed(keys[4], 100)] == keys[5:]
    assert await store.listed(keys[-1], 100) == []


async def test_parts_become_an_object(store: S3Objects, http: aiohttp.ClientSession) -> None:
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(11)]
    whole, upload = b"".join(parts), await store.create_multipart(KEY)
    for number in (3, 1, 2):
        part = store.presign_part(KEY, upload, number, size=len(parts[number - 1]), ttl_s=60)
        assert (await asked(http, "PUT", SignedRequest(url=part.url), parts[number - 1] + b"!"))[0] == 403
        status, headers, _ = await asked(http, "PUT", part, parts[number - 1])
        assert (status, headers["etag"]) == (200, f'"{hashlib.md5(parts[number - 1]).hexdigest()}"')
    listed = await store.list_parts(KEY, upload)
    assert [(found.number, found.size) for found in listed] == [(1, 5 * MIB), (2, 5 * MIB), (3, 11)]
    assert await store.list_parts(KEY, upload, after=1, limit=1) == listed[1:2]
    assert await store.head(KEY) is None
    for wrong in ([], [*listed, StoredPart(4, listed[0].etag, 7)], [StoredPart(1, "0" * 32, 5 * MIB)], [listed[1], listed[0]]):
        with pytest.raises(Conflict):
            await store.complete_multipart(KEY, upload, wrong)
    etag = await store.complete_multipart(KEY, upload, listed)
    assert await store.complete_multipart(KEY, upload, listed) == etag
    assert await store.head(KEY) == ObjectStat(len(whole), None)
    for start, end in ((5 * MIB - 10, 5 * MIB + 10), (10 * MIB - 1, 10 * MIB + 11), (0, 5)):
        assert await store.read(KEY, start, end - start) == whole[start:end]
    late = store.presign_part(KEY, upload, 1, size=3, ttl_s=60)
    assert (await asked(http, "PUT", late, b"new"))[0] == 404
    with pytest.raises(NotFound):
        await store.list_parts(KEY, upload)
    await store.abort_multipart(KEY, upload)
    assert await store.size_of(KEY) == len(whole)
    await store.remove(KEY)
    assert await store.size_of(KEY) is None


async def test_what_is_aborted_is_gone(store: S3Objects, http: aiohttp.ClientSession) -> None:
    for by_key in (False, True):
        upload = await store.create_multipart(KEY)
        part = store.presign_part(KEY, upload, 1, size=3, ttl_s=60)
        assert (await asked(http, "PUT", part, b"abc"))[0] == 200
        (listed,) = await store.list_parts(KEY, upload)
        for _ in range(2):
            await store.abort_multipart(KEY, "" if by_key else upload)
        for what in (store.list_parts(KEY, upload), store.complete_multipart(KEY, upload, [listed])):
            with pytest.raises(NotFound):
                await what
        assert (await asked(http, "PUT", part, b"abc"))[0] == 404
