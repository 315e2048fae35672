"""The edge: bodies bounded and decompressed, answers compressed, every failure a problem document."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest
from backports import zstd
from tests.server import RunningServer, SignedIn

from syncline.model.errors import InvalidRequest, LimitExceeded
from syncline.model.limits import BODY_MAX_BYTES
from syncline.server.gateway.edge import decompress

HASHES = ["ab" * 32] * 1000


async def _post_packed(device: SignedIn, body: bytes, encoding: str = "zstd") -> tuple[int, str]:
    headers = device.headers | {"content-encoding": encoding, "content-type": "application/json"}
    async with device.server.http.post(device.server.url + "/v1/blocks/missing", data=body, headers=headers) as answer:
        return answer.status, (await answer.json(content_type=None)).get("code", "")


async def test_bodies_may_come_compressed(ann: SignedIn) -> None:
    body = json.dumps({"namespace": ann.root, "hashes": HASHES}).encode()
    assert await _post_packed(ann, zstd.compress(body)) == (200, "")
    assert await _post_packed(ann, body, "identity") == (200, "")


async def test_a_bomb_is_refused(ann: SignedIn) -> None:
    bomb = zstd.compress(b" " * (8 * BODY_MAX_BYTES))
    assert len(bomb) < 64 * 1024
    assert await _post_packed(ann, bomb) == (413, "limit.exceeded")


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, gzip", "x"])
async def test_other_encodings_are_refused(ann: SignedIn, encoding: str) -> None:
    assert await _post_packed(ann, b"{}", encoding) == (415, "request.encoding")


async def test_what_is_no_zstd_is_refused(ann: SignedIn) -> None:
    good = zstd.compress(b"{}" * 1000)
    for body in (b"junk", good[:-3], good + b"x", good + good, good[:4]):
        assert await _post_packed(ann, body) == (400, "request.invalid")


def test_a_frame_may_not_claim_a_huge_window() -> None:
    wide = zstd.compress(
        b"x" * 100_000, options={zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    )
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    streamed = stream.compress(b"x" * 100_000) + stream.flush()
    for frame in (wide, streamed):
        try:
            assert decompress(frame) == b"x" * 100_000
        except InvalidRequest:
            continue
    assert decompress(zstd.compress(b" " * BODY_MAX_BYTES)) == b" " * BODY_MAX_BYTES
    with pytest.raises(LimitExceeded):
        decompress(zstd.compress(b" " * (BODY_MAX_BYTES + 1)))


async def test_long_bodies_are_refused_declared_or_not(ann: SignedIn) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(BODY_MAX_BYTES // (1 << 20) + 1):
            yield b" " * (1 << 20)

    url = ann.server.url + "/v1/blocks/missing"
    async with ann.server.http.post(url, data=endless(), headers=ann.headers) as answer:
        assert answer.status == 413
        assert (await answer.json(content_type=None))["code"] == "limit.exceeded"
    parts = urlsplit(ann.server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"POST /v1/blocks/missing HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_MAX_BYTES + 1}\r\n\r\n".encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_long_answers_are_compressed_for_those_who_take_it(ann: SignedIn) -> None:
    body = {"namespace": ann.root, "hashes": HASHES}
    for accepts, encoding in (("zstd", "zstd"), ("gzip, zstd;q=0.5", "zstd"), ("gzip", ""), ("zstd;q=0", ""), ("", "")):
        headers = ann.headers | {"accept-encoding": accepts}
        url = ann.server.url + "/v1/blocks/missing"
        async with ann.server.http.post(url, json=body, headers=headers) as answer:
            assert answer.headers.get("content-encoding", "") == encoding
            raw = await answer.read()
            assert json.loads(raw)["missing"] == HASHES
            if encoding:
                assert int(answer.headers["content-length"]) < 1000
    async with ann.server.http.get(ann.server.url + "/healthz", headers={"accept-encoding": "zstd"}) as answer:
        assert "content-encoding" not in answer.headers


async def test_every_answer_bears_its_own_id(server: RunningServer, ann: SignedIn) -> None:
    seen = set()
    for path in ("/healthz", "/nowhere", "/v1/me", "/objects/x"):
        async with server.http.get(server.url + path) as answer:
            seen.add(answer.headers["x-request-id"])
            assert answer.headers["x-content-type-options"] == "nosniff"
            if answer.status >= 400:
                assert (await answer.json(content_type=None))["request_id"] == answer.headers["x-request-id"]
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/packs", 405, "method.not_allowed"),
        ("PUT", "/v1/me", 405, "method.not_allowed"),
        ("POST", "/healthz", 405, "method.not_allowed"),
    ],
)
async def test_unknown_doors_are_problems_too(server: RunningServer, method: str, path: str, status: int, code: str) -> None:
    async with server.http.request(method, server.url + path) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, answer.content_type, problem["code"]) == (status, "application/problem+json", code)
        assert set(problem) >= {"type", "title", "status", "code", "detail", "retryable", "request_id"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"hashes": []}',
        b'{"namespace": 1, "hashes": []}',
        b"\xff\xfe",
        b'{"namespace": "\\ud800"}',
        b"[" * 100_000,
    ],
)
async def test_malformed_bodies_say_what_is_wrong(ann: SignedIn, body: bytes) -> None:
    async with ann.server.http.post(ann.server.url + "/v1/blocks/missing", data=body, headers=ann.headers) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, answer.content_type, problem["code"]) == (400, "application/problem+json", "request.invalid")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit="])
async def test_malformed_queries_say_what_is_wrong(ann: SignedIn, query: str) -> None:
    status, problem = await ann.call("GET", f"/v1/changes?{query}")
    assert (status, problem["code"]) == (400, "request.invalid")
    assert "limit" in problem["detail"]


async def test_the_description_covers_every_door(server: RunningServer) -> None:
    async with server.http.get(server.url + "/openapi.json") as answer:
        document = await answer.json()
    assert document["openapi"].startswith("3.1")
    doors = {(method, path) for path, item in document["paths"].items() for method in item}
    assert doors >= {
        ("post", "/v1/auth/token"),
        ("post", "/v1/auth/refresh"),
        ("get", "/.well-known/jwks.json"),
        ("get", "/v1/me"),
        ("get", "/v1/devices"),
        ("delete", "/v1/devices/{device_id}"),
        ("get", "/v1/namespaces"),
        ("post", "/v1/blocks/missing"),
        ("post", "/v1/packs"),
        ("post", "/v1/packs/done"),
        ("post", "/v1/manifests"),
        ("post", "/v1/files/commit"),
        ("get", "/v1/changes"),
        ("get", "/v1/changes/latest"),
        ("get", "/v1/snapshot"),
        ("get", "/v1/notifications/poll"),
        ("post", "/v1/notifications/poll"),
        ("get", "/v1/metadata"),
        ("get", "/v1/folders/{folder}/children"),
        ("get", "/v1/files/{file}/versions"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    }
    text = json.dumps(document)
    referred = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert referred <= set(document["components"]["schemas"])
    assert document["components"]["schemas"]["StoredBlock"]["type"] == "array"
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["description"]
            assert "application/problem+json" in operation["responses"]["default"]["content"]


async def test_the_page_for_people_needs_nothing_from_elsewhere(server: RunningServer) -> None:
    async with server.http.get(server.url + "/docs") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "/v1/files/commit" in page
    assert "<script" not in page
    assert re.findall(r"https?://", page) == []


async def test_health(server: RunningServer) -> None:
    for path, expected in (("/healthz", "ok"), ("/readyz", "ready")):
        async with server.http.get(server.url + path) as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, expected)


async def test_a_defect_is_answered_and_logged_without_what_it_was_about(
    ann: SignedIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret-plan.txt")

    monkeypatch.setattr("syncline.server.metadata.service.Metadata.latest", broken)
    monkeypatch.setattr("syncline.adapters.objects.signing.UrlSigner.verify", broken)
    for path in ("/v1/changes/latest", "/objects/kkkkkkkkkkkkkkkkkkkk"):
        status, problem = await ann.get(path)
        assert (status, problem["code"]) == (500, "server.error")
        said = capsys.readouterr().out
        assert problem["request_id"] in said
        assert "RuntimeError" in said
        assert "secret-plan" not in said + json.dumps(problem)
