"""`syncline cat`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path

if TYPE_CHECKING:
    from syncline.sdk import AsyncClient


@click.command(epilog="Example: syncline cat /notes.txt | grep milk")
@click.argument("path", callback=remote_path)
def cat(path: str) -> None:
    """Write a remote file to standard output, every block verified before it is written."""
    ask(lambda client: _cat(client, path))


async def _cat(client: AsyncClient, path: str) -> None:
    from contextlib import aclosing

    out = sys.stdout.buffer
    async with aclosing(client.stream(path)) as blocks:
        async for block in blocks:
            await asyncio.to_thread(out.write, block)
    out.flush()
