"""`syncline rm`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline rm --recursive /Old")
@click.argument("path", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="A folder with everything in it.")
@show.json_option
def rm(path: str, recursive: bool, as_json: bool) -> None:
    """Delete a remote file or folder, on all devices too. The server keeps its versions in the trash."""
    found = asyncio.run(_remove(Home.from_environment(), path, recursive=recursive))
    if as_json:
        show.as_json(found)


async def _remove(home: Home, path: str, *, recursive: bool) -> object:
    from syncline.app.session import remote_files

    async with remote_files(home) as files:
        gone = await files.remove(path, recursive=recursive)
    assert gone.entry is not None
    return facts(gone.path, gone.entry)
