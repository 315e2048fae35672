"""Whether and how a server is watched: figures for Prometheus where `metrics_listen` says so, traces where `[telemetry]` does.

Without either nothing is wrapped and nothing is imported: the rooms run as they would without this module. Whoever builds a room
hands it in here before its methods are passed on to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import structlog

from syncline.adapters.objects.signing import PREFIX
from syncline.adapters.observed.calls import time_calls
from syncline.adapters.observed.database import observe_database
from syncline.adapters.observed.requests import App, ObservedApp
from syncline.adapters.observed.rooms import Task, WakeUps, observe_ingest, observe_metadata, observed_tasks
from syncline.adapters.sql.backlog import SqlBacklog
from syncline.adapters.sql.database import Database
from syncline.app.config import ServerConfig
from syncline.model.errors import InvalidRequest, SynclineError
from syncline.ports.backlog import Backlog
from syncline.ports.clock import Clock
from syncline.ports.meter import NO_METER, Meter
from syncline.ports.metrics import (
    BACKLOG_DONE,
    BUILD,
    INGEST_OLDEST,
    INGEST_WAITING,
    OBJECT_SECONDS,
    PEER_SECONDS,
    RELAY_LAG,
    RELAY_WAITING,
    UPLOADS_OPEN,
)
from syncline.ports.tracer import NO_TRACER, Tracer
from syncline.server.content.downloads import CONTENT_PREFIX
from syncline.server.gateway.edge import is_streamed
from syncline.server.notify.hub import Hub

if TYPE_CHECKING:
    from syncline.adapters.telemetry.otlp import OtlpTracer
    from syncline.adapters.telemetry.prometheus import PrometheusMeter

BACKLOG_EVERY_S: Final = 15.0
BULK: Final = (PREFIX, CONTENT_PREFIX)
"""Doors without a route, behind which files' bytes pass."""
OBJECT_CALLS: Final = (
    *("head", "read", "write", "remove", "size_of"),
    *("create_multipart", "list_parts", "complete_multipart", "abort_multipart"),
)
Ready = Callable[[], Awaitable[None]]
log: Final[Any] = structlog.get_logger("syncline.observing")


class Observing:
    def __init__(
        self, clock: Clock, *, prometheus: PrometheusMeter | None = None, tracer: Tracer | None = None, requests: bool = False
    ) -> None:
        """`requests`: each one is logged, at debug level."""
        self.prometheus = prometheus
        self.meter: Meter = prometheus or NO_METER
        self.tracer = tracer or NO_TRACER
        self._clock = clock
        self._on = prometheus is not None or tracer is not None
        self._requests = requests
        self._wake_ups = WakeUps(clock, self.meter)

    def running(self, roles: str) -> None:
        self.meter.stand(BUILD, 1, version("syncline"), roles)

    def database(self, database: Database) -> None:
        if self._on:
            observe_database(database, self._clock, self.meter, self.tracer)

    def objects(self, objects: object) -> None:
        if self._on:
            time_calls(objects, OBJECT_CALLS, self._clock, self.meter, OBJECT_SECONDS, span="objects", tracer=self.tracer)

    def peers(self, role: str, carrier: object) -> None:
        """What carries a gateway's questions to a role that is in other processes."""
        if self._on:
            time_calls(
                carrier, ("call",), self._clock, self.meter, PEER_SECONDS, label=role, span=f"peers.{role}", tracer=self.tracer
            )

    def metadata(self, metadata: object) -> None:
        if self._on:
            observe_metadata(metadata, self._clock, self.meter, self.tracer)

    def hub(self, hub: Hub) -> None:
        if self._on:
            self._wake_ups.observe_hub(hub)

    def polling(self, polling: object) -> None:
        if self._on:
            self._wake_ups.observe_polling(polling)

    def ingest(self, ingest: object) -> None:
        if self._on:
            observe_ingest(ingest, "take_in", self._clock, self.meter)

    def tasks(self, tasks: Mapping[str, Task]) -> dict[str, Task]:
        return observed_tasks(tasks, self._clock, self.meter) if self._on else dict(tasks)

    def app(self, app: App) -> App:
        if not (self._on or self._requests):
            return app
        return ObservedApp(
            app,
            self._clock,
            self.meter,
            bulk=BULK,
            content=carries_content,
            said=self._wake_ups.said,
            tracer=self.tracer,
        )

    @asynccontextmanager
    async def answering(
        self, listen: str | None, database: Database | None, ready: Ready, *, relay: bool = False
    ) -> AsyncIterator[None]:
        """Until the block ends Prometheus is answered at `listen`, and the backlogs of `database`, if this process has one, are
        counted every so often; `relay`: somebody tells a bus what is new. Raises `LocalIo`."""
        if self.prometheus is None or listen is None:
            yield
            return
        from syncline.app.scraping import scraped

        counting = [] if database is None else [asyncio.ensure_future(self._count(SqlBacklog(database), relay))]
        try:
            async with scraped(listen, self.prometheus, ready):
                yield
        finally:
            for task in counting:
                task.cancel()
            await asyncio.gather(*counting, return_exceptions=True)

    async def _count(self, store: SqlBacklog, relay: bool) -> None:
        while True:
            try:
                self._tell(await store.look(relay=relay), relay)
            except SynclineError as error:
                log.warning("counting failed", code=error.code)
            except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
                log.error("counting failed", kind=type(error).__name__)
            await asyncio.sleep(BACKLOG_EVERY_S)

    def _tell(self, seen: Backlog, relay: bool) -> None:
        now_us, stand = self._clock.now_us(), self.meter.stand
        stand(UPLOADS_OPEN, seen.uploads_open)
        stand(INGEST_WAITING, seen.ingest_waiting)
        stand(INGEST_OLDEST, _age_s(seen.ingest_oldest_us, now_us))
        if relay:
            stand(RELAY_WAITING, seen.relay_waiting)
            stand(RELAY_LAG, _age_s(seen.relay_oldest_us, now_us))
        stand(BACKLOG_DONE, now_us / 1e6)


@asynccontextmanager
async def observed(config: ServerConfig, clock: Clock, roles: str) -> AsyncIterator[Observing]:
    """What the configuration says; what was seen last is sent off at the end. Raises `InvalidRequest`."""
    meter, tracer = None, None
    if config.metrics_listen is not None:
        from syncline.adapters.telemetry.prometheus import PrometheusMeter

        meter = PrometheusMeter()
    if config.telemetry.endpoint is not None:
        tracer = _tracer(config.telemetry.endpoint, config.telemetry.sample, roles)
    observing = Observing(clock, prometheus=meter, tracer=tracer, requests=config.log_level == "debug")
    observing.running(roles)
    try:
        yield observing
    finally:
        if tracer is not None:
            await asyncio.to_thread(tracer.close)


def _tracer(endpoint: str, sample: float, roles: str) -> OtlpTracer:
    try:
        from syncline.adapters.telemetry.otlp import OtlpTracer
    except ImportError as error:
        raise InvalidRequest(message='telemetry.endpoint needs OpenTelemetry: pip install "syncline[telemetry]"') from error
    return OtlpTracer(endpoint, sample=sample, version=version("syncline"), roles=roles)


def carries_content(path: str) -> bool:
    """Whether bytes of files pass at this door, and not only facts about them."""
    return path.startswith(BULK) or is_streamed(path) or (path.startswith("/s/") and path.endswith("/zip"))


def _age_s(since_us: int | None, now_us: int) -> float:
    return 0.0 if since_us is None else max(0.0, (now_us - since_us) / 1e6)
