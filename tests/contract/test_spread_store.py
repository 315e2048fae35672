"""Several buckets as one store: where objects come to lie, and that they are found again. Asked of SeaweedFS."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.seaweed import Seaweed, bucket_of
from yarl import URL

from syncline.adapters.machine import MachineChance
from syncline.adapters.objects.s3.spread import MARKS, SpreadObjects
from syncline.adapters.objects.s3.store import Enforced, S3Objects
from syncline.content.digest import digest
from syncline.model.errors import NotFound
from syncline.ports.object_store import ObjectStat

BODY = os.urandom(1000)
KEYS = ["0123456789abcdef0123", "0123456789abcdef0123g", "0123456789abcdef0123h"]


@pytest.fixture
async def buckets(seaweed: Seaweed) -> AsyncIterator[list[S3Objects]]:
    name = MachineChance().token(8).hex()
    opened = [S3Objects(bucket_of(seaweed, f"spread-{name}-{number}"), Enforced(checksum=True, once=True)) for number in range(3)]
    yield opened
    for bucket in opened:
        await bucket.close()


def test_new_keys_name_every_bucket_about_as_often(buckets: list[S3Objects]) -> None:
    spread = SpreadObjects(buckets)
    keys = [spread.fresh_key(MachineChance()) for _ in range(3000)]
    assert len(set(keys)) == 3000
    for mark in ("", *MARKS[:2]):
        of_this = [key for key in keys if (key[-1] in MARKS) == bool(mark) and key.endswith(mark)]
        assert 800 < len(of_this) < 1200
    assert not any(key[-1] in MARKS for key in (SpreadObjects(buckets[:1]).fresh_key(MachineChance()) for _ in range(100)))


async def test_each_object_lies_where_its_key_says(buckets: list[S3Objects]) -> None:
    spread = SpreadObjects(buckets)
    for key in KEYS:
        await spread.write(key, BODY)
    for number, key in enumerate(KEYS):
        assert [await bucket.size_of(key) for bucket in buckets] == [len(BODY) if at == number else None for at in range(3)]
        assert await spread.head(key) == ObjectStat(len(BODY), digest(BODY))
        assert await spread.read(key, 10, 5) == BODY[10:15]
    assert [found.key for found in await spread.listed("", 10)] == KEYS
    assert [found.key for found in await spread.listed(KEYS[0], 1)] == KEYS[1:2]
    await spread.remove(KEYS[1])
    assert await spread.size_of(KEYS[1]) is None
    assert [found.key for found in await spread.listed("", 2)] == [KEYS[0], KEYS[2]]


async def test_presigned_requests_and_parts_go_there_too(buckets: list[S3Objects]) -> None:
    spread = SpreadObjects(buckets)
    put = spread.presign_put(KEYS[1], size=len(BODY), sha256=digest(BODY), ttl_s=60)
    upload = await spread.create_multipart(KEYS[2])
    part = spread.presign_part(KEYS[2], upload, 1, size=len(BODY), ttl_s=60)
    async with aiohttp.ClientSession() as http:
        for request in (put, part):
            async with http.put(URL(request.url, encoded=True), data=BODY, headers=request.headers) as answer:
                assert answer.status == 200
        await spread.complete_multipart(KEYS[2], upload, await spread.list_parts(KEYS[2], upload))
        for key in KEYS[1:]:
            async with http.get(URL(spread.presign_get(key, ttl_s=60).url, encoded=True)) as answer:
                assert await answer.read() == BODY
    assert (await buckets[1].size_of(KEYS[1]), await buckets[2].size_of(KEYS[2])) == (len(BODY), len(BODY))
    gone = await spread.create_multipart(KEYS[1] + "h")
    await spread.abort_multipart(KEYS[1] + "h", gone)
    with pytest.raises(NotFound):
        await spread.list_parts(KEYS[1] + "h", gone)


async def test_buckets_may_be_added_and_what_lay_there_is_found(buckets: list[S3Objects]) -> None:
    await buckets[0].write(KEYS[0], BODY)
    assert await SpreadObjects(buckets).read(KEYS[0], 0, len(BODY)) == BODY
    await SpreadObjects(buckets).write(KEYS[2], BODY)
    with pytest.raises(NotFound, match="more_buckets"):
        await SpreadObjects(buckets[:2]).read(KEYS[2], 0, 1)
