"""`syncline put`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.model.paths import check_name, split_path

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient, Uploaded


@click.command(epilog="Example: syncline put photos/ report.pdf /Archive/")
@click.argument("local", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("remote", callback=remote_path)
@show.json_option
def put(local: tuple[Path, ...], remote: str, as_json: bool) -> None:
    """Upload files and folders into the folder REMOTE; one file alone to the name REMOTE, if that is no folder and ends without /.

    A file that is there gets a new version; folders on the way are made. Interrupted? Run it again: only what is missing is sent.
    """
    outcome = ask(lambda client: _put(client, local, remote, quiet=as_json))
    if as_json:
        show.as_json(outcome)
        return
    click.echo(
        f"{show.number(outcome.uploaded, 'file')} uploaded, {outcome.unchanged:,} unchanged; "
        f"{show.number(outcome.sent_blocks, 'block')} sent, {outcome.known_blocks:,} known to the server already."
    )
    if outcome.left_out:
        kinds = show.number(outcome.left_out, "symbolic link or special file", "symbolic links or special files")
        click.echo(f"{kinds} left out.", err=True)


async def _put(client: AsyncClient, local: tuple[Path, ...], remote: str, *, quiet: bool) -> Uploaded:
    from syncline.cli.transfer import bar

    with bar("Uploading", "item", quiet=quiet) as progress:
        if len(local) == 1 and not local[0].is_dir():
            return await client.upload(local[0], remote, progress=progress)
        # A folder always keeps its name, whether REMOTE was there or not: so the same command may be run again.
        base = "/" + "".join(f"{name}/" for name in split_path(remote))
        files = [(path, base + check_name(Path(os.path.abspath(path)).name)) for path in local]
        return await client.upload_all(files, progress=progress)
