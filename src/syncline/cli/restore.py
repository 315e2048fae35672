"""`syncline restore`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline restore /Documents/plan.txt --revision 3")
@click.argument("path", callback=remote_path)
@click.option("--revision", type=click.IntRange(1), required=True, help="Which version: a number from `syncline history`.")
@click.option("--rename", is_flag=True, help="A deleted file whose name is taken comes back as 'name (restored)'.")
@show.json_option
def restore(path: str, revision: int, rename: bool, as_json: bool) -> None:
    """Make an earlier version of a remote file the newest, on all devices too. Nothing is lost: it becomes a new version.

    A file that was deleted comes back with that version, in its old folder.
    """
    done = ask(lambda client: client.restore(path, revision, rename=rename))
    if as_json:
        show.as_json(done)
    elif done.adopted:
        click.echo(f"{show.printable(done.path)} has that content already.")
    else:
        click.echo(f"{show.printable(done.path)} is as in version {revision}, as version {done.revision}.")
