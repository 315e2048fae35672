"""`syncline du`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.protocol.views import UsageAnswer


@click.command(epilog="Example: syncline du /Documents --depth 2")
@click.argument("path", default="/", callback=remote_path)
@click.option("--depth", type=click.IntRange(0, 8), default=1, show_default=True, help="How many levels of folders to show.")
@show.json_option
def du(path: str, depth: int, as_json: bool) -> None:
    """Show how much lies in remote folders, the largest first; of / also what older versions and the trash take up."""
    answer = ask(lambda client: client.usage(path, depth=depth))
    if as_json:
        show.as_json(answer)
        return
    rows = [(show.size(one.bytes), show.number(one.files, "file"), show.printable(one.path)) for one in answer.entries]
    rows.append((show.size(answer.bytes), show.number(answer.files, "file"), show.printable(answer.path)))
    show.table(rows, right=(0, 1))
    if answer.left_out:
        click.echo(f"{show.number(answer.left_out, 'smaller folder')} not shown.", err=True)
    if answer.held is not None:
        click.echo(_held(answer))


def _held(answer: UsageAnswer) -> str:
    held = answer.held
    assert held is not None
    parts = [f"present files {show.size(held.live_bytes)}", f"older versions {show.size(held.version_bytes)}"]
    parts.append(f"trash {show.size(held.trash_bytes)}")
    if held.pending_bytes:
        parts.append(f"not yet in a file {show.size(held.pending_bytes)}")
    quota = "" if answer.quota_bytes is None else f" of {show.size(answer.quota_bytes)}"
    return f"Stored, equal parts once: {', '.join(parts)}. Counted: {show.size(answer.used_bytes)}{quota}."
