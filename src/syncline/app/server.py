"""The server: the rooms of its roles (`app/roles/`) put together, run by uvicorn, and ended without losing a request.

Start: data directory held, database and store opened, socket bound, then one line says where. End: waits are answered, no new
request is taken, those under way get `drain_s` seconds, then the database closes and the directory is let go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import structlog

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app import memory
from syncline.app.config import ServerConfig
from syncline.app.data import DataDirectory
from syncline.app.listener import Listener, base_url, bound
from syncline.app.observing import observed
from syncline.app.roles.blocks import block_rooms
from syncline.app.roles.content import byte_doors, content_rooms
from syncline.app.roles.gateway import gateway_services, ready_check
from syncline.app.roles.ground import Ground, opened
from syncline.app.roles.metadata import metadata_rooms
from syncline.app.roles.notify import notify_rooms, notifying
from syncline.app.roles.showing import showing_rooms
from syncline.app.roles.worker import ingest_room, working
from syncline.ports.clock import Ids
from syncline.server.gateway.app import create_app
from syncline.server.gateway.edge import App

log: Final[Any] = structlog.get_logger("syncline.server")


async def serve(config: ServerConfig, *, ready: Callable[[str], None] | None = None, stop: asyncio.Event | None = None) -> None:
    """Runs the server until `stop` is set (by default: until SIGTERM or SIGINT). `ready` is told the base URL once it listens.

    Raises `ServerRunning`, `LocalIo`, `Corrupt`, `InvalidRequest` where the object store refuses its configuration, `Unavailable`.
    """
    clock, chance = MachineClock(), MachineChance()
    data = DataDirectory.open(config.data.resolve(), chance, Ids(clock, chance))
    with data.held(), _stopping(stop) as ending, bound(config) as listener:
        async with (
            observed(config, clock, "all") as observing,
            opened(config, data, clock, chance, ending, observing) as ground,
            _built(ground) as app,
            observing.answering(
                config.metrics_listen, ground.stores.database, ready_check(ground), relay=config.bus.kind != "memory"
            ),
        ):
            memory.freeze()
            url = base_url(config, listener)
            server = Listener(config, app, lambda: (ready or _announce)(url))
            running = asyncio.ensure_future(server.serve(sockets=[listener]))
            waiting = asyncio.ensure_future(ending.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            log.info("draining", waits=ground.hub.waiting)
            ending.set()
            ground.hub.close()
            server.should_exit = True
            await running
    log.info("stopped")


@asynccontextmanager
async def _built(ground: Ground) -> AsyncIterator[App]:
    """The application with the rooms of every role."""
    core = metadata_rooms(ground)
    ingest = ingest_room(ground, core)
    blocks = block_rooms(ground, core, ingest.wake)
    content = content_rooms(ground, core)
    showing = showing_rooms(ground, core, blocks, content)
    notify = notify_rooms(ground, core)
    services = gateway_services(ground, core, blocks, content, showing, notify)
    try:
        async with working(ground, core, blocks, ingest), notifying(ground, notify):
            app = create_app(services, byte_doors(ground, content, blocks), ground.chance, notify.door)
            yield ground.observing.app(app)
    finally:
        await core.drain()
        blocks.close()


def _announce(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


@contextmanager
def _stopping(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """`stop`, or an event that SIGTERM and SIGINT set."""
    if stop is not None:
        yield stop
        return
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
