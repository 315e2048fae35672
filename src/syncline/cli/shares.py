"""`syncline shares`: what one does with folders that others share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.model.errors import InvalidRequest, NotFound
from syncline.model.ids import NamespaceId
from syncline.protocol.sharing import Mounted, Shared, SharedFolder


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
    _show(_do(name, lambda remote, share: remote.people.accept(share, _request(at)), invited=True), as_json)


@shares.command(epilog="Example: syncline shares decline Bridge")
@click.argument("name")
@show.json_option
def decline(name: str, as_json: bool) -> None:
    """Turn an invitation down."""
    share = _do(name, lambda remote, share: remote.people.decline(share), invited=True)[0]
    _said(share, f"The invitation to {share.name} is declined.", as_json)


@shares.command(epilog="Example: syncline shares leave Bridge")
@click.argument("name")
@show.json_option
def leave(name: str, as_json: bool) -> None:
    """Leave a shared folder for good: it goes from your tree and your devices, and stays with its other members."""
    share = _do(name, lambda remote, share: remote.people.leave(share))[0]
    _said(share, f"You are no longer a member of {share.name}.", as_json)


@shares.command(epilog="Example: syncline shares mount Bridge --at /Projects/Bridge")
@click.argument("name")
@_at
@show.json_option
def mount(name: str, at: str | None, as_json: bool) -> None:
    """Put a shared folder into your tree again, or elsewhere."""
    _show(_do(name, lambda remote, share: remote.people.mount(share, _request(at))), as_json)


@shares.command(epilog="Example: syncline shares unmount Bridge")
@click.argument("name")
@show.json_option
def unmount(name: str, as_json: bool) -> None:
    """Take a shared folder out of your tree. You stay a member, and nothing in it is deleted."""
    _show(_do(name, lambda remote, share: remote.people.unmount(share)), as_json)


def _do(
    name: str, act: Callable[[Any, NamespaceId], Awaitable[Any]], *, invited: bool = False
) -> tuple[SharedFolder, Mounted | None]:
    return asyncio.run(_on_share(Home.from_environment(), name, act, invited=invited))


async def _on_share(
    home: Home, name: str, act: Callable[[Any, NamespaceId], Awaitable[Any]], *, invited: bool
) -> tuple[SharedFolder, Mounted | None]:
    from syncline.app.session import connected

    async with connected(home) as remote:
        share = _chosen(await remote.people.shared(), name, invited=invited)
        return share, await act(remote, share.namespace)


def _chosen(found: Shared, name: str, *, invited: bool) -> SharedFolder:
    folders = found.invitations if invited else found.folders
    named = [one for one in folders if name in (one.namespace, one.path)] or [one for one in folders if one.name == name]
    if not named:
        raise NotFound(what=f"An invitation to {name}" if invited else f"A shared folder {name}")
    if len(named) > 1:
        ids = ", ".join(f"{one.namespace} of {one.owner}" for one in named)
        raise InvalidRequest(message=f"{len(named)} are called {name}; name one by its id: {ids}.")
    return named[0]


def _request(at: str | None) -> Any:
    from syncline.protocol.sharing import MountRequest

    return MountRequest(path=at)


def _show(done: tuple[SharedFolder, Mounted | None], as_json: bool) -> None:
    share, mounted = done
    assert mounted is not None
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
