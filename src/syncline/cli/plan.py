"""`syncline plan`: what the engine would do now, and why, changing nothing."""

from __future__ import annotations

from typing import Any

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import show
from syncline.model.limits import PLAN_SHOWN_MAX

PATIENCE_S = 600.0
"""Without a fresh scan there is no honest plan, and a very large folder takes its time."""


def _planned(home: Home, limit: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = ControlClient(home.control_socket).ask("plan", patience_s=PATIENCE_S, limit=limit)
    except DaemonNotRunning:
        import asyncio

        return asyncio.run(_plan_here(home, limit))
    return found


async def _plan_here(home: Home, limit: int) -> dict[str, Any]:
    import msgspec

    from syncline.app.device import Device

    device = await Device.open(home)
    try:
        steps = await device.plan()
    finally:
        await device.close()
    return {"steps": msgspec.to_builtins(steps[:limit]), "total": len(steps)}


@click.command(epilog="Example: syncline plan")
@click.option(
    "-n", "--lines", type=click.IntRange(1, PLAN_SHOWN_MAX), default=200, show_default=True, help="How many steps to show."
)
@show.json_option
def plan(lines: int, as_json: bool) -> None:
    """Show what would be synced now, and why, without changing anything.

    The reason names what changed on this device and at the server since both last agreed.
    """
    home = Home.from_environment()
    home.credentials()
    home.link()
    found = _planned(home, lines)
    if as_json:
        show.as_json(found)
        return
    for step in found["steps"]:
        target = f" → {show.printable(step['target'])}" if step.get("target") else ""
        click.echo(f"{step['action']:<12} {show.printable(step['path'])}{target}  ({step['why']})")
    rest = found["total"] - len(found["steps"])
    click.echo(
        "Nothing to do." if not found["total"] else f"… and {show.number(rest, 'more step')}." if rest else "",
        nl=not found["total"] or bool(rest),
    )
