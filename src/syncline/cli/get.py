"""`syncline get`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.remote_path import remote_path
from syncline.model.entries import Kind
from syncline.model.errors import LocalIo
from syncline.model.paths import check_name, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncline.app.remote_files import RemoteFiles
    from syncline.model.ids import NamespaceId
    from syncline.protocol.changes import Entry

AT_ONCE: Final = 8

Wanted = tuple["NamespaceId", "Entry", Path]


@click.command(epilog="Example: syncline get /Documents/report.pdf .")
@click.argument("remote", callback=remote_path)
@click.argument("local", default=".", type=click.Path(path_type=Path))
@click.option("-f", "--force", is_flag=True, help="Replace files that are there already.")
@show.json_option
def get(remote: str, local: Path, force: bool, as_json: bool) -> None:
    """Download a remote file to LOCAL (into it where that is a folder), or a folder with everything in it into the folder LOCAL.

    A file appears whole and verified, or not at all. Interrupted? Run it again: what has arrived is kept.
    """
    facts = asyncio.run(_get(Home.from_environment(), remote, local, replace=force, quiet=as_json))
    if as_json:
        show.as_json(facts)
    else:
        click.echo(f"{show.number(facts['downloaded'], 'file')} downloaded, {facts['unchanged']:,} here already.")


async def _get(home: Home, remote: str, local: Path, *, replace: bool, quiet: bool) -> dict[str, Any]:
    from syncline.app.session import remote_files
    from syncline.cli.transfer import bar

    async with remote_files(home) as files:
        wanted = await _wanted(files, remote, local)
        with bar(
            f"Downloading {show.number(len(wanted), 'file')}", sum(entry.size for _, entry, _ in wanted), quiet=quiet
        ) as progress:
            fresh = await _download(files, wanted, replace, progress)
    return {"downloaded": fresh, "unchanged": len(wanted) - fresh, "target": str(local)}


async def _wanted(files: RemoteFiles, remote: str, local: Path) -> list[Wanted]:
    """What to bring where; folders are made on the way."""
    found = await files.find(remote)
    name = name_of(found.path) if found.entry is None else check_name(found.entry.name)
    if found.entry is not None and not found.is_folder:
        target = local / name if local.is_dir() else local
        if not target.parent.is_dir():
            raise LocalIo(path=str(target.parent), reason="there is no such folder")
        return [(found.namespace, found.entry, target)]
    # Always under its own name, whether LOCAL was there or not: so the same command may be run again.
    target = local / name
    _make_folder(target)
    wanted: list[Wanted] = []
    async for path, namespace, entry in files.walk(found):
        place = target.joinpath(*map(check_name, path.split("/")))
        if entry.kind is Kind.DIR:
            _make_folder(place)
        else:
            wanted.append((namespace, entry, place))
    return wanted


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalIo(path=str(path), reason=error.strerror or str(error)) from error


async def _download(files: RemoteFiles, wanted: list[Wanted], replace: bool, progress: Callable[[int], None]) -> int:
    """How many were not here yet. The first error ends the others."""
    from syncline.app.remote_get import download

    left = iter(wanted)
    fresh = 0

    async def work() -> None:
        nonlocal fresh
        for namespace, entry, target in left:
            came = await download(files.remote, namespace, entry, target, replace=replace, progress=progress)
            fresh += came

    workers = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(wanted)))]
    try:
        for worker in asyncio.as_completed(workers):
            await worker
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return fresh
