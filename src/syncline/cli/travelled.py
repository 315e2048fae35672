"""How a rewind or an undo looks: what happens to which path, what is spared and why, and how to take it back."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.history import who
from syncline.protocol.past import SparedItem, TravelAnswer, TravelItem

SHOWN = 50
_WORDS = (
    ("restored", "come back", "came back"),
    ("moved", "get their old place", "got their old place"),
    ("reverted", "get earlier content", "got earlier content"),
    ("deleted", "go to the trash", "went to the trash"),
)


def tell(answer: TravelAnswer) -> None:
    """For people."""
    for item in answer.items[:SHOWN]:
        click.echo(_item(item))
    if len(answer.items) > SHOWN or answer.more:
        click.echo("… (--json shows more)")
    for spared in answer.spared[:SHOWN]:
        click.echo(_spared(spared))
    counts = show.plain(answer.counts)
    said = [f"{counts[name]:,} {future if answer.dry_run else past}" for name, future, past in _WORDS if counts[name]]
    if not said:
        click.echo(
            "Nothing is to be done." if not counts["spared"] else f"Nothing else is to be done; {counts['spared']:,} spared."
        )
        return
    spared_too = f"; {counts['spared']:,} spared" if counts["spared"] else ""
    click.echo(f"{', '.join(said)}{spared_too}.".capitalize())
    if answer.dry_run:
        click.echo("Nothing was changed: this was a dry run.")
    elif answer.changeset is not None:
        click.echo(f"To take it back: syncline undo --changeset {answer.changeset}")


def _item(item: TravelItem) -> str:
    deeds = "+".join(item.deeds)
    target = f" -> {show.shortened(show.printable(item.new_path))}" if item.new_path is not None else ""
    version = f" (version {item.revision})" if item.revision is not None else ""
    return f"{deeds:<10} {show.shortened(show.printable(item.path))}{target}{version}"


def _spared(item: SparedItem) -> str:
    by = f" by {who(item.by)}" if item.by is not None else ""
    return f"{'spared':<10} {show.shortened(show.printable(item.path))}: {item.detail}{by}"
