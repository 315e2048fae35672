"""What a real server tells Prometheus: each promise's figure moves when what it counts happens, and no label says who or what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.scraping import Figures, Scraped, scraped_server, status_of
from tests.server import running_server
from tests.unit.server_gateway.content import sent
from tests.unit.server_gateway.nodes import commit, create_file, create_folder
from tests.unit.server_gateway.test_sockets import socket
from tests.unit.server_gateway.uploading import settled, uploaded

from syncline.adapters.observed.rooms import observed_tasks
from syncline.adapters.telemetry.prometheus import OTHER, SERIES_MAX, PrometheusMeter
from syncline.app.observing import Observing
from syncline.model.errors import Unavailable
from syncline.ports import metrics
from syncline.ports.meter import Metric, Shape
from syncline.testing.clocks import ManualClock

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture
async def scraped(tmp_path: Path) -> AsyncIterator[Scraped]:
    async with scraped_server(tmp_path) as running:
        yield running


async def test_requests_commits_and_the_journal_are_counted(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    before = await scraped.figures()
    assert before.of(metrics.FILES_COMMITTED) == 0
    await sent(ann, b"one", b"two")
    assert (await commit(ann, create_file(ann.root, "a.txt", [b"one"]), create_file(ann.root, "b.txt", [b"two"])))[0] == 200
    assert (await commit(ann, create_folder(ann.root, "a.txt")))[0] == 409
    assert (await ann.get("/v1/changes", limit=1))[0] == 200
    assert (await ann.get("/no/such/door"))[0] == 404
    told = await scraped.until(lambda figures: figures.of(metrics.REQUESTS, operation="unknown", status="404") == 1)
    assert told.of(metrics.FILES_COMMITTED) == 2
    assert told.of(metrics.COMMIT_SECONDS, outcome="ok") == 1
    assert told.of(metrics.COMMIT_SECONDS, outcome="refused") == 1
    assert told.of(metrics.COMMIT_SECONDS, outcome="failed") == 0
    assert told.of(metrics.REQUESTS, operation="POST /v1/files/commit", status="200") == 1
    assert told.of(metrics.REQUESTS, operation="POST /v1/files/commit", status="409") == 1
    assert told.of(metrics.REQUEST_SECONDS, operation="GET /v1/changes") == 1
    assert told.of(metrics.JOURNAL_LAG) == 1
    assert told.of(metrics.STATEMENT_SECONDS, kind="select") > before.of(metrics.STATEMENT_SECONDS, kind="select") > 0
    assert told.of(metrics.STATEMENT_SECONDS, kind="insert") > before.of(metrics.STATEMENT_SECONDS, kind="insert")
    assert told.of(metrics.DATABASE_WAIT_SECONDS, way="write") >= before.of(metrics.DATABASE_WAIT_SECONDS, way="write") + 2
    assert told.of(metrics.DATABASE_OPEN) == 0
    assert told.of(metrics.REQUESTS_OPEN) == 0
    assert told.of(metrics.BUILD) == 1


async def test_content_and_facts_are_told_apart(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    before = await scraped.until(lambda figures: figures.of(metrics.GATEWAY_BYTES, kind="facts", direction="out") > 0)
    assert before.of(metrics.GATEWAY_BYTES, kind="content") == 0
    block = bytes(range(256)) * 4096  # large enough to go past the HTTP parser
    await sent(ann, block)
    told = await scraped.until(lambda figures: figures.of(metrics.GATEWAY_BYTES, kind="content", direction="in") > 0)
    assert told.of(metrics.REQUESTS, operation="PUT /objects/…", status="200") == 1
    packs = told.of(metrics.GATEWAY_BYTES, kind="content", direction="in")
    await uploaded(ann, "/plain.bin", block)
    await settled(ann, "/plain.bin")
    told = await scraped.until(lambda figures: figures.of(metrics.INGEST_SECONDS, outcome="ok") == 1)
    assert told.of(metrics.GATEWAY_BYTES, kind="content", direction="in") == packs + len(block)
    assert told.of(metrics.OBJECT_SECONDS, call="write", outcome="ok") >= 1
    node = (await ann.get("/v1/metadata", path="/plain.bin"))[1]["entry"]["node_id"]
    async with ann.server.http.get(f"{ann.server.url}/v1/files/{node}/download", headers=ann.headers) as download:
        assert await download.read() == block
    told = await scraped.until(lambda figures: figures.of(metrics.GATEWAY_BYTES, kind="content", direction="out") > 0)
    assert told.of(metrics.GATEWAY_BYTES, kind="content", direction="out") == len(block)


async def test_a_wake_up_is_timed_and_a_poll_that_was_late_is_not(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    cursor = (await ann.get("/v1/changes/latest"))[1]["cursor"]
    poll = asyncio.ensure_future(ann.post("/v1/notifications/poll", {"cursors": [cursor], "timeout": 60}))
    await scraped.until(lambda figures: figures.of(metrics.WAITERS_OPEN) == 1)
    await commit(ann, create_folder(ann.root, "folder"))
    assert (await poll)[1]["changed"] is True
    assert (await scraped.until(lambda figures: figures.of(metrics.WAITERS_OPEN) == 0)).of(metrics.WAKE_UP_SECONDS) == 1
    assert (await ann.post("/v1/notifications/poll", {"cursors": [cursor], "timeout": 60}))[1]["changed"] is True
    polls = "POST /v1/notifications/poll"
    told = await scraped.until(lambda figures: figures.of(metrics.REQUESTS, operation=polls) == 2)
    assert told.of(metrics.WAKE_UP_SECONDS) == 1


async def test_a_hint_over_a_socket_is_timed(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    async with socket(ann) as mine:
        await mine.subscribe()
        assert (await scraped.until(lambda figures: figures.of(metrics.SOCKETS_OPEN) == 1)).of(metrics.WAKE_UP_SECONDS) == 0
        await commit(ann, create_folder(ann.root, "folder"))
        assert (await mine.next())["changed"] is True
        await scraped.until(lambda figures: figures.of(metrics.WAKE_UP_SECONDS) == 1)
    await scraped.until(lambda figures: figures.of(metrics.SOCKETS_OPEN) == 0)


async def test_statements_on_postgresql_are_told_too(tmp_path: Path, postgres_url: str) -> None:
    async with scraped_server(tmp_path, f'database = "{postgres_url}"\n') as scraped:
        told = await scraped.until(lambda figures: figures.of(metrics.BACKLOG_DONE) > 0)
        assert told.of(metrics.STATEMENT_SECONDS, kind="select") >= 3


async def test_backlogs_are_counted(scraped: Scraped) -> None:
    await scraped.until(lambda figures: figures.of(metrics.BACKLOG_DONE) > 0)
    assert (await scraped.figures()).of(metrics.INGEST_WAITING) == 0


async def test_no_label_says_who_or_what(scraped: Scraped) -> None:
    ann = await scraped.server.newcomer("ann@example.org")
    await commit(ann, create_folder(ann.root, "secret-plan"))
    await ann.get("/v1/metadata", path="/secret-plan")
    for path in ("/s/some-token", f"/v1/devices/{ann.device_id}x", "/objects/some-key?signature=topsecret", "/content/ticket/name"):
        await status_of(ann.server.http, ann.server.url + path)
    told = await scraped.until(lambda figures: figures.of(metrics.REQUESTS, operation="GET /content/…") == 1)
    for secret in ("secret-plan", "some-token", "some-key", "topsecret", "ticket", "example.org", ann.device_id, ann.root):
        assert secret not in told.text
    routes = told.labels("operation")
    assert {"GET /s/{token:str}", "GET /objects/…"} <= routes


async def test_metrics_are_for_their_own_listener(scraped: Scraped, tmp_path: Path) -> None:
    server = scraped.server
    assert await status_of(server.http, server.url + "/metrics") == 404
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/me", 404)):
        assert await status_of(server.http, scraped.url + path) == status
    async with running_server(tmp_path / "other") as plain:
        assert await status_of(plain.http, plain.url + "/metrics") == 404


async def test_rounds_of_tasks_are_told_good_and_bad() -> None:
    clock, meter = ManualClock(), PrometheusMeter()

    async def well() -> object:
        clock.advance(2.0)
        return None

    async def badly() -> object:
        raise Unavailable(what="The database")

    tasks = observed_tasks({"well": well, "badly": badly}, clock, meter)
    assert Figures(meter.page().decode()).of(metrics.TASK_FAILURES, task="badly") == 0
    await tasks["well"]()
    with pytest.raises(Unavailable):
        await tasks["badly"]()
    told = Figures(meter.page().decode())
    assert told.of(metrics.TASK_SECONDS, task="well") == 1
    assert told.of("syncline_task_seconds_sum", task="well") == 2.0
    assert told.of(metrics.TASK_DONE, task="well") == clock.now_us() / 1e6
    assert told.of(metrics.TASK_FAILURES, task="badly") == 1
    assert told.of(metrics.TASK_SECONDS, task="badly") == 0


def test_labels_without_end_end_in_one_series() -> None:
    metric = Metric("syncline_things_total", Shape.COUNTER, "Things", ("name",))
    meter = PrometheusMeter([metric])
    for number in range(SERIES_MAX + 7):
        meter.add(metric, 1, f"name {number}")
    told = Figures(meter.page().decode())
    assert told.of(metric, name=OTHER) == 7
    assert len(told.labels("name")) == SERIES_MAX + 1


def test_every_metric_is_explained_and_no_other() -> None:
    page = (DOCS / "operations" / "metrics.md").read_text()
    told = {metric.name for metric in metrics.ALL}
    assert len(told) == len(metrics.ALL) > 25
    assert set(re.findall(r"^\| `(syncline_[a-z_]+)", page, re.MULTILINE)) == told
    assert all(metric.name.endswith("_total") is (metric.shape is Shape.COUNTER) for metric in metrics.ALL)


async def test_an_endless_head_is_cut_off_here_too(scraped: Scraped) -> None:
    address = urlsplit(scraped.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    async def sent_whole() -> None:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: ")
        for _ in range(400):
            writer.write(b"a" * 65536)
            await writer.drain()
        async with asyncio.timeout(10):
            await reader.readexactly(1 << 20)

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await sent_whole()
    writer.close()
    assert await scraped.figures()


async def test_a_gateway_tells_of_what_it_asks_other_roles() -> None:
    clock, meter = ManualClock(), PrometheusMeter()

    class Carrier:
        async def call(self, address: str, question: bytes, *, again: bool, within_s: float) -> bytes:
            clock.advance(0.5)
            if again:
                raise Unavailable(what="The metadata role")
            return question

    carrier = Carrier()
    Observing(clock, prometheus=meter).peers("metadata", carrier)
    assert await carrier.call("accounts/live", b"q", again=False, within_s=1.0) == b"q"
    with pytest.raises(Unavailable):
        await carrier.call("accounts/live", b"q", again=True, within_s=1.0)
    told = Figures(meter.page().decode())
    assert told.of(metrics.PEER_SECONDS, role="metadata", outcome="ok") == 1
    assert told.of(metrics.PEER_SECONDS, role="metadata", outcome="failed") == 1
    assert told.of("syncline_peer_seconds_sum", role="metadata") == 1.0
