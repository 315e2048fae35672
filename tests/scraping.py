"""Reading what a server tells Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from syncline.ports.meter import Metric
from syncline.testing.services.postgres import free_port
from tests.server import RunningServer, running_server

WAIT_S = 20


class Figures:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def of(self, metric: Metric | str, **labels: str) -> float:
        """The sum of a metric's series with these labels; of a histogram, how many were observed."""
        name = metric if isinstance(metric, str) else metric.name + ("_count" if metric.bounds else "")
        wanted = set(labels.items())
        return sum(value for (known, has), value in self.samples.items() if known == name and wanted <= set(has))

    def labels(self, name: str) -> set[str]:
        return {value for (_, has) in self.samples for label, value in has if label == name}


@dataclass
class Scraped:
    server: RunningServer
    url: str

    async def figures(self) -> Figures:
        async with self.server.http.get(self.url + "/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/plain")
            return Figures(await answer.text())

    async def until(self, true: Callable[[Figures], bool]) -> Figures:
        """Figures are told after the answer went out, so what an answer brings may come a moment later."""
        async with asyncio.timeout(WAIT_S):
            while True:
                figures = await self.figures()
                if true(figures):
                    return figures
                await asyncio.sleep(0.01)


@asynccontextmanager
async def scraped_server(folder: Path, more: str = "") -> AsyncIterator[Scraped]:
    port = free_port()
    file = folder / "server.toml"
    file.write_text(f'metrics_listen = "127.0.0.1:{port}"\n{more}')
    async with running_server(folder, file=file) as server:
        yield Scraped(server, f"http://127.0.0.1:{port}")


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status
