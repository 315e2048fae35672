"""`syncline trash`."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from syncline.cli import outcome, show
from syncline.cli.busy import busy
from syncline.cli.client import ask
from syncline.cli.history import who

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient, Thrown

SHOWN = 1000


@click.group(invoke_without_command=True, epilog="Example: syncline trash restore /Documents/plan.txt")
@click.option("-n", "--number", type=click.IntRange(1, 100_000), default=SHOWN, show_default=True, help="At most so many.")
@show.json_option
@click.pass_context
def trash(ctx: click.Context, number: int, as_json: bool) -> None:
    """List what was deleted, bring it back, or remove it for good."""
    if ctx.invoked_subcommand is None:
        _show(number, as_json)


@trash.command("list", epilog="Example: syncline trash list --json")
@click.option("-n", "--number", type=click.IntRange(1, 100_000), default=SHOWN, show_default=True, help="At most so many.")
@show.json_option
def listed(number: int, as_json: bool) -> None:
    """List deleted files and folders: where they were, when and by whom they were deleted, and when they will be purged."""
    _show(number, as_json)


@trash.command(epilog="Example: syncline trash restore /Documents/plan.txt /Photos")
@click.argument("entries", nargs=-1, required=True, metavar="PATH|ID...")
@click.option("--to", "into", metavar="FOLDER", help="Into this folder instead of where they were.")
@click.option("--rename", is_flag=True, help="What has its name taken comes back as 'name (restored)'.")
@show.json_option
def restore(entries: tuple[str, ...], into: str | None, rename: bool, as_json: bool) -> None:
    """Bring deleted files and folders back, with all that was deleted with them and all their versions.

    They go where they were; folders above that were deleted too come back with them. A PATH is that of `syncline trash`.
    """
    with busy("Bringing back", quiet=as_json):
        results = ask(lambda client: client.undelete(entries, into=into, rename=rename))
    if as_json:
        show.as_json([show.plain(result) for result in results])
    failed = False
    for name, result in zip(entries, results, strict=True):
        if result.restored is None:
            failed = True
            click.echo(f"{show.printable(name)}: {result.detail} ({result.code})", err=True)
        elif not as_json:
            click.echo(f"{show.printable(result.restored.path)} is back.")
    if failed:
        raise outcome.Ended(outcome.Exit.FAILED)


@trash.command(epilog="Example: syncline trash purge /Documents/plan.txt --yes")
@click.argument("entries", nargs=-1, metavar="[PATH|ID]...")
@click.option("--all", "everything", is_flag=True, help="Everything in the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@show.json_option
def purge(entries: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> None:
    """Remove deleted files and folders for good, with all their versions. Nobody can bring them back after that.

    The space they alone took is free at once.
    """
    if everything is bool(entries):
        raise click.UsageError("Name what to purge, or say --all.")
    what = "everything in the trash" if everything else show.number(len(entries), "entry", "entries")
    if not yes:
        click.confirm(f"Remove {what} for good?", abort=True, err=True)
    with busy("Removing", quiet=as_json):
        gone = ask(lambda client: client.purge_all() if everything else client.purge(entries))
    if as_json:
        show.as_json(gone)
    else:
        what = show.number(gone.purged, "file or folder", "files and folders")
        click.echo(f"Removed {what} for good; {show.size(gone.freed_bytes)} freed.")
    for result in gone.refused:
        click.echo(f"{result.node_id}: {result.detail} ({result.code})", err=True)
    if gone.refused:
        raise outcome.Ended(outcome.Exit.FAILED)


def _show(number: int, as_json: bool) -> None:
    found = ask(lambda client: _list(client, number))
    if as_json:
        show.as_json([_facts(thrown) for thrown in found])
        return
    if not found:
        click.echo("The trash is empty.")
        return
    rows = [("deleted", "size", "by", "purged after", "path")]
    for thrown in found:
        entry = thrown.entry
        folder = entry.kind.value == "dir"
        rows.append(
            (
                show.local_time(entry.deleted),
                "-" if folder else show.size(entry.size),
                who(entry.by),
                show.local_time(entry.purged_after),
                show.printable(thrown.path) + ("/" if folder else ""),
            )
        )
    show.table(rows, right=(1,))


def _facts(thrown: Thrown) -> dict[str, Any]:
    facts: dict[str, Any] = show.plain(thrown.entry)
    return facts | {"path": thrown.path, "namespace": thrown.namespace}


async def _list(client: AsyncClient, most: int) -> list[Thrown]:
    found: list[Thrown] = []
    async with aclosing(client.trash()) as trash:
        async for thrown in trash:
            found.append(thrown)
            if len(found) >= most:
                break
    return found
