"""`syncline rm`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline rm --recursive /Old")
@click.argument("path", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="A folder with everything in it.")
@show.json_option
def rm(path: str, recursive: bool, as_json: bool) -> None:
    """Delete a remote file or folder, on all devices too. The server keeps its versions in the trash."""
    gone = ask(lambda client: client.delete(path, recursive=recursive))
    if as_json:
        show.as_json(facts(gone))
