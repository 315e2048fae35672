"""`syncline history`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.protocol.changes import Entry


@click.command(epilog="Example: syncline history /Documents/plan.txt")
@click.argument("path", callback=remote_path)
@show.json_option
def history(path: str, as_json: bool) -> None:
    """List the versions of a remote file, newest first: revision, when, size, by which device, and its SHA-256."""
    versions, names = asyncio.run(_history(Home.from_environment(), path))
    if as_json:
        show.as_json([show.plain(entry) | {"device_name": names.get(entry.device or "")} for entry in versions])
        return
    rows = [("revision", "when", "size", "device", "sha256")]
    for entry in versions:
        device = show.printable(names.get(entry.device or "", entry.device or "-"))
        rows.append(
            (str(entry.revision), show.local_time(entry.time), show.size(entry.size), device, (entry.content_hash or "-")[:16])
        )
    show.table(rows, right=(0, 2))


async def _history(home: Home, path: str) -> tuple[list[Entry], dict[str, str]]:
    from syncline.app.session import remote_files

    async with remote_files(home) as files:
        versions = await files.history(path)
        known = await files.remote.devices()
    return versions, {device.id: device.name for device in known.devices}
