"""`syncline doctor`: what of this machine, this device and the server could stand in the way, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncline.app.home import Home
from syncline.cli import outcome, show

if TYPE_CHECKING:
    from syncline.app.checks import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog="Example: syncline doctor")
@show.json_option
def doctor(as_json: bool) -> None:
    """Check this machine, this device and the server; every line that is not ok says what to do.

    Ends with 1 where a check failed; warnings do not count.
    """
    from syncline.app.checks import every_check

    findings: list[Finding] = []
    for finding in every_check(Home.from_environment()):
        findings.append(finding)
        if not as_json:
            verdict = click.style(f"{finding.verdict:<4}", fg=COLOURS[finding.verdict])
            click.echo(f"{verdict}  {finding.check:<22} {finding.found}" + (f" → {finding.advice}" if finding.advice else ""))
    if as_json:
        show.as_json(findings)
    if any(finding.verdict == "fail" for finding in findings):
        raise outcome.Ended(outcome.Exit.FAILED)
