"""`syncline shares`: what one does with folders that others share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path

if TYPE_CHECKING:
    from syncline.protocol.sharing import Mounted, SharedFolder
    from syncline.sdk import AsyncClient


def _place(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else remote_path(ctx, parameter, value)


_at = click.option("--at", metavar="PATH", callback=_place, help="Where it is to lie in your tree, such as /Team.")


@click.group(epilog="Example: syncline shares accept Bridge --at /Projects/Bridge")
def shares() -> None:
    """Folders that others share with you: NAME is a folder's name as `syncline shared` lists it, its path, or its id."""


@shares.command(epilog="Example: syncline shares accept Bridge --at /Projects/Bridge")
@click.argument("name")
@_at
@show.json_option
def accept(name: str, at: str | None, as_json: bool) -> None:
    """Accept an invitation: the folder appears in your tree, at the top unless --at says where."""

    async def work(client: AsyncClient) -> tuple[SharedFolder, Mounted]:
        folder = await client.shared_folder(name, invited=True)
        return folder, await client.accept(folder, at=at)

    _show(*ask(work), as_json)


@shares.command(epilog="Example: syncline shares decline Bridge")
@click.argument("name")
@show.json_option
def decline(name: str, as_json: bool) -> None:
    """Turn an invitation down."""

    async def work(client: AsyncClient) -> SharedFolder:
        folder = await client.shared_folder(name, invited=True)
        await client.decline(folder)
        return folder

    folder = ask(work)
    _said(folder, f"The invitation to {folder.name} is declined.", as_json)


@shares.command(epilog="Example: syncline shares leave Bridge")
@click.argument("name")
@show.json_option
def leave(name: str, as_json: bool) -> None:
    """Leave a shared folder for good: it goes from your tree and your devices, and stays with its other members."""

    async def work(client: AsyncClient) -> SharedFolder:
        folder = await client.shared_folder(name)
        await client.leave(folder)
        return folder

    folder = ask(work)
    _said(folder, f"You are no longer a member of {folder.name}.", as_json)


@shares.command(epilog="Example: syncline shares mount Bridge --at /Projects/Bridge")
@click.argument("name")
@_at
@show.json_option
def mount(name: str, at: str | None, as_json: bool) -> None:
    """Put a shared folder into your tree again, or elsewhere."""

    async def work(client: AsyncClient) -> tuple[SharedFolder, Mounted]:
        folder = await client.shared_folder(name)
        return folder, await client.mount(folder, at=at)

    _show(*ask(work), as_json)


@shares.command(epilog="Example: syncline shares unmount Bridge")
@click.argument("name")
@show.json_option
def unmount(name: str, as_json: bool) -> None:
    """Take a shared folder out of your tree. You stay a member, and nothing in it is deleted."""

    async def work(client: AsyncClient) -> tuple[SharedFolder, Mounted]:
        folder = await client.shared_folder(name)
        return folder, await client.unmount(folder)

    _show(*ask(work), as_json)


def _show(share: SharedFolder, mounted: Mounted, as_json: bool) -> None:
    if as_json:
        show.as_json(mounted)
    elif mounted.path is None:
        click.echo(f"{show.printable(share.name)} is no longer in your tree; `syncline shares mount` brings it back.")
    else:
        click.echo(f"{show.printable(share.name)} is at {show.printable(mounted.path)} ({share.access.value}).")


def _said(share: SharedFolder, line: str, as_json: bool) -> None:
    if as_json:
        show.as_json({"namespace": share.namespace, "name": share.name})
    else:
        click.echo(show.printable(line))
