"""`syncline plan`: what the engine would do now, and why, changing nothing."""

from __future__ import annotations

from typing import Any, Final

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import show
from syncline.model.limits import PLAN_SHOWN_MAX

SIDES: Final = {
    "conflict": "Conflicts",
    "here": "On this device",
    "there": "On the server",
    "noted": "Only noted",
    "left": "Left alone",
}
PATIENCE_S = 600.0
"""Without a fresh scan there is no honest plan, and a very large folder takes its time."""


def _planned(home: Home, limit: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = ControlClient(home.control_socket).ask("plan", patience_s=PATIENCE_S, limit=limit)
    except DaemonNotRunning:
        import asyncio

        with home.lock():
            return asyncio.run(_plan_here(home, limit))
    return found


async def _plan_here(home: Home, limit: int) -> dict[str, Any]:
    import msgspec

    from syncline.app.device import Device

    device = await Device.open(home)
    try:
        planned = await device.plan()
    finally:
        await device.close()
    steps = planned.steps
    return {"steps": msgspec.to_builtins(steps[:limit]), "total": len(steps), "guard": msgspec.to_builtins(planned.guard)}


def _lines(step: dict[str, Any]) -> list[str]:
    target = f" → {show.printable(step['target'])}" if step.get("target") else ""
    held = "  (held back by the delete guard)" if step.get("held") else ""
    lines = [f"  {step['action']:<14} {show.printable(step['path'])}{target}{held}"]
    if step.get("says"):
        lines.append(f"      {show.printable(step['says'])}")
    return [*lines, f"      because: {show.printable(step.get('because') or step['why'])}"]


@click.command(epilog="Example: syncline plan")
@click.option(
    "-n", "--lines", type=click.IntRange(1, PLAN_SHOWN_MAX), default=200, show_default=True, help="How many steps to show."
)
@show.json_option
def plan(lines: int, as_json: bool) -> None:
    """Show what would be synced now, and why, without changing anything.

    Each step says what becomes of which version, and why: what changed on this device and at the server since both last agreed.
    Deletions that wait for your answer to the delete guard are marked. With --json, steps are in the order in which they are done.
    """
    home = Home.from_environment()
    home.credentials()
    home.link()
    found = _planned(home, lines)
    if as_json:
        show.as_json(found)
        return
    for side, heading in SIDES.items():
        steps = [step for step in found["steps"] if step.get("side", "here") == side]
        if steps:
            click.echo(click.style(heading, bold=True))
        for step in steps:
            click.echo("\n".join(_lines(step)))
    if found.get("guard"):
        click.echo(f"! {found['guard']['message']}")
    rest = found["total"] - len(found["steps"])
    click.echo(
        "Nothing to do." if not found["total"] else f"… and {show.number(rest, 'more step')}." if rest else "",
        nl=not found["total"] or bool(rest),
    )
