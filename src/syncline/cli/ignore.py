"""`syncline ignore`: which rule keeps a path out, read from the folder as it is now; no engine is asked."""

from __future__ import annotations

import errno
from pathlib import Path

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.folder_path import relative_path
from syncline.model.paths import STATE_FOLDER


@click.group(epilog="Example: syncline ignore check build/out.o")
def ignore() -> None:
    """What `.synclineignore` files keep from being synced."""


@ignore.command(epilog="Example: syncline ignore check ~/Syncline/build/out.o")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@show.json_option
def check(paths: tuple[str, ...], as_json: bool) -> None:
    """Say which line of which file keeps each PATH in the synced folder from being synced.

    What is synced already stays synced, whatever the rules say. A path that does not exist yet is a folder where it ends with /.
    """
    folder = Path(Home.from_environment().link().folder)
    found = [(path, _rule(folder, path)) for path in paths]
    if as_json:
        show.as_json([{"path": path, "ignored": rule is not None, "rule": rule} for path, rule in found])
        return
    for path, rule in found:
        click.echo(f"{show.printable(path)}: " + ("not ignored" if rule is None else f"ignored by {show.printable(rule)}"))


def _rule(folder: Path, given: str) -> str | None:
    from syncline.client.observe.ignore import ignored_by

    relative = relative_path(folder, given)
    if relative is None:
        raise click.BadParameter(f"{given!r} does not lie in the synced folder {folder}.", param_hint="PATH")
    if not relative or relative.split("/")[0] == STATE_FOLDER:
        return f"{STATE_FOLDER}: Syncline's own" if relative else None
    whole = folder / relative
    is_folder = given.endswith("/") or (whole.is_dir() and not whole.is_symlink())
    rule = ignored_by(relative, is_folder=is_folder, read=lambda path, limit: _read(folder / path, limit))
    return None if rule is None else str(rule)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return content
