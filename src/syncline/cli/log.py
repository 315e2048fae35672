"""`syncline log`: what this device did lately."""

from __future__ import annotations

import click

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.cli import show
from syncline.model.limits import PLAN_SHOWN_MAX


@click.command(epilog="Example: syncline log -n 50")
@click.option(
    "-n", "--lines", type=click.IntRange(1, PLAN_SHOWN_MAX), default=20, show_default=True, help="How many lines, newest last."
)
@show.json_option
def log(lines: int, as_json: bool) -> None:
    """Show what was synced since syncing started: time, what happened, to which file."""
    found = ControlClient(Home.from_environment().control_socket).ask("log", limit=lines)["lines"]
    if as_json:
        show.as_json(found)
    for line in () if as_json else found:
        detail = f"  ({line['detail']})" if line.get("detail") else ""
        click.echo(f"{show.local_time(line['time'])}  {line['event']:<12} {show.printable(line['path'])}{detail}")
