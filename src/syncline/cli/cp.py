"""`syncline cp`."""

from __future__ import annotations

import asyncio

import click

from syncline.app.home import Home
from syncline.cli import show
from syncline.cli.ls import facts
from syncline.cli.remote_path import remote_path
from syncline.protocol.copies import Copied


@click.command(epilog="Example: syncline cp /Documents/plan.txt /Team")
@click.argument("source", callback=remote_path)
@click.argument("target", callback=remote_path)
@click.option("-r", "--recursive", is_flag=True, help="Not needed: folders are copied with all in them.")
@click.option("--autorename", is_flag=True, help="Where the name is taken, give the copy a number.")
@show.json_option
def cp(source: str, target: str, recursive: bool, autorename: bool, as_json: bool) -> None:
    """Copy a remote file or folder; into TARGET where that is a folder, shared ones too. Nothing is replaced, no bytes travel."""
    path, copied = asyncio.run(_copy(Home.from_environment(), source, target, autorename=autorename))
    assert copied.entry is not None
    if as_json:
        show.as_json(facts(path, copied.entry) | {"nodes": copied.nodes, "left_out": copied.left_out})
    elif copied.left_out:
        click.echo(f"{show.number(copied.left_out, 'shared folder')} in it not copied: copy what is in them by itself.", err=True)


async def _copy(home: Home, source: str, target: str, *, autorename: bool) -> tuple[str, Copied]:
    from syncline.app.session import remote_copies
    from syncline.model.errors import InvalidRequest
    from syncline.model.paths import parent_of, split_path
    from syncline.protocol.copies import Copy
    from syncline.protocol.problems import from_problem

    async with remote_copies(home) as (files, copies):
        what = await files.find(source)
        if what.entry is None:
            raise InvalidRequest(message="/ cannot be copied; copy what is in it.")
        place = await files.find_or_none(target)
        exact = "/" + "/".join(split_path(target))
        if place is not None and place.is_folder:
            exact = f"{place.path.rstrip('/')}/{what.entry.name}"
        wanted = Copy(path=what.path, to_path=exact, autorename=autorename)
        copied = (await copies.copy([wanted], key=files.ids.fresh())).files[0]
    if copied.error is not None or copied.entry is None:
        numbers = [word for word in (copied.detail or "").split() if word.isdigit()]
        told = {"what": exact, "name": exact, "message": copied.detail, "limit": (numbers or ["?"])[0], "reason": copied.detail}
        raise from_problem({"code": copied.error, "detail": copied.detail} | told)
    return f"{parent_of(exact)}/{copied.entry.name}", copied
