"""Moving content: missing, grants, the store's word, from outside."""

from __future__ import annotations

import base64
import os
from typing import Any

import aiohttp
import pytest
from tests.server import RunningServer, SignedIn
from tests.unit.server_gateway.content import granted, offer_of, packed, put, sent, sha256

from syncline.model.limits import BATCH_MAX, PACK_BLOCKS_MAX, PACK_MAX_BYTES

NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZB"


async def test_what_was_sent_is_missing_no_more(ann: SignedIn) -> None:
    blocks = [os.urandom(1000), b"text " * 1000]
    hashes = [sha256(block) for block in blocks]
    _, answer = await ann.post("/v1/blocks/missing", {"namespace": ann.root, "hashes": [*hashes, "ab" * 32]})
    assert answer["missing"] == [*hashes, "ab" * 32]
    await sent(ann, *blocks)
    _, answer = await ann.post("/v1/blocks/missing", {"namespace": ann.root, "hashes": [*hashes, "ab" * 32]})
    assert answer["missing"] == ["ab" * 32]


async def test_what_others_hold_is_missing_all_the_same(ann: SignedIn, bob: SignedIn) -> None:
    block = os.urandom(1000)
    await sent(ann, block)
    _, answer = await bob.post("/v1/blocks/missing", {"namespace": bob.root, "hashes": [sha256(block)]})
    assert answer["missing"] == [sha256(block)]


async def test_done_can_be_asked_again_and_says_absent_and_unknown(ann: SignedIn, bob: SignedIn) -> None:
    done = await sent(ann, b"block")
    content, offer = packed(b"never sent")
    (absent,) = await granted(ann, offer)
    theirs = await sent(bob, b"bob's")
    asked = {"pack_ids": [done, absent["pack_id"], theirs, NOBODY, done]}
    for _ in range(2):
        status, answer = await ann.post("/v1/packs/done", asked)
        assert status == 200
        assert [pack["state"] for pack in answer["packs"]] == ["done", "absent", "unknown", "unknown", "done"]
    assert await put(ann, absent, content) == 200
    _, answer = await ann.post("/v1/packs/done", {"pack_ids": [absent["pack_id"]]})
    assert answer["packs"] == [{"pack_id": absent["pack_id"], "state": "done"}]


async def test_the_store_holds_what_was_granted_and_nothing_else(ann: SignedIn) -> None:
    content, offer = packed(os.urandom(5000))
    (grant,) = await granted(ann, offer)
    assert await put(ann, grant, content[:-1] + b"!") == 400
    _, answer = await ann.post("/v1/packs/done", {"pack_ids": [grant["pack_id"]]})
    assert answer["packs"][0]["state"] == "absent"
    assert await put(ann, grant, content) == 200
    assert await put(ann, grant, content) == 412


async def test_urls_are_built_on_the_address_the_client_used(ann: SignedIn) -> None:
    offer = packed(b"block")[1]
    body = {"namespace": ann.root, "packs": [offer]}
    _, answer = await ann.post("/v1/packs", body, headers={"host": "files.example.org:9"})
    assert answer["packs"][0]["put"]["url"].startswith("http://files.example.org:9/objects/")
    _, answer = await ann.post("/v1/packs", body, headers={"host": "x" * 300})
    assert answer["packs"][0]["put"]["url"].startswith(ann.server.url + "/objects/")
    for host in ("a b", "x/../y", "evil\"'"):
        status, _ = await ann.post("/v1/packs", body, headers={"host": host})
        assert status == 400


def _entry(**changed: Any) -> dict[str, Any]:
    return {"hash": os.urandom(32).hex(), "offset": 0, "length": 60, "plain_size": 50, "codec": "raw"} | changed


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"size": 0}, 400, "request.invalid"),
        ({"size": -5}, 400, "request.invalid"),
        ({"size": "100"}, 400, "request.invalid"),
        ({"size": PACK_MAX_BYTES + 4096}, 413, "limit.exceeded"),
        ({"sha256": "xy" * 32}, 400, "request.invalid"),
        ({"sha256": "AB" * 32}, 400, "request.invalid"),
        ({"pack_key": base64.b64encode(b"short").decode()}, 400, "request.invalid"),
        ({"pack_key": "!"}, 400, "request.invalid"),
        ({"index": []}, 400, "request.invalid"),
        ({"index": [_entry(offset=41)]}, 400, "request.invalid"),
        ({"index": [_entry(offset=-1)]}, 400, "request.invalid"),
        ({"index": [_entry(length=0)]}, 400, "request.invalid"),
        ({"index": [_entry(length=40)]}, 400, "request.invalid"),
        ({"index": [_entry(plain_size=0)]}, 400, "request.invalid"),
        ({"index": [_entry(plain_size=1 << 24)]}, 400, "request.invalid"),
        ({"index": [_entry(hash="../../etc")]}, 400, "request.invalid"),
        ({"index": [_entry(codec="lz4")]}, 400, "request.invalid"),
        ({"index": [_entry(), _entry(offset=30)], "size": 200}, 400, "request.invalid"),
        ({"index": [_entry(hash="ab" * 32), _entry(hash="ab" * 32, offset=60)], "size": 200}, 400, "request.invalid"),
        ({"index": [_entry(offset=60 * n) for n in range(PACK_BLOCKS_MAX + 1)], "size": 1 << 20}, 413, "limit.exceeded"),
    ],
)
async def test_a_dishonest_offer_is_refused_whole(ann: SignedIn, changed: dict[str, Any], status: int, code: str) -> None:
    body = {"namespace": ann.root, "packs": [packed(b"good")[1], offer_of(**changed)]}
    got, problem = await ann.post("/v1/packs", body)
    assert (got, problem["code"]) == (status, code)


async def test_batches_are_bounded(ann: SignedIn) -> None:
    over = BATCH_MAX + 1
    for path, body in (
        ("/v1/blocks/missing", {"namespace": ann.root, "hashes": ["ab" * 32] * over}),
        ("/v1/packs", {"namespace": ann.root, "packs": [offer_of()] * over}),
        ("/v1/packs/done", {"pack_ids": [NOBODY] * over}),
        ("/v1/manifests", {"namespace": ann.root, "revisions": [{"node_id": NOBODY, "revision": 1}] * over}),
    ):
        status, problem = await ann.post(path, body)
        assert (status, problem["code"]) == (413, "limit.exceeded"), path


async def test_foreign_namespaces_do_not_exist(ann: SignedIn, bob: SignedIn) -> None:
    for namespace in (bob.root, NOBODY, "nonsense", ""):
        for path, body in (
            ("/v1/blocks/missing", {"hashes": ["ab" * 32]}),
            ("/v1/packs", {"packs": [offer_of()]}),
            ("/v1/manifests", {"revisions": [{"node_id": NOBODY, "revision": 1}]}),
        ):
            status, problem = await ann.post(path, body | {"namespace": namespace})
            assert (status, problem["code"]) == (404, "not_found"), path


async def test_what_is_no_hash_is_refused(ann: SignedIn) -> None:
    status, problem = await ann.post("/v1/blocks/missing", {"namespace": ann.root, "hashes": ["zz"]})
    assert (status, problem["code"]) == (400, "id.invalid")


async def test_nothing_at_rest_shows_a_pack_key(server: RunningServer, ann: SignedIn) -> None:
    content, offer = packed(b"block")
    (grant,) = await granted(ann, offer)
    assert await put(ann, grant, content) == 200
    key = base64.b64decode(offer["pack_key"])
    assert [path for path in server.data.rglob("*") if path.is_file() and key in path.read_bytes()] == []


async def test_objects_need_no_token_but_a_signature(server: RunningServer, ann: SignedIn) -> None:
    content, offer = packed(b"block")
    (grant,) = await granted(ann, offer)
    url = grant["put"]["url"].partition("?")[0]
    async with aiohttp.ClientSession(headers=ann.headers) as http:
        async with http.put(url, data=content, headers=grant["put"]["headers"]) as answer:
            assert (answer.status, answer.content_type) == (403, "application/problem+json")
            assert "x-request-id" in answer.headers
        async with http.get(url) as answer:
            assert answer.status == 403
