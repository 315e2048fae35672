"""`syncline rewind`."""

from __future__ import annotations

import asyncio
from datetime import datetime

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.busy import busy
from syncline.cli.remote_path import remote_path
from syncline.cli.when import HELP, When
from syncline.protocol.past import TravelAnswer


@click.command(epilog="Example: syncline rewind /Documents --to '2h ago' --dry-run")
@click.argument("path", callback=remote_path)
@click.option("--to", type=When(), required=True, help=HELP)
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@show.json_option
def rewind(path: str, to: datetime, dry_run: bool, as_json: bool) -> None:
    """Bring a remote folder and everything in it (or one file's content) back to how it was at a time, on all devices.

    Whoever changed it since: deleted files come back, moved ones move back, changed ones get the content of then, and what is newer
    goes to the trash. Nothing is lost: every step is a new change, later content stays as a version, and the rewind can itself be
    undone. Files and folders outside of PATH stay as they are. To take back only what one device did, use `syncline undo`.
    """
    from syncline.cli.travelled import tell

    with busy("Looking back", quiet=as_json):
        answer = asyncio.run(_rewind(Home.from_environment(), path, to, dry_run=dry_run))
    if as_json:
        show.as_json(answer)
    else:
        tell(answer)


async def _rewind(home: Home, path: str, to: datetime, *, dry_run: bool) -> TravelAnswer:
    from syncline.app.session import remote_past

    async with remote_past(home) as past:
        return await past.rewind(path, to, dry_run=dry_run)
