"""`syncline unshare`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.cli.share import on_node
from syncline.protocol.sharing import UnshareAnswer


@click.command(epilog="Example: syncline unshare /Projects/Bridge bob@example.org")
@click.argument("path", callback=remote_path)
@click.argument("user", metavar="[USER]", required=False)
@show.json_option
def unshare(path: str, user: str | None, as_json: bool) -> None:
    """End the sharing of a remote folder or file: for USER, or without one for everybody but the owner.

    It holds at once. On their devices unchanged files leave; what they changed and had not sent yet is kept aside for them.
    """
    answer = asyncio.run(_unshare(Home.from_environment(), path, user))
    if as_json:
        show.as_json(answer)
    elif answer.ended:
        click.echo(f"{path} is no longer shared with {', '.join(answer.ended)}.")
    else:
        click.echo(f"{path} was shared with nobody else.")


async def _unshare(home: Home, path: str, user: str | None) -> UnshareAnswer:
    def ask(remote: Any, found: Any) -> Any:
        return remote.people.unshare(found.id, email=user, namespace=found.namespace)

    answer: UnshareAnswer = await on_node(home, path, ask)
    return answer
