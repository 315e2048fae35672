"""`syncline mkdir`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline mkdir --parents /Projects/2026/Plans")
@click.argument("path", callback=remote_path)
@click.option("-p", "--parents", is_flag=True, help="Make missing folders above it too; no complaint if it exists.")
@show.json_option
def mkdir(path: str, parents: bool, as_json: bool) -> None:
    """Make a remote folder."""
    found = asyncio.run(_make(Home.from_environment(), path, parents))
    if as_json:
        show.as_json(found)


async def _make(home: Home, path: str, parents: bool) -> object:
    from syncline.app.session import remote_files

    async with remote_files(home) as files:
        made = await files.make_folder(path, parents=parents)
    return facts(made.path, made.entry) if made.entry is not None else {"path": "/", "kind": "dir"}
