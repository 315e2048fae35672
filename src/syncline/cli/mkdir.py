"""`syncline mkdir`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline mkdir --parents /Projects/2026/Plans")
@click.argument("path", callback=remote_path)
@click.option("-p", "--parents", is_flag=True, help="Make missing folders above it too; no complaint if it exists.")
@show.json_option
def mkdir(path: str, parents: bool, as_json: bool) -> None:
    """Make a remote folder."""
    made = ask(lambda client: client.mkdir(path, parents=parents))
    if as_json:
        show.as_json(facts(made) if made.path != "/" else {"path": "/", "kind": "dir"})
