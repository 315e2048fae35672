"""`syncline stop`."""

from __future__ import annotations

import time

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, DaemonRunning, Home
from syncline.cli import show
from syncline.model.errors import Unavailable

STOP_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.02


@click.command(epilog="Example: syncline stop")
@show.json_option
def stop(as_json: bool) -> None:
    """Stop syncing in the background. Done when the engine has ended; what is half done goes on at the next start."""
    home = Home.from_environment()
    try:
        ControlClient(home.control_socket).ask("stop")
        stopped = True
    except DaemonNotRunning:
        stopped = False
    if stopped:
        _await_end(home)
    if as_json:
        show.as_json({"stopped": stopped})
    else:
        click.echo("Stopped." if stopped else "Nothing was running.")


def _await_end(home: Home) -> None:
    """The lock of the home falls with the engine's process."""
    give_up = time.monotonic() + STOP_TIMEOUT_S
    while True:
        try:
            home.lock().release()
            return
        except DaemonRunning as error:
            if time.monotonic() > give_up:
                pid = error.fields["pid"]
                raise Unavailable(
                    what=f"The engine (process {pid}) is still finishing after {STOP_TIMEOUT_S:.0f} s; its end"
                ) from None
            time.sleep(LOOK_EVERY_S)
