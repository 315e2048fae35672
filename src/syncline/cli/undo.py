"""`syncline undo`."""

from __future__ import annotations

from datetime import datetime

import click

from syncline.cli import show
from syncline.cli.busy import busy
from syncline.cli.client import ask
from syncline.cli.when import HELP, When


@click.command(epilog="Example: syncline undo --device laptop-7 --since '20 min ago' --dry-run")
@click.option("--device", metavar="NAME|ID", help="Whose changes: a device of yours by name, or any by id.")
@click.option("--since", type=When(), help=HELP)
@click.option("--until", type=When(), help="Only up to then (default: now).")
@click.option("--changeset", metavar="ID", help="Instead: this one changeset, such as an earlier rewind or undo.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@show.json_option
def undo(
    device: str | None, since: datetime | None, until: datetime | None, changeset: str | None, dry_run: bool, as_json: bool
) -> None:
    """Take back what one device did within a time, and nothing else.

    For each file and folder its place, its content and whether it is there are judged apart: each goes back only where that device
    was the last to change it. What anybody else changed later stands, and is named with the reason. Nothing is lost: every step is
    a new change that can itself be undone.
    """
    from syncline.cli.travelled import tell

    if (changeset is None) is (device is None or since is None):
        raise click.UsageError("Say --device and --since, or --changeset.")
    if changeset is not None and (device is not None or since is not None or until is not None):
        raise click.UsageError("--changeset stands alone.")
    with busy("Looking back", quiet=as_json):
        answers = ask(lambda client: client.undo(device=device, since=since, until=until, changeset=changeset, dry_run=dry_run))
    if as_json:
        show.as_json([show.plain(one.answer) | {"name": one.name} for one in answers])
        return
    for one in answers:
        if not one.is_root:
            click.echo(f"{show.printable(one.name)}:")
        tell(one.answer)
