"""A bar for one transfer on a terminal: bytes, rate, time left. Nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncline.cli import show

if TYPE_CHECKING:
    from syncline.sdk import Progress


@contextmanager
def bar(verb: str, noun: str, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A function to call with how far it is. "Uploading" and "item" stand before the bar as `Uploading 3 items`."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(verb, total=None)

        def tell(progress: Progress) -> None:
            what = f"{verb} {show.number(progress.items, noun)}"
            shown.update(task, description=what, total=progress.total_bytes, completed=progress.done_bytes)

        yield tell
