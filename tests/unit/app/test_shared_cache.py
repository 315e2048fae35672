"""A real server beside a real Redis that dies, stalls and forgets: people notice nothing, and limits hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.scraping import Scraped, scraped_server, status_of
from tests.unit.server_gateway.nodes import commit, create_folder

from syncline.ports import metrics
from syncline.testing.services.redis import Redis

pytestmark = pytest.mark.real


@pytest.fixture
async def scraped(tmp_path: Path, redis_service: Redis) -> AsyncIterator[Scraped]:
    async with scraped_server(tmp_path, f'redis = "{redis_service.url}"\n') as running:
        yield running


async def test_pages_come_from_redis_and_are_true(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    await commit(ann, *(create_folder(ann.root, f"folder {number}") for number in range(20)))
    async with asyncio.timeout(60):
        # On a machine that has no time for it, Redis may be left alone now and then.
        while (await scraped.figures()).of(metrics.CACHE_CALLS, call="get", outcome="hit") < 5:
            assert len((await ann.get("/v1/changes"))[1]["entries"]) == 20
    await commit(ann, create_folder(ann.root, "one more"))
    assert len((await ann.get("/v1/changes"))[1]["entries"]) == 21
    assert len((await ann.get("/v1/snapshot"))[1]["entries"]) == 21


@pytest.mark.parametrize("trouble", ["dead", "stalled", "flushed"])
async def test_trouble_with_redis_is_nobodys_trouble(scraped: Scraped, redis_service: Redis, trouble: str) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    await commit(ann, create_folder(ann.root, "before"))
    assert (await ann.get("/v1/changes"))[0] == 200
    {"dead": redis_service.kill, "stalled": redis_service.stop, "flushed": redis_service.flush}[trouble]()
    try:
        for number in range(15):
            for answer in (
                await commit(ann, create_folder(ann.root, f"during {number}")),
                await ann.get("/v1/changes"),
                await ann.get(f"/v1/folders/{ann.root}/children"),
            ):
                assert answer[0] == 200
        assert len((await ann.get("/v1/changes"))[1]["entries"]) == 16
        second = await scraped.server.sign_in("ann@example.org")
        assert (await second.call("DELETE", f"/v1/devices/{ann.device_id}"))[0] == 204
        status, problem = await ann.get("/v1/me")
        assert (status, problem["code"]) == (401, "auth.invalid")
        assert await status_of(scraped.server.http, scraped.server.url + "/readyz") == 200
    finally:
        redis_service.go_on()


async def test_who_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    """Four requests a minute for a device, six for its user."""
    async with scraped_server(tmp_path, "[limits]\ndevice_per_minute = 4\nuser_per_minute = 6\n") as scraped:
        ann = await scraped.server.newcomer("ann@example.org")  # which asked once
        bob = await scraped.server.newcomer("bob@example.org")
        assert [(await ann.get("/v1/me"))[0] for _ in range(3)] == [200] * 3
        status, problem = await ann.get("/v1/me")
        assert (status, problem["code"], problem["retryable"]) == (429, "rate.limited", True)
        assert 1 <= problem["retry_after"] <= 60
        again = await scraped.server.sign_in("ann@example.org")  # which asked once, too
        assert [(await again.get("/v1/me"))[0] for _ in range(2)] == [200, 429]
        assert (await bob.get("/v1/me"))[0] == 200
        told = await scraped.until(lambda figures: figures.of(metrics.LIMITED, by="user") == 1)
        assert told.of(metrics.LIMITED, by="device") == 1


async def test_limits_hold_with_redis_and_while_it_is_away(tmp_path: Path, redis_service: Redis) -> None:
    """Calls are counted there or here: at most twice what is allowed passes, however often Redis comes and goes."""
    more = f'redis = "{redis_service.url}"\n[limits]\ndevice_per_minute = 4\n'
    async with scraped_server(tmp_path, more) as scraped:
        ann = await scraped.server.newcomer("ann@example.org")
        answers = [await ann.get("/v1/me") for _ in range(9)]
        assert {status for status, _ in answers} == {200, 429}
        assert answers[-1][1]["code"] == "rate.limited"
        redis_service.kill()
        answers = [await ann.get("/v1/me") for _ in range(9)]
        assert sum(status == 200 for status, _ in answers) <= 4
        assert answers[-1][0] == 429


async def test_an_address_is_limited_before_anything_else(tmp_path: Path) -> None:
    async with scraped_server(tmp_path, "[limits]\naddress_per_minute = 3\n") as scraped:
        url = scraped.server.url
        asked = [await status_of(scraped.server.http, url + path) for path in ("/v1/me", "/objects/x", "/s/token", "/v1/me")]
        assert asked == [401, 403, 404, 429]
        async with scraped.server.http.get(url + "/v1/me") as answer:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert (await answer.json(content_type=None))["code"] == "rate.limited"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await scraped.server.http.ws_connect(url + "/v1/notifications/ws")
        assert refused.value.status == 429
        for path in ("/healthz", "/readyz"):
            assert await status_of(scraped.server.http, url + path) == 200
