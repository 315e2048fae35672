"""`syncline retention`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask


@click.group(epilog="Example: syncline retention explain /Documents/plan.txt")
def retention() -> None:
    """Say how long deleted files and old versions are kept."""


@retention.command(epilog="Example: syncline retention explain /Documents/plan.txt")
@click.argument("path", required=False)
@show.json_option
def explain(path: str | None, as_json: bool) -> None:
    """Say in words how long things are kept: in general, or for one remote file or folder, version by version, and why."""
    if path is not None and not path.startswith("/"):
        raise click.BadParameter(f"{path!r} is no remote path: they start with /, such as /{path}.")
    answer = ask(lambda client: client.retention(path))
    if as_json:
        show.as_json(answer)
        return
    for line in answer.lines:
        click.echo(line)
    if answer.versions:
        rows = [("revision", "made", "kept")]
        rows += [(str(kept.revision), show.local_time(kept.made), kept.text) for kept in answer.versions]
        show.table(rows, right=(0,))
    if answer.more:
        click.echo("… (there are more versions than shown)")
