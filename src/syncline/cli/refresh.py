"""`syncline refresh`."""

from __future__ import annotations

import click

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.cli import show

PATIENCE_S = 600.0
"""A full scan of a very large folder takes its time."""


@click.command(epilog="Example: syncline refresh && syncline wait")
@show.json_option
def refresh(as_json: bool) -> None:
    """Look again: scan every local folder and ask the server for its newest state. `syncline wait` waits for the rest."""
    answer = ControlClient(Home.from_environment().control_socket).ask("refresh", patience_s=PATIENCE_S)
    if as_json:
        show.as_json(answer)
    else:
        click.echo("Looking again.")
