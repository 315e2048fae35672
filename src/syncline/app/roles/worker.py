"""The worker role: taking in plain uploads, the sweeps that settle what ended without a word, and the relay to the bus.

All of it may run in several processes at once, and twice: each act asks the database whether it is still due.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from syncline.app.roles.blocks import BlockRooms
from syncline.app.roles.ground import Ground
from syncline.app.roles.metadata import MetadataRooms
from syncline.model.errors import SynclineError
from syncline.ports.clock import Clock
from syncline.ports.leases import Leases
from syncline.ports.raw_store import RawContent
from syncline.server.notify.relay import Relay
from syncline.server.workers.ingest import Ingest

TEND_EVERY_S: Final = 60.0
SWEEP_BATCH: Final = 500
WORKER_PAUSE_S: Final = 5.0
COMPLAIN_EVERY_S: Final = 60.0
TENDING: Final = "tending"
"""The lease of whoever sweeps."""
TENDING_TTL_S: Final = 60.0
"""Beyond the pause between two rounds: how late a worker may be before another takes over."""

log: Final[Any] = structlog.get_logger("syncline.worker")


def ingest_room(ground: Ground, core: MetadataRooms) -> Ingest:
    """What takes in the contents of plain uploads. `wake` tells it of one."""
    stores, clock, chance = ground.stores, ground.clock, ground.chance
    ingest = Ingest(core.metadata, stores.raws, stores.packs, ground.objects, ground.wrapper, clock, chance, _ingest_failed)
    ground.observing.ingest(ingest)
    return ingest


def relay_room(ground: Ground) -> Relay:
    """What passes on to the bus whatever was committed, woken by the commits of this process."""
    metadata, leases = ground.stores.metadata, ground.stores.leases
    told = Complaints("relay", ground.clock)
    relay = Relay(metadata, leases, ground.bus, ground.clock, ground.chance, holder_of(ground), told)
    ground.word.listeners.append(relay.wake)
    return relay


def holder_of(ground: Ground) -> str:
    """What this process is called among those that want the same lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{ground.ids.fresh()}"


@asynccontextmanager
async def working(ground: Ground, core: MetadataRooms, blocks: BlockRooms, ingest: Ingest) -> AsyncIterator[None]:
    """Everything that goes on in the background, until the block ends."""
    sweeps: dict[str, Callable[[], Awaitable[object]]] = {
        "sweep": lambda: blocks.receiving.sweep(SWEEP_BATCH),
        "uploads": lambda: blocks.uploads.sweep(SWEEP_BATCH),
        "raw": lambda: ingest.sweep(SWEEP_BATCH),
        "prune": core.metadata.prune,
        "expire": core.past.expiry.tend,
    }
    tending = _Tending(ground.stores.leases, holder_of(ground), ground.observing.tasks(sweeps))
    tasks = [asyncio.ensure_future(tending.run()), asyncio.ensure_future(at_work("ingest", ingest.run))]
    if ground.config.bus.kind != "memory":
        tasks.append(asyncio.ensure_future(at_work("relay", relay_room(ground).run)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ingest.close()


class Complaints:
    """Says that something fails: at once when it begins to or fails in another way, then once a minute."""

    def __init__(self, task: str, clock: Clock) -> None:
        self._task = task
        self._clock = clock
        self._last = ("", 0.0)

    def __call__(self, error: SynclineError) -> None:
        code, said_s = self._last
        now_s = self._clock.monotonic_s()
        if error.code != code or now_s - said_s > COMPLAIN_EVERY_S:
            self._last = (error.code, now_s)
            log.warning("worker failed", task=self._task, code=error.code)


class _Tending:
    """Settles grants and uploads that ended without a word and forgets what is past its time, a bounded amount every so often; of
    several workers only one, as long as it lives."""

    def __init__(self, leases: Leases, holder: str, sweeps: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._leases = leases
        self._holder = holder
        self._sweeps = sweeps

    async def run(self) -> None:
        """For ever; ends by cancellation, and lets another go on then."""
        try:
            while True:
                await asyncio.sleep(TEND_EVERY_S)
                for name, work in self._sweeps.items():
                    await self._one(name, work)
        finally:
            with suppress(SynclineError):
                # Where the database is away, the lease ends by itself.
                await self._leases.release(TENDING, self._holder)

    async def _one(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            if await self._leases.hold(TENDING, self._holder, TEND_EVERY_S + TENDING_TTL_S):
                await work()
        except SynclineError as error:
            log.warning("tending failed", task=name, code=error.code)
        except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
            log.error("tending failed", task=name, kind=type(error).__name__)


async def at_work(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A worker that outlives whatever happens to it."""
    while True:
        try:
            await run()
        except SynclineError as error:
            log.warning("worker failed", task=name, code=error.code)
        except Exception as error:  # noqa: BLE001 - the supervisor of a task that must outlive a bad round
            log.error("worker failed", task=name, kind=type(error).__name__)
        await asyncio.sleep(WORKER_PAUSE_S)


def _ingest_failed(raw: RawContent, error: Exception) -> None:
    """Says that a content could not be taken in, and nothing of what it is."""
    kind = error.code if isinstance(error, SynclineError) else type(error).__name__
    log.warning("ingest failed", node=raw.node, revision=raw.revision, attempts=raw.attempts + 1, kind=kind)
