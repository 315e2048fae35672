"""`syncline find`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path
from syncline.model.entries import Kind
from syncline.protocol.views import Found


@click.command(epilog="Example: syncline find summer report, or: syncline find '*.pdf' --in /Documents")
@click.argument("query", nargs=-1, required=True)
@click.option("--in", "path", default="/", callback=remote_path, help="Only below this remote folder.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only files, or only folders.")
@click.option("-n", "most", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Show at most so many.")
@show.json_option
def find(query: tuple[str, ...], path: str, kind: str | None, most: int, as_json: bool) -> None:
    """Find remote files and folders by name, best first: every word occurs, whatever its case; a word with * is the whole name."""
    wanted = None if kind is None else Kind(kind)
    found, more = asyncio.run(_find(Home.from_environment(), " ".join(query), path, wanted, most))
    if as_json:
        show.as_json([facts(one.path, one.entry) | {"namespace": one.namespace} for one in found])
        return
    if found:
        show.table([_row(one) for one in found], right=(0,))
    if more:
        click.echo(f"There is more: -n {most * 2} shows it, or another word narrows it down.", err=True)


async def _find(home: Home, query: str, path: str, kind: Kind | None, most: int) -> tuple[list[Found], bool]:
    from syncline.app.session import connected

    found: list[Found] = []
    page: str | None = None
    async with connected(home) as remote:
        while len(found) < most:
            answer = await remote.views.search(query, path=path, kind=kind, page=page)
            found += answer.entries
            page = answer.next
            if page is None:
                break
    return found[:most], page is not None or len(found) > most


def _row(found: Found) -> tuple[str, str, str]:
    entry, path = found.entry, show.printable(found.path)
    if entry.kind is Kind.DIR:
        return "-", show.local_time(entry.time), f"{path}/"
    return show.size(entry.size), show.local_time(entry.mtime), path
