"""`syncline sync`: the engine in the foreground, with what it does shown as it goes."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import click

from syncline.app import memory
from syncline.app.control import ControlClient, ControlServer, handlers_for
from syncline.app.home import DaemonNotRunning, DaemonRunning, Home
from syncline.cli import outcome, show

if TYPE_CHECKING:
    from syncline.app.device import Device
    from syncline.client.status import Status


@click.command(epilog="Example: syncline sync --once")
@click.option("--once", is_flag=True, help="End when nothing is left to do and the server agrees.")
@click.option("--yes", is_flag=True, help="Let deletions through that the guard against mass deletion would hold back.")
@show.json_option
def sync(once: bool, yes: bool, as_json: bool) -> None:
    """Sync in the foreground, until Ctrl-C, or with --once until everything is in sync.

    --once ends with 0 in sync (conflict copies it made are counted), 3 where a decision of yours is needed, 4 when the server
    cannot be reached. Where a background engine runs already, --once asks that one and waits for it.
    """
    memory.settle()
    home = Home.from_environment()
    home.credentials()
    home.link()
    try:
        with home.lock():
            final, here = show.plain(_run_here(home, once=once, yes=yes, quiet=as_json)), True
    except DaemonRunning:
        if not once:
            raise
        final, here = _ask_engine(home, yes=yes), False
    if as_json:
        show.as_json(final)
    else:
        _say(final, once=once, here=here)
    if once:
        code = outcome.of_status(final)
        if code is not outcome.Exit.DONE:
            raise outcome.Ended(code)


def _run_here(home: Home, *, once: bool, yes: bool, quiet: bool) -> Status:
    import uvloop

    from syncline.app.daemon import configure_logging

    configure_logging("debug" if home.options().log_level == "debug" else "error")
    return uvloop.run(_run(home, once=once, yes=yes, quiet=quiet))


async def _run(home: Home, *, once: bool, yes: bool, quiet: bool) -> Status:
    from syncline.app.device import Device
    from syncline.cli.progress import watching

    device = await Device.open(home, confirm_deletes=yes, once=once)
    control = ControlServer(handlers_for(device))
    try:
        await control.start(home.control_socket)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, device.stop)
        async with watching(device.status, quiet=quiet, standing=not once):
            await _go(device, once=once)
        return device.status()
    finally:
        await control.close()
        await device.close()


async def _go(device: Device, *, once: bool) -> None:
    if once:
        await device.sync_once()
    else:
        await device.run()


def _ask_engine(home: Home, *, yes: bool) -> dict[str, Any]:
    client = ControlClient(home.control_socket)
    try:
        if yes:
            client.ask("resume", confirm_deletes=True)
        answer: dict[str, Any] = client.ask("wait", patience_s=None)
    except DaemonNotRunning:
        raise DaemonRunning(pid="another command") from None
    return dict(answer["status"])


def _say(status: dict[str, Any], *, once: bool, here: bool) -> None:
    progress, traffic = status["progress"], status["traffic"]
    done = (
        f"{show.number(progress['uploaded_files'], 'file')} up ({show.size(progress['uploaded_bytes'])}), "
        f"{show.number(progress['downloaded_files'], 'file')} down ({show.size(progress['downloaded_bytes'])}), "
        f"{show.size(traffic['sent_bytes'])} sent and {show.size(traffic['received_bytes'])} received"
    )
    word = show.STATE_WORDS.get(status["state"], (status["state"], ""))[0] if once else "Stopped"
    click.echo(f"{word[:1].upper()}{word[1:]}: {done}.")
    if progress["conflicts"]:
        kept = show.number(progress["conflicts"], "conflict copy", "conflict copies")
        click.echo(f"{kept} made: both versions are kept, side by side.")
    for line in show.problem_lines(status["problems"]):
        click.echo(line, err=True)
    if once and here and any(problem["code"] == "delete.guard" for problem in status["problems"]):
        click.echo("Here, without a background engine, that is `syncline sync --once --yes`.", err=True)
