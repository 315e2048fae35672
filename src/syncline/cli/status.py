"""`syncline status`: what the running engine says of itself; without one, that nothing is proven."""

from __future__ import annotations

from typing import Any

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import outcome, show


def current(home: Home) -> dict[str, Any]:
    """The engine's status, or where none runs, one that claims nothing. Raises `NotLoggedIn`, `NotLinked`."""
    credentials, link = home.credentials(), home.link()
    try:
        found: dict[str, Any] = ControlClient(home.control_socket).ask("status")
    except DaemonNotRunning as error:
        import msgspec

        from syncline.client.status import Problem, State, Status

        problem = Problem(code=error.code, path="", message=str(error))
        silent = Status(
            state=State.DEGRADED,
            folder=link.folder,
            server=credentials.server,
            device=credentials.device_name,
            problems=[problem],
        )
        return dict(msgspec.to_builtins(silent))
    return found


@click.command(epilog="Example: syncline status --json")
@show.json_option
def status(as_json: bool) -> None:
    """Show whether everything is in sync, what is pending, and every problem with what to do about it.

    Ends with 0 whatever the state, but with 3 where syncing is not running at all.
    """
    found = current(Home.from_environment())
    if as_json:
        show.as_json(found)
    else:
        click.echo("\n".join(show.status_lines(found)))
    if any(problem["code"] == DaemonNotRunning.code for problem in found["problems"]):
        raise outcome.Ended(outcome.Exit.DECISION)
