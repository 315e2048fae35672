"""`syncline logout`."""

from __future__ import annotations

from pathlib import Path

import click

from syncline.app.home import ROOT_ID_FILE, Home
from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.link import read_root_id
from syncline.model.errors import NotLinked, SynclineError, Unauthenticated
from syncline.model.ids import DeviceId


@click.command(epilog="Example: syncline logout")
@show.json_option
def logout(as_json: bool) -> None:
    """Sign this device out and unlink its folder. No file is touched, here or at the server."""
    home = Home.from_environment()
    known = home.credentials()
    with home.lock():
        told = _tell_server(known.device_id)
        _let_go(home)
        home.forget_credentials()
    if as_json:
        show.as_json({"device_id": known.device_id, "server_told": told})
        return
    click.echo(f"Signed out {known.email} at {known.server}. Your files are where they were.")
    if not told:
        click.echo(f"The server could not be told: unlink {known.device_id} with `syncline devices` on another device.", err=True)


def _tell_server(device: DeviceId) -> bool:
    try:
        ask(lambda client: client.unlink_device(device))
    except Unauthenticated:
        return True  # The device is unlinked already.
    except SynclineError:
        return False
    return True


def _let_go(home: Home) -> None:
    """The folder may be linked again, by anyone; its trash stays."""
    try:
        link = home.link()
    except NotLinked:
        return
    if read_root_id(Path(link.folder)) == link.root_id:
        (Path(link.folder) / ROOT_ID_FILE).unlink(missing_ok=True)
    home.forget_link()
