"""Bars for commands that read many bytes: files, bytes, rate and time left, on a terminal; nothing elsewhere.

Lines that are said meanwhile stand above the bar.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from syncline.cli import show

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID


class Bars:
    """A context; one bar for each thing that is read."""

    def __init__(self, *, quiet: bool) -> None:
        self._wanted = not quiet and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, line: str) -> None:
        """A line on standard output."""
        if self._progress is not None:
            self._progress.stop()
        click.echo(line)
        if self._progress is not None:
            self._progress.start()

    def show(self, what: str, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
        if not self._wanted:
            return
        progress = self._progress or self._begin()
        count = f"{done:,}/{show.number(total, what.rstrip('s'))}"
        if what not in self._tasks:
            self._tasks[what] = progress.add_task("Reading", total=max(1, total_bytes), count=count)
        progress.update(self._tasks[what], completed=done_bytes, count=count, visible=done < total)

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[count]:>24}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        return self._progress
