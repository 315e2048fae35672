"""`syncline find`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path
from syncline.model.entries import Kind

if TYPE_CHECKING:
    from syncline.sdk import Item


@click.command(epilog="Example: syncline find summer report, or: syncline find '*.pdf' --in /Documents")
@click.argument("query", nargs=-1, required=True)
@click.option("--in", "path", default="/", callback=remote_path, help="Only below this remote folder.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only files, or only folders.")
@click.option("-n", "most", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Show at most so many.")
@show.json_option
def find(query: tuple[str, ...], path: str, kind: str | None, most: int, as_json: bool) -> None:
    """Find remote files and folders by name, best first: every word occurs, whatever its case; a word with * is the whole name."""
    wanted = None if kind is None else Kind(kind)
    found = ask(lambda client: client.search(" ".join(query), path=path, kind=wanted, limit=most + 1))
    found, more = found[:most], len(found) > most
    if as_json:
        show.as_json([facts(one) | {"namespace": one.namespace} for one in found])
        return
    if found:
        show.table([_row(one) for one in found], right=(0,))
    if more:
        click.echo(f"There is more: -n {most * 2} shows it, or another word narrows it down.", err=True)


def _row(item: Item) -> tuple[str, str, str]:
    path = show.printable(item.path)
    if item.is_folder:
        return "-", show.local_time(item.changed), f"{path}/"
    return show.size(item.size), show.local_time(item.mtime), path
