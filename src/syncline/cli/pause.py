"""`syncline pause`."""

from __future__ import annotations

import click

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.cli import show


@click.command(epilog="Example: syncline pause")
@show.json_option
def pause(as_json: bool) -> None:
    """Pause syncing until `syncline resume`, also across restarts. Nothing is lost: what changes meanwhile is synced then."""
    answer = ControlClient(Home.from_environment().control_socket).ask("pause")
    if as_json:
        show.as_json(answer)
    else:
        click.echo("Paused.")
