"""`syncline wait`: a barrier for scripts."""

from __future__ import annotations

import math

import click

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.cli import outcome, show

ANSWER_MARGIN_S = 30.0
"""The engine keeps the time; this much more patience covers a busy machine."""


@click.command(epilog="Example: syncline wait --timeout 60 && echo 'safe to unplug'")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Give up after so many seconds.")
@show.json_option
def wait(timeout: float | None, as_json: bool) -> None:
    """Wait until everything is in sync, as of a scan and a look at the server that both begin now.

    Ends with 0 once in sync, 3 where a decision of yours is needed, 4 when the server cannot be reached, 1 when the time is up.
    """
    if timeout is not None and not math.isfinite(timeout):
        raise click.BadParameter(
            "a number of seconds is wanted; without --timeout it waits as long as it takes.", param_hint="--timeout"
        )
    home = Home.from_environment()
    home.credentials()
    home.link()
    patience = None if timeout is None else timeout + ANSWER_MARGIN_S
    answer = ControlClient(home.control_socket).ask("wait", patience_s=patience, timeout=timeout)
    if as_json:
        show.as_json(answer["status"])
    if answer["in_sync"]:
        return
    code = outcome.of_status(answer["status"])
    if not as_json:
        click.echo("\n".join(show.status_lines(answer["status"])), err=True)
    raise outcome.Ended(outcome.Exit.FAILED if code is outcome.Exit.DONE else code)
