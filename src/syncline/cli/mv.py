"""`syncline mv`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline mv /draft.txt /Documents/final.txt")
@click.argument("source", callback=remote_path)
@click.argument("target", callback=remote_path)
@show.json_option
def mv(source: str, target: str, as_json: bool) -> None:
    """Move or rename a remote file or folder; into TARGET where that is a folder. Nothing is replaced, no bytes travel."""
    moved = ask(lambda client: client.move(source, target))
    if as_json:
        show.as_json(facts(moved))
