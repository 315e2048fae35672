"""`syncline link-share`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import click

from syncline.cli import show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path

if TYPE_CHECKING:
    from syncline.protocol.links import Link
    from syncline.sdk import AsyncClient

PASSWORD_MAX_BYTES: Final = 1024
_DURATION: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group(epilog="Example: syncline link-share create /Photos/2026 --expires 7d")
def link_share() -> None:
    """Make links for people without an account: to read a file or folder, or to drop files into a folder."""


def _expiry(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """A duration from now such as 7d, or a time with its zone (RFC 3339)."""
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if found is not None:
        return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} is neither a duration such as 30m, 12h, 7d or 2w, nor a time such as 2027-01-31T18:00:00Z."
        )
    return when


@link_share.command(epilog="Example: syncline link-share create /Photos/2026 --expires 7d --max-downloads 20")
@click.argument("path", callback=remote_path)
@click.option("--drop", is_flag=True, help="Let people put files into the folder without seeing what is in it.")
@click.option("--password-stdin", is_flag=True, help="Read a password for the link from standard input.")
@click.option(
    "--expires", metavar="T", callback=_expiry, help="When it ends: 30m, 12h, 7d, 2w, or a time such as 2027-01-31T18:00:00Z."
)
@click.option("--max-downloads", metavar="N", type=click.IntRange(1, 1_000_000_000), help="How many downloads (or dropped files).")
@show.json_option
def create(path: str, drop: bool, password_stdin: bool, expires: datetime | None, max_downloads: int | None, as_json: bool) -> None:
    """Make a link to PATH and print its address, which nobody can tell again."""
    password = _password() if password_stdin else None
    kind: Literal["drop", "download"] = "drop" if drop else "download"
    made = ask(lambda client: client.create_link(path, kind=kind, password=password, expires=expires, max_downloads=max_downloads))
    if as_json:
        show.as_json(made)
        return
    click.echo(made.url)
    click.echo(f"{made.link_id}: {_facts(made)}. End it with `syncline link-share revoke {made.link_id}`.", err=True)


@link_share.command("list", epilog="Example: syncline link-share list /Photos/2026")
@click.argument("path", required=False, callback=lambda ctx, param, given: given and remote_path(ctx, param, given))
@show.json_option
def list_(path: str | None, as_json: bool) -> None:
    """List your links, or those that lead to PATH."""
    found = ask(lambda client: client.links(path))
    if as_json:
        show.as_json([show.plain(one) for one in found])
        return
    if found:
        rows = [(one.link_id, _facts(one), show.printable(one.path or "(gone)")) for one in found]
        show.table([("id", "what it is", "path"), *rows])
    else:
        click.echo("There are no links.", err=True)


@link_share.command(epilog="Example: syncline link-share revoke 01J9ZK3V8Q6W1M2N3P4R5S6T7V")
@click.argument("link")
@show.json_option
def revoke(link: str, as_json: bool) -> None:
    """End a link at once, by its id; or every link of yours that leads to a path."""
    ended = ask(lambda client: _revoke(client, link))
    if as_json:
        show.as_json({"revoked": ended})
    else:
        click.echo(f"Revoked {', '.join(ended)}." if ended else "There was no link.")


def _facts(link: Link) -> str:
    """What a link is, in a few words."""
    is_drop = link.kind.value == "drop"
    noun = "file" if is_drop else "download"
    parts = ["file drop" if is_drop else "read"]
    if link.has_password:
        parts.append("password")
    if link.expires is not None:
        parts.append(f"until {show.local_time(link.expires)}")
    if link.downloads_max is not None:
        parts.append(f"{link.downloads:,} of {show.number(link.downloads_max, noun)}")
    elif link.downloads:
        parts.append(show.number(link.downloads, noun))
    return ", ".join(parts)


def _password() -> str:
    password = sys.stdin.buffer.read(PASSWORD_MAX_BYTES + 1).decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not password or len(password.encode("utf-8", "surrogateescape")) > PASSWORD_MAX_BYTES:
        raise click.UsageError(f"Standard input must hold a password of at most {PASSWORD_MAX_BYTES} bytes.")
    return password


async def _revoke(client: AsyncClient, link: str) -> list[str]:
    if link.startswith("/"):
        return [str(one) for one in await client.revoke_links(link)]
    await client.revoke_link(link)
    return [link]
