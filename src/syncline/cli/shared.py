"""`syncline shared`."""

from __future__ import annotations

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.protocol.sharing import Person, SharedFile, SharedFolder, SharedWith


def _maybe_remote(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else remote_path(ctx, parameter, value)


@click.command(epilog="Example: syncline shared /Projects/Bridge")
@click.argument("path", required=False, callback=_maybe_remote)
@show.json_option
def shared(path: str | None, as_json: bool) -> None:
    """Show what is shared with you and by you; of a remote folder or file (PATH) with whom it is shared."""
    if path is not None:
        with_whom = ask(lambda client: client.shared_with(path))
        show.as_json(with_whom) if as_json else _show_people(path, with_whom)
        return
    found = ask(lambda client: client.shared())
    if as_json:
        show.as_json(found)
        return
    rows: list[tuple[str, ...]] = [("what", "access", "owner", "with", "where")]
    rows += [_folder(one) for one in found.folders] + [_invitation(one) for one in found.invitations]
    rows += [_file(one, one.owner, "") for one in found.files] + [_file(one, "you", one.email) for one in found.by_me]
    if len(rows) > 1:
        show.table(rows)
    else:
        click.echo("Nothing is shared with you or by you.")
    if found.invitations:
        click.echo(
            f"{show.number(len(found.invitations), 'invitation')} waiting: syncline shares accept NAME, or decline.", err=True
        )


def _folder(one: SharedFolder) -> tuple[str, ...]:
    where = show.printable(one.path) if one.path else "not mounted: syncline shares mount"
    return f"{show.printable(one.name)}/", one.access.value, one.owner, show.number(one.members, "member"), where


def _invitation(one: SharedFolder) -> tuple[str, ...]:
    return f"{show.printable(one.name)}/", one.access.value, one.owner, show.number(one.members, "member"), "invited"


def _file(one: SharedFile, owner: str, email: str) -> tuple[str, ...]:
    return show.printable(one.entry.name), one.access.value, owner, email, f"file {one.entry.node_id}"


def _show_people(path: str, found: SharedWith) -> None:
    rows = [_person(one, "member") for one in found.members]
    rows += [_person(one, "invited") for one in found.invitations] + [_person(one, "granted") for one in found.grants]
    if rows:
        show.table(rows)
    else:
        click.echo(f"{path} is shared with nobody.")


def _person(one: Person, as_what: str) -> tuple[str, ...]:
    return one.email, one.access.value, as_what, f"since {show.local_time(one.since)}"
