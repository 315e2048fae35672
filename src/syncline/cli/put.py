"""`syncline put`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.model.paths import check_name, split_path

if TYPE_CHECKING:
    from syncline.app.remote_files import RemoteFiles
    from syncline.app.remote_packs import Source
    from syncline.app.remote_put import Outcome


@click.command(epilog="Example: syncline put photos/ report.pdf /Archive/")
@click.argument("local", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("remote", callback=remote_path)
@show.json_option
def put(local: tuple[Path, ...], remote: str, as_json: bool) -> None:
    """Upload files and folders into the folder REMOTE; one file alone to the name REMOTE, if that is no folder and ends without /.

    A file that is there gets a new version; folders on the way are made. Interrupted? Run it again: only what is missing is sent.
    """
    outcome = asyncio.run(_put(Home.from_environment(), local, remote, quiet=as_json))
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


async def _put(home: Home, local: tuple[Path, ...], remote: str, *, quiet: bool) -> Outcome:
    from syncline.adapters.machine import MachineChance
    from syncline.app.remote_put import Uploader
    from syncline.app.session import remote_files
    from syncline.cli.transfer import bar

    async with remote_files(home) as files:
        left_out: list[Path] = []
        chosen = await _sources(files, local, remote, left_out)
        total = sum(source.local.stat().st_size for source in chosen if not source.is_folder)
        with bar(f"Uploading {show.number(len(chosen), 'item')}", total, quiet=quiet) as progress:
            outcome = await Uploader(files, home.make().put_spool, MachineChance(), progress).put(chosen)
    outcome.left_out = len(left_out)
    return outcome


async def _sources(files: RemoteFiles, local: tuple[Path, ...], remote: str, left_out: list[Path]) -> list[Source]:
    from syncline.app.remote_packs import sources

    base = "/" + "/".join(split_path(remote))
    there = await files.find_or_none(remote)
    into = remote.endswith("/") or len(local) > 1 or (there is not None and there.is_folder)
    found: list[Source] = []
    for path in local:
        name = check_name(Path(os.path.abspath(path)).name)
        # A folder always keeps its name, whether REMOTE was there or not: so the same command may be run again.
        found += sources(path, f"{base.rstrip('/')}/{name}" if into or path.is_dir() else base, left_out)
    return found
