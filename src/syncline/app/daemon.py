"""The background engine of one home: `python -m syncline.app.daemon`, with `SYNCLINE_HOME` set. `syncline start` runs it.

It holds the home's lock, serves the control socket, and ends on SIGTERM, SIGINT or the op `stop`, leaving a state from which the
next start goes on. Its log is the home's `daemon.log` (standard error is redirected there by whoever starts it).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import structlog

from syncline.app import memory
from syncline.app.control import ControlServer, handlers_for
from syncline.app.device import Device
from syncline.app.home import Home
from syncline.model.errors import SynclineError


def configure_logging(level: str) -> None:
    """Plain lines with a time on standard error."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def serve(home: Home) -> None:
    """Runs until stopped."""
    device = await Device.open(home)
    control = ControlServer(handlers_for(device))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, device.stop)
    try:
        await control.start(home.control_socket)
        await device.run()
    finally:
        await control.close()
        await device.close()


def main() -> int:
    import uvloop

    memory.settle()
    home = Home.from_environment()
    configure_logging(home.options().log_level)
    try:
        with home.lock():
            memory.freeze()
            uvloop.run(serve(home))
    except SynclineError as error:
        print(f"syncline: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
