"""What becomes of an S3 store that is slow, busy, broken, lax or lying. A scripted one answers on a real socket."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from syncline.adapters.http.retry import Backoff
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.objects.s3.answers import BODY_MAX_BYTES, StoreRefused
from syncline.adapters.objects.s3.caller import Bucket, Place
from syncline.adapters.objects.s3.probe import probed
from syncline.adapters.objects.s3.signature import Credentials, Signer
from syncline.adapters.objects.s3.store import Enforced, S3Objects
from syncline.content.digest import digest
from syncline.model.errors import AlreadyExists, Conflict, Corrupt, InvalidRequest, NotFound, SynclineError, TooBusy, Unavailable
from syncline.model.ids import Digest
from syncline.model.limits import RETRY_ATTEMPTS
from syncline.ports.object_store import ObjectStat, StoredPart

KEY = "0123456789abcdef0123"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(status: int, body: str | bytes = b"", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body.encode() if isinstance(body, str) else body, headers=named)

    return handler


def error(status: int, code: str) -> Handler:
    return answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>")


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Scripted:
    """Handlers by method, used up one by one; the last one stays. Stored objects are the test's business."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Handler]] = {}
        self.seen: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.seen.append(request)
        handlers = self.answers[request.method]
        return await (handlers.pop(0) if len(handlers) > 1 else handlers[0])(request)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def bucket(script: Scripted) -> AsyncIterator[Bucket]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", script.handle)
    async with TestServer(app) as server:
        origin = f"http://127.0.0.1:{server.port}"
        place = Place(bucket="bucket", origin=origin, public_origin="https://files.example.org")
        signer = Signer(Credentials(access_key="key", secret_key="secret"), "us-east-1", MachineClock())
        made = Bucket(place, signer, Backoff(MachineChance(), first_s=0.001))
        yield made
        await made.close()


@pytest.fixture
def store(bucket: Bucket) -> S3Objects:
    return S3Objects(bucket, Enforced(checksum=True, once=True))


async def test_what_may_pass_is_tried_again(script: Scripted, store: S3Objects) -> None:
    passing = [error(503, "ServiceUnavailable"), error(500, "InternalError"), hang_up, answer(206, b"abc")]
    script.answers["GET"] = passing
    assert await store.read(KEY, 5, 3) == b"abc"
    assert len(script.seen) == 4
    assert script.seen[-1].headers["range"] == "bytes=5-7"
    assert script.seen[-1].path == f"/bucket/{KEY}"
    assert script.seen[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")


async def test_but_not_for_ever(script: Scripted, store: S3Objects) -> None:
    script.answers["GET"] = [error(500, "InternalError")]
    with pytest.raises(Unavailable):
        await store.read(KEY, 0, 3)
    assert len(script.seen) == RETRY_ATTEMPTS


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (error(403, "AccessDenied"), StoreRefused),
        (error(400, "ExpiredToken"), StoreRefused),
        (error(404, "NoSuchKey"), NotFound),
        (error(416, "InvalidRange"), Corrupt),
        (answer(206, b"ab"), Corrupt),
        (answer(302, b"", location="http://elsewhere.example.org/"), StoreRefused),
    ],
)
async def test_refusals_are_told_at_once(
    script: Scripted, store: S3Objects, handler: Handler, expected: type[SynclineError]
) -> None:
    script.answers["GET"] = [handler]
    with pytest.raises(expected):
        await store.read(KEY, 1, 3)
    assert len(script.seen) == 1


async def test_a_busy_store_is_waited_for(script: Scripted, store: S3Objects) -> None:
    script.answers["DELETE"] = [error(503, "SlowDown"), answer(204)]
    await store.remove(KEY)
    assert len(script.seen) == 2
    script.answers["DELETE"] = [error(404, "NoSuchKey")]
    await store.remove(KEY)


async def test_no_more_is_read_than_was_asked_for(script: Scripted, store: S3Objects) -> None:
    script.answers["GET"] = [answer(206, b"x" * 1000)]
    with pytest.raises(Unavailable):
        await store.read(KEY, 0, 10)
    script.answers["GET"] = [answer(200, b"x" * 10)]
    assert await store.read(KEY, 0, 10) == b"x" * 10
    with pytest.raises(Unavailable):
        await store.read(KEY, 5, 10)
    script.answers["GET"] = [answer(200, b"<" * (BODY_MAX_BYTES + 1))]
    with pytest.raises(Unavailable):
        await store.listed("", 10)


@pytest.mark.parametrize("key", ["../secret", "", "A" * 20, KEY + "/x", "short", KEY + "?acl"])
async def test_nothing_but_keys_is_asked_for(script: Scripted, store: S3Objects, key: str) -> None:
    with pytest.raises(NotFound):
        await store.read(key, 0, 1)
    with pytest.raises(NotFound):
        await store.write(key, b"abc")
    with pytest.raises(NotFound):
        await store.create_multipart(key)
    with pytest.raises(NotFound):
        store.presign_get(key, ttl_s=60)
    with pytest.raises(NotFound):
        store.presign_put(key, size=1, sha256=Digest("0" * 64), ttl_s=60)
    assert await store.head(key) is None
    await store.remove(key)
    await store.abort_multipart(key, "u")
    assert script.seen == []


async def test_clients_are_sent_to_the_public_endpoint(store: S3Objects) -> None:
    get, part = store.presign_get(KEY, ttl_s=60), store.presign_part(KEY, "u+1/=", 7, size=5, ttl_s=60)
    assert get.url.startswith(f"https://files.example.org/bucket/{KEY}?")
    assert get.headers == {}
    assert "partNumber=7&uploadId=u%2B1%2F%3D" in part.url
    assert part.headers == {"content-length": "5"}


def test_a_bucket_may_be_named_by_its_host() -> None:
    place = Place(bucket="bucket", origin="https://s3.example.org", public_origin="https://x.example.org:9", virtual=True)
    assert place.at(KEY) == ("https://bucket.s3.example.org", f"/{KEY}")
    assert place.at(KEY, public=True) == ("https://bucket.x.example.org:9", f"/{KEY}")
    assert place.at("") == ("https://bucket.s3.example.org", "/")


async def test_whatever_stores_an_object_says_as_what() -> None:
    origin = "https://s3.example.org"
    place = Place(bucket="bucket", origin=origin, public_origin=origin, storage_class="STANDARD_IA")
    assert place.kept_as == {"x-amz-storage-class": "STANDARD_IA"}
    keys = Credentials(access_key="A", secret_key="S")
    store = S3Objects(Bucket(place, Signer(keys, "us-east-1", MachineClock()), Backoff(MachineChance())))
    put = store.presign_put(KEY, size=5, sha256=digest(b"12345"), ttl_s=60)
    assert put.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert "x-amz-storage-class" in parse_qs(urlsplit(put.url).query)["X-Amz-SignedHeaders"][0].split(";")
    await store.close()


async def test_a_write_whose_answer_was_lost_is_known_again(script: Scripted, store: S3Objects) -> None:
    sha256 = b64encode(hashlib.sha256(b"abc").digest()).decode()
    there = answer(200, b"abc", x_amz_checksum_sha256=sha256)
    script.answers = {"PUT": [hang_up, error(412, "PreconditionFailed")], "HEAD": [there]}
    await store.write(KEY, b"abc")
    script.answers = {"PUT": [hang_up, error(500, ""), answer(200)]}
    await store.write(KEY, b"abc")
    other = b64encode(hashlib.sha256(b"xyz").digest()).decode()
    script.answers = {
        "PUT": [hang_up, error(412, "PreconditionFailed")],
        "HEAD": [answer(200, b"xyz", x_amz_checksum_sha256=other)],
    }
    with pytest.raises(AlreadyExists):
        await store.write(KEY, b"abc")


async def test_a_checksum_is_believed_only_where_it_is_kept(script: Scripted, bucket: Bucket, store: S3Objects) -> None:
    sha256 = hashlib.sha256(b"abc")
    told = b64encode(sha256.digest()).decode()
    script.answers["HEAD"] = [answer(200, b"abc", x_amz_checksum_sha256=told)]
    assert await store.head(KEY) == ObjectStat(3, sha256.hexdigest())
    assert await S3Objects(bucket).head(KEY) == ObjectStat(3, None)
    script.answers["HEAD"] = [answer(200, b"abc", x_amz_checksum_sha256=told + "-3")]
    assert await store.head(KEY) == ObjectStat(3, None)
    script.answers["HEAD"] = [answer(200, b"abc", x_amz_checksum_sha256=told, x_amz_checksum_type="COMPOSITE")]
    assert await store.head(KEY) == ObjectStat(3, None)


async def test_completing_says_what_happened(script: Scripted, store: S3Objects) -> None:
    parts = [StoredPart(1, "e1", 3)]
    done = "<CompleteMultipartUploadResult><ETag>&quot;whole-1&quot;</ETag></CompleteMultipartUploadResult>"
    script.answers["POST"] = [answer(200, done)]
    assert await store.complete_multipart(KEY, "u", parts) == "whole-1"
    script.answers["POST"] = [answer(200, "<Error><Code>InternalError</Code></Error>")]
    with pytest.raises(Unavailable):
        await store.complete_multipart(KEY, "u", parts)
    script.answers["POST"] = [error(400, "InvalidPart")]
    with pytest.raises(Conflict):
        await store.complete_multipart(KEY, "u", parts)
    script.answers |= {"POST": [error(404, "NoSuchUpload")], "HEAD": [answer(200, b"abc", etag='"whole-1"')]}
    assert await store.complete_multipart(KEY, "u", parts) == "whole-1"
    script.answers["HEAD"] = [error(404, "")]
    with pytest.raises(NotFound):
        await store.complete_multipart(KEY, "u", parts)


@pytest.mark.parametrize(
    "body", ["", "no xml", "<html/>", "<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>", "<ListBucketResult>"]
)
async def test_what_is_no_answer_is_none(script: Scripted, store: S3Objects, body: str) -> None:
    script.answers |= {"GET": [answer(200, body)], "POST": [answer(200, body)]}
    for asked in (store.listed("", 10), store.list_parts(KEY, "u"), store.create_multipart(KEY)):
        with pytest.raises(Unavailable):
            await asked


async def test_of_a_part_sent_twice_the_later_one_is_listed(script: Scripted, store: S3Objects) -> None:
    def part(number: int, etag: str, second: int) -> str:
        sent = f"<LastModified>2026-11-25T13:23:{second:02d}Z</LastModified>"
        return f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag><Size>{number}</Size>{sent}</Part>"

    listed = part(2, "b", 7) + part(1, "new", 5) + part(1, "old", 3) + part(3, "c", 1) + part(3, "c", 1)
    script.answers["GET"] = [answer(200, f"<ListPartsResult>{listed}</ListPartsResult>")]
    assert await store.list_parts(KEY, "u") == [StoredPart(1, "new", 1), StoredPart(2, "b", 2), StoredPart(3, "c", 3)]
    assert await store.list_parts(KEY, "u", after=1, limit=1) == [StoredPart(2, "b", 2)]


# -- What is found out at start ----------------------------------------------------------------------------------------------


class Lax:
    """A store that says yes to everything: it keeps wrong bytes, tells the checksum it was told, and replaces what is there."""

    def __init__(self, script: Scripted, *, checksum: bool, once: bool) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self._checksum = checksum
        self._once = once
        script.answers = {"PUT": [self._put], "GET": [self._get], "HEAD": [self._get], "DELETE": [self._delete]}

    async def _put(self, request: web.Request) -> web.StreamResponse:
        body, told = await request.read(), request.headers["x-amz-checksum-sha256"]
        if self._checksum and b64encode(hashlib.sha256(body).digest()).decode() != told:
            return await error(400, "BadDigest")(request)
        if self._once and request.path in self.objects:
            return await error(412, "PreconditionFailed")(request)
        self.objects[request.path] = (body, told)
        return web.Response()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.path not in self.objects:
            return await error(404, "NoSuchKey")(request)
        body, told = self.objects[request.path]
        return web.Response(status=206 if request.method == "GET" else 200, body=body, headers={"x-amz-checksum-sha256": told})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self.objects.pop(request.path, None)
        return web.Response(status=204)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("once", [False, True])
async def test_what_a_store_enforces_is_found_out(script: Scripted, bucket: Bucket, checksum: bool, once: bool) -> None:
    lax = Lax(script, checksum=checksum, once=once)
    store = await probed(bucket, MachineChance())
    assert lax.objects == {}
    await store.write(KEY, b"abc")
    with pytest.raises(AlreadyExists):
        await store.write(KEY, b"abcd")
    lax.objects[f"/bucket/{KEY}"] = (b"xyz", lax.objects[f"/bucket/{KEY}"][1])
    # The bytes have rotted: a store that is not believed says nothing, so that its reader looks for itself.
    stat = await store.head(KEY)
    assert stat is not None
    assert (stat.sha256 is None) is not checksum


async def test_what_is_wrong_at_start_is_named(script: Scripted, bucket: Bucket) -> None:
    for handler, word in (
        (error(404, "NoSuchBucket"), "objects.bucket"),
        (error(403, "InvalidAccessKeyId"), "InvalidAccessKeyId"),
        (error(403, "SignatureDoesNotMatch"), "objects.region"),
    ):
        script.answers = {"PUT": [handler], "DELETE": [answer(204)]}
        with pytest.raises(InvalidRequest, match=word):
            await probed(bucket, MachineChance())
    script.answers = {"PUT": [error(503, "SlowDown")], "DELETE": [answer(204)]}
    with pytest.raises((Unavailable, TooBusy)):
        await asyncio.wait_for(probed(bucket, MachineChance()), 60)
