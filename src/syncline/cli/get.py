"""`syncline get`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.model.paths import check_name, split_path

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient, Downloaded


@click.command(epilog="Example: syncline get /Documents/report.pdf .")
@click.argument("remote", callback=remote_path)
@click.argument("local", default=".", type=click.Path(path_type=Path))
@click.option("-f", "--force", is_flag=True, help="Replace files that are there already.")
@show.json_option
def get(remote: str, local: Path, force: bool, as_json: bool) -> None:
    """Download a remote file to LOCAL (into it where that is a folder), or a folder with everything in it into the folder LOCAL.

    A file appears whole and verified, or not at all. Interrupted? Run it again: what has arrived is kept.
    """
    done = ask(lambda client: _get(client, remote, local, replace=force, quiet=as_json))
    if as_json:
        show.as_json({"downloaded": done.downloaded, "unchanged": done.unchanged, "target": str(local)})
    else:
        click.echo(f"{show.number(done.downloaded, 'file')} downloaded, {done.unchanged:,} here already.")


async def _get(client: AsyncClient, remote: str, local: Path, *, replace: bool, quiet: bool) -> Downloaded:
    from syncline.cli.transfer import bar

    item = await client.stat(remote)
    if item.is_folder:
        # Always under its own name, whether LOCAL was there or not: so the same command may be run again.
        local = local.joinpath(*map(check_name, split_path(item.path)[-1:]))
    with bar("Downloading", "file", quiet=quiet) as progress:
        return await client.download(remote, local, replace=replace, progress=progress)
