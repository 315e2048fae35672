"""`syncline resume`."""

from __future__ import annotations

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import show


@click.command(epilog="Example: syncline resume --yes")
@click.option("--yes", is_flag=True, help="Let the many deletions that were held back go through.")
@show.json_option
def resume(yes: bool, as_json: bool) -> None:
    """Go on syncing after `syncline pause`, and try at once what was waiting for another try.

    With --yes, deletions that the guard against mass deletion held back are meant: look at them with `syncline plan` first.
    """
    home = Home.from_environment()
    try:
        answer = ControlClient(home.control_socket).ask("resume", confirm_deletes=yes)
    except DaemonNotRunning:
        home.remember_paused(False)  # So that the next start goes on.
        raise
    if as_json:
        show.as_json(answer)
    else:
        click.echo("Syncing again.")
