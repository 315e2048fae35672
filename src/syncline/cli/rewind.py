"""`syncline rewind`."""

from __future__ import annotations

from datetime import datetime

import click

from syncline.cli import show
from syncline.cli.busy import busy
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.cli.when import HELP, When


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
        answer = ask(lambda client: client.rewind(path, to, dry_run=dry_run))
    if as_json:
        show.as_json(answer)
    else:
        tell(answer)
