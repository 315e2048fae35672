"""`syncline mv`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline mv /draft.txt /Documents/final.txt")
@click.argument("source", callback=remote_path)
@click.argument("target", callback=remote_path)
@show.json_option
def mv(source: str, target: str, as_json: bool) -> None:
    """Move or rename a remote file or folder; into TARGET where that is a folder. Nothing is replaced, no bytes travel."""
    found = asyncio.run(_move(Home.from_environment(), source, target))
    if as_json:
        show.as_json(found)


async def _move(home: Home, source: str, target: str) -> object:
    from syncline.app.session import remote_files

    async with remote_files(home) as files:
        moved = await files.move(source, target)
    assert moved.entry is not None
    return facts(moved.path, moved.entry)
