"""A tiny OpenTelemetry collector: takes OTLP traces over HTTP, and remembers them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web


@dataclass
class Collector:
    url: str = ""
    spans: list[Any] = field(default_factory=list)
    """`opentelemetry.proto.trace.v1.Span`, in the order they came."""
    resources: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        asked = cast(Any, ExportTraceServiceRequest).FromString(await request.read())
        for batch in asked.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in batch.resource.attributes})
            for scope in batch.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.url = f"http://{host}:{port}"
        yield collector
    finally:
        await runner.cleanup()
