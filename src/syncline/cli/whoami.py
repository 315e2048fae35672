"""`syncline whoami`."""

from __future__ import annotations

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.client import ask


@click.command(epilog="Example: syncline whoami --json")
@show.json_option
def whoami(as_json: bool) -> None:
    """Show who is signed in on this device, at which server, and how much of the quota is used."""
    server = Home.from_environment().credentials().server
    me = ask(lambda client: client.me())
    if as_json:
        show.as_json({"server": server, **show.plain(me)})
        return
    quota = f" of {show.size(me.quota_bytes)}" if me.quota_bytes is not None else ""
    click.echo(f"account   {me.email}" + (f" ({show.printable(me.name)})" if me.name and me.name != me.email else ""))
    click.echo(f"server    {server}")
    click.echo(f"device    {show.printable(me.device_name)} ({me.device_id})")
    click.echo(f"storage   {show.size(me.used_bytes)}{quota} used")
