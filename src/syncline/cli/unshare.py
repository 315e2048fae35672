"""`syncline unshare`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline unshare /Projects/Bridge bob@example.org")
@click.argument("path", callback=remote_path)
@click.argument("user", metavar="[USER]", required=False)
@show.json_option
def unshare(path: str, user: str | None, as_json: bool) -> None:
    """End the sharing of a remote folder or file: for USER, or without one for everybody but the owner.

    It holds at once. On their devices unchanged files leave; what they changed and had not sent yet is kept aside for them.
    """
    answer = ask(lambda client: client.unshare(path, user))
    if as_json:
        show.as_json(answer)
    elif answer.ended:
        click.echo(f"{path} is no longer shared with {', '.join(answer.ended)}.")
    else:
        click.echo(f"{path} was shared with nobody else.")
