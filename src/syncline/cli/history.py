"""`syncline history`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.protocol.past import Author, Version

SHOWN = 1000


@click.command(epilog="Example: syncline history /Documents/plan.txt")
@click.argument("path", callback=remote_path)
@click.option("-n", "--number", type=click.IntRange(1, 100_000), default=SHOWN, show_default=True, help="At most so many.")
@show.json_option
def history(path: str, number: int, as_json: bool) -> None:
    """List the versions of a remote file, newest first: when, by whom, at which device, size, what changed, how long it is kept.

    `syncline restore PATH --revision N` makes one of them the newest again; `syncline trash` has the versions of deleted files.
    """
    versions = ask(lambda client: client.history(path, limit=number))
    if as_json:
        show.as_json([show.plain(entry) | {"device_name": entry.author.device_name} for entry in versions])
        return
    rows: list[tuple[str, ...]] = [("revision", "when", "size", "change", "by", "what", "kept until", "sha256")]
    rows += [_row(entry) for entry in versions]
    show.table(rows, right=(0, 2, 3))


def _row(entry: Version) -> tuple[str, ...]:
    return (
        str(entry.revision) + ("*" if entry.present else ""),
        show.local_time(entry.time),
        show.size(entry.size),
        change(entry.size_change),
        who(entry.author),
        _what(entry),
        "its end" if entry.kept_until is None else show.local_time(entry.kept_until),
        (entry.content_hash or "-")[:16],
    )


def change(count: int) -> str:
    """`+1.5 KiB`, `-3 B`, `=`."""
    return "=" if count == 0 else ("+" if count > 0 else "-") + show.size(abs(count))


def who(author: Author) -> str:
    """`Ann at laptop`."""
    person = author.name or author.email or author.user_id or "somebody"
    device = author.device_name or author.device_id
    return show.printable(f"{person} at {device}" if device else person)


def _what(version: Version) -> str:
    said = ", ".join(version.changed) or "-"
    return f"{said} (as {version.restored_from})" if version.restored_from is not None else said
