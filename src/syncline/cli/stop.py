"""`syncline stop`."""

from __future__ import annotations

import os
import time

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import show
from syncline.model.errors import Unavailable

STOP_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.02


@click.command(epilog="Example: syncline stop")
@show.json_option
def stop(as_json: bool) -> None:
    """Stop syncing in the background. Done when the engine has ended; what is half done goes on at the next start."""
    client = ControlClient(Home.from_environment().control_socket)
    try:
        pid = int(client.ask("stop")["pid"])
    except DaemonNotRunning:
        pid = None
    if pid is not None:
        _await_end(pid)
    if as_json:
        show.as_json({"stopped": pid is not None})
    else:
        click.echo("Nothing was running." if pid is None else "Stopped.")


def _await_end(pid: int) -> None:
    give_up = time.monotonic() + STOP_TIMEOUT_S
    while not _has_ended(pid):
        if time.monotonic() > give_up:
            raise Unavailable(what=f"The engine (process {pid}) is still finishing after {STOP_TIMEOUT_S:.0f} s; its end")
        time.sleep(LOOK_EVERY_S)


def _has_ended(pid: int) -> bool:
    """Gone, or dead and only waiting for its parent to ask."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False
