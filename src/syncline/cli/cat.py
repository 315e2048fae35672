"""`syncline cat`."""

from __future__ import annotations

import asyncio
import sys

import click

from syncline.app.home import Home
from syncline.cli.remote_path import remote_path


@click.command(epilog="Example: syncline cat /notes.txt | grep milk")
@click.argument("path", callback=remote_path)
def cat(path: str) -> None:
    """Write a remote file to standard output, every block verified before it is written."""
    asyncio.run(_cat(Home.from_environment(), path))


async def _cat(home: Home, path: str) -> None:
    from contextlib import aclosing

    from syncline.app.remote_get import stream
    from syncline.app.session import remote_files

    out = sys.stdout.buffer
    async with remote_files(home) as files:
        found = await files.file(path)
        async with aclosing(stream(files.remote, found.namespace, found.needed)) as blocks:
            async for block in blocks:
                await asyncio.to_thread(out.write, block)
        out.flush()
