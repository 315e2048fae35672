"""`syncline cp`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline cp /Documents/plan.txt /Team")
@click.argument("source", callback=remote_path)
@click.argument("target", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="Not needed: folders are copied with all in them.")
@click.option("--autorename", is_flag=True, help="Where the name is taken, give the copy a number.")
@show.json_option
def cp(source: str, target: str, recursive: bool, autorename: bool, as_json: bool) -> None:
    """Copy a remote file or folder; into TARGET where that is a folder, shared ones too. Nothing is replaced, no bytes travel."""
    copied = ask(lambda client: client.copy(source, target, autorename=autorename))
    if as_json:
        show.as_json(facts(copied.item) | {"nodes": copied.nodes, "left_out": copied.left_out})
    elif copied.left_out:
        click.echo(f"{show.number(copied.left_out, 'shared folder')} in it not copied: copy what is in them by itself.", err=True)
