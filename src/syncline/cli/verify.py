"""`syncline verify`: whether this device is what it believes to be, hop by hop."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any, Final

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.cli import outcome, show
from syncline.cli.reading import Bars
from syncline.model.paths import STATE_FOLDER

LOOK_EVERY_S: Final = 0.2
PENDING_SHOWN: Final = 20
COLOURS: Final = {"ok": "green", "wrong": "red", "unreachable": "yellow", "skipped": "yellow"}
Advance = Callable[[int, int, int, int], None]


@click.command(epilog="Example: syncline verify --deep ~/Syncline/Photos")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--deep", is_flag=True, help="Read every file too, and ask the server for the manifest of each.")
@show.json_option
def verify(paths: tuple[str, ...], deep: bool, as_json: bool) -> None:
    """Check that disk, trees and server agree, and name what does not; with PATHs only what lies there (the server's tree: whole).

    Files are not changed. Beside a running engine, what is found wrong is looked at anew and healed. Ends with 0 where nothing was
    found, 1 where something was, 4 where the server could not be asked (everything else is checked all the same).
    """
    home = Home.from_environment()
    home.credentials()
    folder = Path(home.link().folder)
    only = [_relative(folder, path) for path in paths]
    with Bars(quiet=as_json) as bars:
        report = _report(home, deep, only, lambda *progress: bars.show("files", *progress))
    if as_json:
        show.as_json({"ok": not report["findings_total"] and report["lost"] is None} | report)
    else:
        _tell(report)
    code = _code(report)
    if code is not outcome.Exit.DONE:
        raise outcome.Ended(code)


def _report(home: Home, deep: bool, only: list[str], advance: Advance) -> dict[str, Any]:
    """Asked of the running engine, or made here where there is none."""
    client = ControlClient(home.control_socket)
    try:
        client.ask("status")
        return _asked(client, deep, only, advance)
    except DaemonNotRunning:
        import asyncio

        from syncline.app.verifying import verify_here
        from syncline.client.verify.report import Progress

        def shown(found: Progress) -> None:
            advance(found.files, found.files_total, found.bytes, found.bytes_total)

        made: dict[str, Any] = show.plain(asyncio.run(verify_here(home, deep=deep, only=only, show=shown)))
        return made


def _asked(client: ControlClient, deep: bool, only: list[str], advance: Advance) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: client.ask("verify", patience_s=None, deep=deep, paths=only))
        while True:
            try:
                answer: dict[str, Any] = asked.result(LOOK_EVERY_S)
            except NotYet:
                found = client.ask("verify_progress") if deep else {}
                if found.get("files_total"):
                    advance(found["files"], found["files_total"], found["bytes"], found["bytes_total"])
            else:
                return answer


def _relative(folder: Path, given: str) -> str:
    whole = Path(os.path.abspath(given))
    try:
        relative = (whole.parent.resolve() / whole.name).relative_to(folder)
    except ValueError:
        raise click.BadParameter(f"{given!r} does not lie in the synced folder {folder}.", param_hint="PATH") from None
    if not os.path.lexists(whole):
        raise click.BadParameter(f"{given!r} does not exist; check the folder it was in.", param_hint="PATH")
    if relative.parts and relative.parts[0] == STATE_FOLDER:
        raise click.BadParameter(f"{STATE_FOLDER} is Syncline's own and never synced.", param_hint="PATH")
    return "" if relative == Path() else relative.as_posix()


def _tell(report: dict[str, Any]) -> None:
    for hop in report["hops"]:
        more = f" ({show.number(hop['findings'], 'finding')})" if hop["findings"] else ""
        click.echo(f"{click.style(hop['verdict'].ljust(11), fg=COLOURS[hop['verdict']])} {hop['hop']:<10} {hop['compared']}{more}")
    for finding in report["findings"]:
        advice = f" → {finding['advice']}" if finding["advice"] else ""
        where = f"{show.shortened(show.printable(finding['path']))}: " if finding["path"] else ""
        click.echo(f"{click.style('FOUND', fg='red')}  {finding['code']}: {where}{finding['message']}{advice}")
    if report["findings_total"] > len(report["findings"]):
        click.echo(f"… and {report['findings_total'] - len(report['findings']):,} more.")
    for pending in report["pending"][:PENDING_SHOWN]:
        click.echo(f"to do  {pending['code']}: {show.shortened(show.printable(pending['path']))}: {pending['message']}")
    if report["pending_total"] > PENDING_SHOWN:
        click.echo(f"… and {show.number(report['pending_total'] - PENDING_SHOWN, 'more change')} to be synced (`syncline plan`).")
    if report["healing"]:
        click.echo("The running engine looks at all of this anew now.")
    elif not report["findings_total"] and report["lost"] is None:
        click.echo("Nothing was found wrong.")


def _code(report: dict[str, Any]) -> outcome.Exit:
    if report["findings_total"]:
        return outcome.Exit.FAILED
    if report["lost"] is None:
        return outcome.Exit.DONE
    return outcome.Exit.REFUSED if report["lost"].startswith("auth.") else outcome.Exit.OFFLINE
