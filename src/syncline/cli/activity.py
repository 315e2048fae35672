"""`syncline activity`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.protocol.views import Activity, Example


@click.command(epilog="Example: syncline activity /Team -n 50")
@click.argument("path", default="/", callback=remote_path)
@click.option("-n", "most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Show at most so many.")
@show.json_option
def activity(path: str, most: int, as_json: bool) -> None:
    """Show who did what, on which device and when, the latest first: of everything, or below a remote folder."""
    found = ask(lambda client: client.activity(path, limit=most))
    if as_json:
        show.as_json(found)
    elif found:
        show.table([(show.local_time(one.time), _who(one), _what(one)) for one in found])


def _who(one: Activity) -> str:
    who, device = one.actor_name or one.actor or "-", one.device_name or one.device
    return show.printable(f"{who} on {device}" if device else who)


def _what(one: Activity) -> str:
    things = ", ".join(_thing(example) for example in one.examples)
    if one.count == 1:
        return f"{one.what} {things}"
    counts = ", ".join(f"{what} {count:,}" for what, count in one.counts.items())
    more = one.count - len(one.examples)
    return f"{counts}: {things}" + (f" and {more:,} more" if more > 0 else "")


def _thing(example: Example) -> str:
    path = show.shortened(show.printable(example.path))
    return path if example.old_path is None else f"{show.shortened(show.printable(example.old_path))} → {path}"
