"""`syncline conflicts`: the inbox of versions that both stand, and how to say which is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import show
from syncline.cli.folder_path import in_folder
from syncline.model.limits import PLAN_SHOWN_MAX

if TYPE_CHECKING:
    from syncline.app.device import Device

PATIENCE_S = 600.0
"""Without a fresh scan nothing honest can be said, and a very large folder takes its time."""
KEEPS = ("ours", "theirs", "both", "merged")


@click.group(invoke_without_command=True, epilog="Example: syncline conflicts resolve notes.txt --keep ours")
@show.json_option
@click.pass_context
def conflicts(context: click.Context, as_json: bool) -> None:
    """List open conflicts, and resolve them. Without a command: list.

    A conflict is a file of which two versions stand: one at its path, the other beside it as a conflict copy. It closes by itself
    once both hold the same, or one of them is deleted.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_command, as_json=as_json)


@conflicts.command("list", epilog="Example: syncline conflicts list --json")
@show.json_option
def list_command(as_json: bool) -> None:
    """List open conflicts: the file, its copy, whose it is, when and why it was made."""
    found = _ask("conflicts", {"limit": PLAN_SHOWN_MAX}, _list_here)
    if as_json:
        show.as_json(found)
        return
    for conflict in found["conflicts"]:
        click.echo("\n".join(_lines(conflict)))
    if not found["total"]:
        click.echo("No conflicts.")
        return
    click.echo(
        f"{show.number(found['total'], 'conflict')}. To resolve one: syncline conflicts resolve PATH --keep ours (the copy), "
        "theirs (the file), both or merged."
    )


def _lines(conflict: dict[str, Any]) -> list[str]:
    def sized(bytes_: int | None) -> str:
        return f", {show.size(bytes_)}" if bytes_ is not None else ""

    when = f", {show.local_time(conflict['time'])}" if conflict.get("time") else ""
    origin = show.printable(conflict["from"])
    return [
        f"{show.printable(conflict['path'])}{sized(conflict['size'])}",
        f"    copy  {show.printable(conflict['copy'])}{sized(conflict['copy_size'])}, from {origin}{when}",
        f"    why   {conflict['why']}",
    ]


@conflicts.command(epilog="Example: syncline conflicts resolve notes.txt --keep merged")
@click.argument("path")
@click.option("--keep", type=click.Choice(KEEPS), required=True, help="Which version stays; see above.")
@show.json_option
def resolve(path: str, keep: str, as_json: bool) -> None:
    """Say which version of the file at PATH, or of the copy at PATH, is right.

    \b
    ours    the copy's: its bytes become the file's, what the file held stays
            in its history and the local trash, and the copy goes away
    theirs  the file's: the copy goes to the local trash
    both    both stay as they are, and the conflict is closed
    merged  a text with the changes of both, where none touches another; the
            copy goes away

    It works with syncing in the background and without; the result is synced like any other change.
    """
    folder = Path(Home.from_environment().link().folder)
    place = in_folder(folder, path)
    done = _ask("resolve", {"path": place, "keep": keep}, lambda device: _resolve_here(device, place, keep))
    if as_json:
        show.as_json(done)
        return
    said = {
        "ours": "now holds what its copy held",
        "theirs": "stays as it is; its copy is in the local trash",
        "both": "and its copy both stay",
        "merged": "now holds the changes of both",
    }
    click.echo(f"{show.printable(done['path'])} {said[keep]}.")


def _ask(op: str, fields: dict[str, Any], here: Callable[[Device], Awaitable[Any]]) -> dict[str, Any]:
    """What the background engine answers; without one, what this process finds out by itself."""
    home = Home.from_environment()
    home.credentials()
    home.link()
    try:
        answer: dict[str, Any] = ControlClient(home.control_socket).ask(op, patience_s=PATIENCE_S, **fields)
    except DaemonNotRunning:
        import asyncio

        with home.lock():
            answer = show.plain(asyncio.run(_here(home, here)))
    return answer


async def _here(home: Home, ask: Callable[[Device], Awaitable[Any]]) -> Any:
    from syncline.app.device import Device

    device = await Device.open(home)
    try:
        return await ask(device)
    finally:
        await device.close()


async def _list_here(device: Device) -> Any:
    found = await device.conflicts()
    return {"conflicts": found[:PLAN_SHOWN_MAX], "total": len(found)}


async def _resolve_here(device: Device, path: str, keep: str) -> Any:
    from syncline.client.resolve import Keep

    return await device.resolve(path, Keep(keep))
