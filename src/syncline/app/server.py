"""The server: the rooms of its roles (`app/roles/`) put together, run by uvicorn, and ended without losing a request.

Start: socket bound, data directory held, database and store opened, then one line says where. End: it says that it is not ready,
for `notice_s` seconds; then waits are answered, no new request is taken, those under way get `drain_s` seconds, the database closes
and the directory is let go.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.app import memory
from syncline.app.config import ServerConfig
from syncline.app.listener import Listener, base_url, bound
from syncline.app.processes.process import built

log: Final[Any] = structlog.get_logger("syncline.server")


async def serve(config: ServerConfig, *, ready: Callable[[str], None] | None = None, stop: asyncio.Event | None = None) -> None:
    """Runs this process until `stop` is set (by default: until SIGTERM or SIGINT). `ready` is told the base URL once it listens.

    Raises `ServerRunning`, `LocalIo`, `Corrupt`, `Unavailable`, and `InvalidRequest` naming a key of the configuration.
    """
    with _stopping(stop) as ending, bound(config) as listener:
        async with built(config, MachineClock(), MachineChance(), ending) as process:
            memory.freeze()
            url = base_url(config, listener)
            server = Listener(config, process.app, lambda: (ready or _announce)(url))
            running = asyncio.ensure_future(server.serve(sockets=[listener]))
            waiting = asyncio.ensure_future(ending.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            ending.set()
            log.info("draining", waits=process.waiting)
            await asyncio.wait((running,), timeout=config.notice_s)
            process.close()
            server.should_exit = True
            await running
    log.info("stopped")


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
