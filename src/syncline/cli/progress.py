"""What a running engine is doing, as it goes: bars on a terminal, plain lines elsewhere, nothing for programs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from syncline.cli import show
from syncline.client.status import State, Status

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOOK_EVERY_S: Final = 0.2
LINE_EVERY_S: Final = 5.0


@asynccontextmanager
async def watching(status: Callable[[], Status], *, quiet: bool, standing: bool) -> AsyncIterator[None]:
    """Shows what `status` says until the body ends. `standing` says that the engine stays after it is in sync."""
    if quiet:
        yield
        return
    show_it = _bars if sys.stderr.isatty() else _lines
    task = asyncio.create_task(show_it(status, standing))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _lines(status: Callable[[], Status], standing: bool) -> None:
    """A line when the state changes, and now and then while files are under way."""
    said, said_at = "", float("-inf")
    while True:
        now, found = time.monotonic(), status()
        line = _line(found)
        due = found.state is State.SYNCING and now - said_at >= LINE_EVERY_S and line != said
        if (standing and found.state.value != said.partition(":")[0]) or due:
            click.echo(line, err=True)
            said, said_at = line, now
        await asyncio.sleep(LOOK_EVERY_S)


def _line(status: Status) -> str:
    left = status.pending.uploads + status.pending.downloads + status.pending.other
    return (
        f"{status.state.value}: {left:,} to do, {show.size(status.pending.upload_bytes)} up and "
        f"{show.size(status.pending.download_bytes)} down left, {show.number(len(status.problems), 'problem')}"
    )


async def _bars(status: Callable[[], Status], standing: bool) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description:<9}"),
        TextColumn("{task.fields[files]:>14}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        up = bars.add_task("Upload", total=None, files="")
        down = bars.add_task("Download", total=None, files="")
        look = bars.add_task("", total=1, files="", visible=False)
        while True:
            found = status()
            _draw(
                bars,
                up,
                found.progress.uploaded_files,
                found.progress.uploaded_bytes,
                found.pending.uploads,
                found.pending.upload_bytes,
            )
            _draw(
                bars,
                down,
                found.progress.downloaded_files,
                found.progress.downloaded_bytes,
                found.pending.downloads,
                found.pending.download_bytes,
            )
            idle = not (found.pending.uploads or found.pending.downloads)
            bars.update(look, visible=idle, description=_word(found, standing), completed=0)
            await asyncio.sleep(LOOK_EVERY_S)


def _draw(bars: Progress, task: TaskID, files: int, done_bytes: int, left_files: int, left_bytes: int) -> None:
    bars.update(
        task,
        visible=left_files > 0,
        total=max(1, done_bytes + left_bytes),
        completed=done_bytes,
        files=f"{files:,}/{files + left_files:,} files",
    )


def _word(status: Status, standing: bool) -> str:
    if status.state is State.IN_SYNC and standing:
        return "In sync; watching (Ctrl-C ends it)"
    if status.state is State.SYNCING:
        return f"Looking ({show.number(status.pending.other, 'change')} at hand)" if status.pending.other else "Looking"
    return show.STATE_WORDS[status.state.value][0].capitalize()
