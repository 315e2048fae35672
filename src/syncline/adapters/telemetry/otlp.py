"""`ports.tracer.Tracer` on OpenTelemetry: spans go to a collector by OTLP over HTTP, in batches, from a thread of their own.

An error is told by its kind alone, since its words may hold a name. A collector that is away costs spans, never a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from syncline.model.errors import SynclineError
from syncline.ports.tracer import TRACEPARENT, Closed

EXPORT_TIMEOUT_S: Final = 2.0
QUEUED_MAX: Final = 4096
_TRACEPARENT: Final = "traceparent"


class OtlpTracer:
    """`sample` is the share of requests that are followed; a request that says it is followed already is followed on."""

    def __init__(self, endpoint: str, *, sample: float, version: str, roles: str) -> None:
        resource = Resource.create({"service.name": "syncline", "service.version": version, "syncline.roles": roles})
        self._provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(sample)), resource=resource)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUED_MAX))
        self._tracer = self._provider.get_tracer("syncline", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, /, *, parent: str = "", facts: Mapping[str, str] | None = None) -> Closed:
        if not trace.get_current_span().get_span_context().is_valid:
            parent = parent or TRACEPARENT.get()
        above = self._propagator.extract({_TRACEPARENT: parent}) if parent else None
        span = self._tracer.start_span(name, above, attributes=dict(facts or {}))
        token = context.attach(trace.set_span_in_context(span))
        told = TRACEPARENT.set(self._traceparent())

        def closed(error: BaseException | None) -> None:
            if error is not None:
                kind = error.code if isinstance(error, SynclineError) else type(error).__name__
                span.set_status(Status(StatusCode.ERROR, kind))
            TRACEPARENT.reset(told)
            context.detach(token)
            span.end()

        return closed

    def name(self, name: str, /, facts: Mapping[str, str]) -> None:
        span = trace.get_current_span()
        span.update_name(name)
        span.set_attributes(dict(facts))

    def _traceparent(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_TRACEPARENT, "")

    def close(self) -> None:
        """Sends what is left, for a bounded time. Blocks."""
        self._provider.shutdown()
