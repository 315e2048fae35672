"""What `syncline admin check` prints: findings as they come, a line a hop, bars while bytes are read; or all of it as JSON."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from syncline.cli import outcome, show
from syncline.cli.reading import Bars

if TYPE_CHECKING:
    from syncline.server.check.findings import Finding, Hop, Progress

FINDINGS_KEPT_MAX: Final = 10_000
"""In a JSON document; the rest is counted."""


def check_data(data: Path, config: Path | None, *, deep: bool, as_json: bool) -> None:
    """Raises `outcome.Ended` with 1 where there are findings."""
    told = _Told(Bars(quiet=as_json), quiet=as_json)
    with told.bars:
        asyncio.run(_run(data, config, deep, told))
    if as_json:
        facts = {"ok": not told.count, "deep": deep, "hops": told.hops, "findings": told.kept, "findings_total": told.count}
        show.as_json(facts)
    elif told.count:
        click.echo(f"{show.number(told.count, 'finding')}: `docs/operations/checking.md` says what each means and what to do.")
    else:
        click.echo("Nothing was found wrong.")
    if told.count:
        raise outcome.Ended(outcome.Exit.FAILED)


class _Told:
    def __init__(self, bars: Bars, *, quiet: bool) -> None:
        self.bars = bars
        self.quiet = quiet
        self.hops: list[Hop] = []
        self.kept: list[Finding] = []
        self.count = 0

    def finding(self, finding: Finding) -> None:
        self.count += 1
        if self.quiet and len(self.kept) < FINDINGS_KEPT_MAX:
            self.kept.append(finding)
        if not self.quiet:
            self.bars.say(f"{click.style('FOUND', fg='red')}  {finding.code}: {_where(finding)}{finding.message}")

    def hop(self, hop: Hop) -> None:
        self.hops.append(hop)
        if not self.quiet:
            verdict = click.style("wrong", fg="red") if hop.findings else click.style("ok", fg="green") + "   "
            more = f" ({show.number(hop.findings, 'finding')})" if hop.findings else ""
            self.bars.say(f"{verdict}  {hop.hop:<10} {hop.compared}{more}")


async def _run(data: Path, config: Path | None, deep: bool, told: _Told) -> None:
    from syncline.app.checking import check_server
    from syncline.app.config import load

    def progress(found: Progress) -> None:
        told.bars.show(found.what, found.done, found.total, found.done_bytes, found.total_bytes)

    objects = load(data, None, config).objects
    async for hop in check_server(data, deep=deep, tell=told.finding, show=progress, objects=objects):
        told.hop(hop)


def _where(finding: Finding) -> str:
    """Whose file, or which pack: as exactly as a finding knows."""
    parts = []
    if finding.owner:
        parts.append(f"{finding.owner}:{show.shortened(show.printable(finding.path))}")
    if finding.pack:
        parts.append(f"pack {finding.pack} (object {finding.object})")
    elif finding.object:
        parts.append(f"object {finding.object}")
    if finding.block:
        parts.append(f"block {finding.block[:16]}…")
    return ", ".join(parts) + ": " if parts else ""
