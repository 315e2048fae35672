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
    from rich.live import Live
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.spinner import Spinner

    bars = Progress(
        TextColumn("{task.description:<9}"),
        TextColumn("{task.fields[files]:>20}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    up = bars.add_task("Upload", files="", visible=False)
    down = bars.add_task("Download", files="", visible=False)
    spinner = Spinner("dots")
    with Live(console=Console(stderr=True), transient=True, refresh_per_second=1 / LOOK_EVERY_S) as shown:
        while True:
            found = status()
            done, left = found.progress, found.pending
            _draw(bars, up, done.uploaded_files, left.uploads, done.uploaded_bytes, left.upload_bytes, found.traffic.sent_bytes)
            _draw(
                bars,
                down,
                done.downloaded_files,
                left.downloads,
                done.downloaded_bytes,
                left.download_bytes,
                found.traffic.received_bytes,
            )
            spinner.update(text=_word(found, standing))
            shown.update(bars if left.uploads or left.downloads else spinner)
            await asyncio.sleep(LOOK_EVERY_S)


def _draw(bars: Progress, task: TaskID, files: int, left_files: int, done_bytes: int, left_bytes: int, wire_bytes: int) -> None:
    """Files count when they are done. In between the wire tells how far a large one is: it carries no more than the files hold."""
    total = max(1, done_bytes + left_bytes)
    bars.update(
        task,
        visible=left_files > 0,
        total=total,
        completed=max(done_bytes, min(total, wire_bytes)),
        files=f"{files:,}/{files + left_files:,} files",
    )


def _word(status: Status, standing: bool) -> str:
    if status.state is State.IN_SYNC and standing:
        return "In sync; watching (Ctrl-C ends it)"
    if status.state is State.SYNCING:
        return f"Looking ({show.number(status.pending.other, 'change')} at hand)" if status.pending.other else "Looking"
    return show.STATE_WORDS[status.state.value][0].capitalize()
