"""`syncline whoami`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.protocol.sessions import Me


@click.command(epilog="Example: syncline whoami --json")
@show.json_option
def whoami(as_json: bool) -> None:
    """Show who is signed in on this device, at which server, and how much of the quota is used."""
    home = Home.from_environment()
    server = home.credentials().server
    me = asyncio.run(_me(home))
    if as_json:
        show.as_json({"server": server, **show.plain(me)})
        return
    quota = f" of {show.size(me.quota_bytes)}" if me.quota_bytes is not None else ""
    click.echo(f"account   {me.email}" + (f" ({show.printable(me.name)})" if me.name and me.name != me.email else ""))
    click.echo(f"server    {server}")
    click.echo(f"device    {show.printable(me.device_name)} ({me.device_id})")
    click.echo(f"storage   {show.size(me.used_bytes)}{quota} used")


async def _me(home: Home) -> Me:
    from syncline.app.session import connected

    async with connected(home) as remote:
        return await remote.me()
