"""Paths of the synced folder, as people write them on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import click


def relative_path(folder: Path, given: str) -> str | None:
    """`given`, as seen from where the command runs, relative to the synced folder ("" is that itself); None outside it."""
    whole = Path(os.path.abspath(given))
    try:
        path = (whole.parent.resolve() / whole.name).relative_to(folder).as_posix()
    except ValueError:
        return "" if whole.resolve() == folder else None
    return "" if path == "." else path


def in_folder(folder: Path, given: str) -> str:
    """The same; what lies outside is taken for a path as listings of the synced folder print it. Raises `click.BadParameter`."""
    path = relative_path(folder, given)
    if path is None and not os.path.isabs(given):
        path = os.path.normpath(given)
    if path is None or path.split("/")[0] in ("", ".", ".."):
        raise click.BadParameter(f"{given!r} does not lie in the synced folder {folder}.", param_hint="PATH")
    return path
