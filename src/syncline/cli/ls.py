"""`syncline ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path

if TYPE_CHECKING:
    from syncline.sdk import Item


@click.command(epilog="Example: syncline ls /Documents")
@click.argument("path", default="/", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="Everything below too.")
@show.json_option
def ls(path: str, recursive: bool, as_json: bool) -> None:
    """List a remote folder (or one file): size, time, name. Paths start with /."""
    found = ask(lambda client: client.list(path, recursive=recursive))
    if as_json:
        show.as_json([facts(item) for item in found])
    elif found:
        show.table([_row(item.path.removeprefix(_folder(path)) or item.name, item) for item in found], right=(0,))


def facts(item: Item) -> dict[str, Any]:
    """One file or folder for programs."""
    return {
        "path": item.path,
        "kind": item.kind.value,
        "size": item.size,
        "mtime": show.plain(item.mtime),
        "revision": item.revision,
        "content_hash": item.content_hash,
        "executable": item.executable,
        "node_id": item.node_id,
    }


def _folder(path: str) -> str:
    clean = path.strip("/")
    return f"/{clean}/" if clean else "/"


def _row(name: str, item: Item) -> tuple[str, str, str]:
    if item.is_folder:
        return "-", show.local_time(item.changed), f"{show.printable(name)}/"
    return show.size(item.size), show.local_time(item.mtime), show.printable(name) + ("*" if item.executable else "")
