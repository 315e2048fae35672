"""`syncline ls`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.model.entries import Kind
from syncline.protocol.changes import Entry


@click.command(epilog="Example: syncline ls /Documents")
@click.argument("path", default="/", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="Everything below too.")
@show.json_option
def ls(path: str, recursive: bool, as_json: bool) -> None:
    """List a remote folder (or one file): size, time, name. Paths start with /."""
    found = asyncio.run(_list(Home.from_environment(), path, recursive=recursive))
    if as_json:
        show.as_json([facts(place, entry) for place, entry in found])
    elif found:
        show.table([_row(place.removeprefix(_folder(path)) or entry.name, entry) for place, entry in found], right=(0,))


def facts(path: str, entry: Entry) -> dict[str, Any]:
    """One entry for programs."""
    return {
        "path": path,
        "kind": entry.kind.value,
        "size": entry.size,
        "mtime": show.plain(entry.mtime),
        "revision": entry.revision,
        "content_hash": entry.content_hash,
        "executable": entry.executable,
        "node_id": entry.node_id,
    }


async def _list(home: Home, path: str, *, recursive: bool) -> list[tuple[str, Entry]]:
    from syncline.app.session import remote_files

    async with remote_files(home) as files:
        found = await files.find(path)
        if found.entry is not None and not found.is_folder:
            return [(found.path, found.entry)]
        base = found.path.rstrip("/")
        if recursive:
            return sorted([(f"{base}/{place}", entry) async for place, _, entry in files.walk(found)], key=lambda pair: pair[0])
        return [(f"{base}/{entry.name}", entry) for entry in await files.children(found)]


def _folder(path: str) -> str:
    clean = path.strip("/")
    return f"/{clean}/" if clean else "/"


def _row(name: str, entry: Entry) -> tuple[str, str, str]:
    if entry.kind is Kind.DIR:
        return "-", show.local_time(entry.time), f"{show.printable(name)}/"
    return show.size(entry.size), show.local_time(entry.mtime), show.printable(name) + ("*" if entry.executable else "")
