"""Remote paths on the command line: they start with `/`, so that `syncline put a.txt b.txt` is a slip and not an upload."""

from __future__ import annotations

import click


def remote_path(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """The callback of an argument: what starts with `/` passes; the names in it are checked where they are used."""
    if not value.startswith("/"):
        raise click.BadParameter(f"{value!r} is no remote path: they start with /, such as /{value}.", param=parameter)
    return value
