"""`syncline devices`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask


@click.group(invoke_without_command=True, epilog="Example: syncline devices unlink 01J9ZK3V8Q6W1M2N3P4R5S6T7V")
@show.json_option
@click.pass_context
def devices(ctx: click.Context, as_json: bool) -> None:
    """List the devices of your account, and when each was last seen (now: it is connected) and last up to date;
    `unlink ID` signs one out for good."""
    if ctx.invoked_subcommand is not None:
        return
    found = ask(lambda client: client.devices())
    if as_json:
        show.as_json([show.plain(device) for device in found])
        return
    rows = [("id", "name", "since", "last seen", "last synced")]
    for device in found:
        seen = "now" if device.connected else show.local_time(device.last_seen) if device.last_seen else "never"
        synced = show.local_time(device.last_synced) if device.last_synced else "never"
        name = show.printable(device.name) + (" (this one)" if device.current else "")
        rows.append((device.id, name, show.local_time(device.created), seen, synced))
    show.table(rows)


@devices.command(epilog="Example: syncline devices unlink 01J9ZK3V8Q6W1M2N3P4R5S6T7V")
@click.argument("device_id", metavar="ID")
def unlink(device_id: str) -> None:
    """Sign a device out: its session ends at once, and its files stay where they are."""
    ask(lambda client: client.unlink_device(device_id))
    click.echo(f"Unlinked {device_id}.")
