"""`syncline link`: choose the folder, mark it, and refuse every choice that could mix two trees up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from syncline.app.home import ROOT_ID_FILE, Home, Link, write_private
from syncline.cli import show
from syncline.model.errors import LocalIo, NeedsDecision, NotLinked
from syncline.model.paths import STATE_FOLDER, split_path

NESTED_LOOK_MAX: Final = 100_000
"""Folders looked into for a synced folder inside the new one."""


class UnfitFolder(NeedsDecision):
    """{message}"""

    code = "link.unfit_folder"


@click.command(epilog="Example: syncline link ~/Syncline")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--remote", metavar="PATH", default="/", show_default=True, help="The remote folder it stands for.")
@show.json_option
def link(folder: str, remote: str, as_json: bool) -> None:
    """Make DIR the folder this device keeps in sync. It is created where it does not exist.

    Files that are there already are adopted: equal ones cost nothing, others are uploaded, and none is ever deleted.
    """
    if not folder:
        raise click.BadParameter("it names no folder.", param_hint="DIR")
    home = Home.from_environment()
    home.credentials()
    if split_path(remote):
        raise click.BadParameter("This version syncs everything: only / can be linked.", param_hint="--remote")
    with home.lock():
        made, fresh = _link(home, Path(folder).expanduser())
    if as_json:
        show.as_json(made)
    else:
        click.echo(f"{'Linked' if fresh else 'Already linked'}: {show.printable(made.folder)}. Next: `syncline start`.")


def _link(home: Home, wanted: Path) -> tuple[Link, bool]:
    """The link, and whether anything changed. The old trees are kept only where it is the same marked folder."""
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        folder = wanted.resolve(strict=True)
    except OSError as error:
        raise LocalIo(path=str(wanted), reason=error.strerror or str(error)) from error
    _check_place(home, folder)
    try:
        known: Link | None = home.link()
    except NotLinked:
        known = None
    marked = read_root_id(folder)
    if known is not None and marked == known.root_id:
        return _moved(home, known, folder)
    if marked is not None:
        raise UnfitFolder(
            message=f"{folder} is synced by another device already (another SYNCLINE_HOME). Choose another folder, "
            f"or if nothing syncs it any more, remove {folder / STATE_FOLDER} and link again."
        )
    if known is not None and Path(known.folder) != folder and read_root_id(Path(known.folder)) == known.root_id:
        raise UnfitFolder(
            message=f"This device syncs {known.folder} already. Use another SYNCLINE_HOME for a second folder, "
            f"or `syncline logout` to let go of the first one (its files stay)."
        )
    _check_nested(folder)
    home.forget_link()
    made = Link(folder=str(folder), remote="/", root_id=_fresh_id())
    _mark(folder, made.root_id)
    home.save_link(made)
    return made, True


def _moved(home: Home, known: Link, folder: Path) -> tuple[Link, bool]:
    """The same marked folder; it may have been moved to another path."""
    if known.folder == str(folder):
        return known, False
    made = Link(folder=str(folder), remote=known.remote, root_id=known.root_id)
    home.save_link(made)
    return made, True


def _check_place(home: Home, folder: Path) -> None:
    if folder == Path(folder.anchor) or folder == Path.home().resolve():
        raise UnfitFolder(message=f"{folder} is too much to sync as a whole. Choose a folder of its own, such as ~/Syncline.")
    if home.path.is_relative_to(folder) or folder.is_relative_to(home.path):
        raise UnfitFolder(message=f"{folder} holds this device's own state ({home.path}), or lies in it. Choose another folder.")
    if STATE_FOLDER in folder.parts:
        raise UnfitFolder(message=f"{folder} lies in Syncline's own {STATE_FOLDER}. Choose another folder.")
    for parent in folder.parents:
        if read_root_id(parent) is not None:
            raise UnfitFolder(message=f"{folder} lies inside {parent}, which is synced already. Choose a folder outside of it.")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise LocalIo(path=str(folder), reason="you may not read and write there")


def _check_nested(folder: Path) -> None:
    """No synced folder inside: its files would be synced twice."""
    for looked, (path, folders, _) in enumerate(os.walk(folder)):
        if looked >= NESTED_LOOK_MAX:
            return
        if STATE_FOLDER in folders and path != str(folder) and read_root_id(Path(path)) is not None:
            raise UnfitFolder(message=f"{path} is synced already and lies inside {folder}. Choose a folder without it.")


def read_root_id(folder: Path) -> str | None:
    """The id a synced folder is marked with; None where it is not one (or cannot be looked at)."""
    try:
        return (folder / ROOT_ID_FILE).read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _mark(folder: Path, root_id: str) -> None:
    try:
        (folder / STATE_FOLDER).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalIo(path=str(folder / STATE_FOLDER), reason=error.strerror or str(error)) from error
    write_private(folder / ROOT_ID_FILE, f"{root_id}\n".encode())


def _fresh_id() -> str:
    from syncline.adapters.machine import MachineChance, MachineClock
    from syncline.ports.clock import Ids

    return Ids(MachineClock(), MachineChance()).fresh()
