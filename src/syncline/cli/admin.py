"""`syncline admin`: accounts, beside a server's data, whether it runs or not."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from syncline.cli import show
from syncline.cli.admin_check import check_data

if TYPE_CHECKING:
    from syncline.ports.account_store import User
    from syncline.server.accounts.people import People

SHORT_PASSWORD_CHARS: Final = 8
Result = TypeVar("Result")

_data = click.option("--data", type=click.Path(path_type=Path), help="The server's data directory.")
_config = click.option("--config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The server's TOML file.")
_password = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group()
def admin() -> None:
    """Accounts and care of a server."""


@admin.group()
def user() -> None:
    """People who may sign in."""


@user.command(epilog="Example: echo PASSWORD | syncline admin user add ann@example.org --password-stdin --data /srv/syncline")
@click.argument("email")
@click.option("--name", default="", help="How others see them (default: the part before the @).")
@click.option("--quota", type=click.IntRange(min=0), metavar="BYTES", help="What they may store; unlimited without it.")
@click.option("--fold-names", is_flag=True, help="Let names that differ only in case collide, as on macOS and Windows.")
@click.option("--json", "as_json", is_flag=True, help="Print the new account as JSON.")
@_password
@_data
@_config
def add(
    email: str,
    name: str,
    quota: int | None,
    fold_names: bool,
    as_json: bool,
    password_stdin: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Add a person."""
    password = _read_password(password_stdin)
    from syncline.model.paths import EXACT_KEYS, FOLDED_KEYS

    rule = FOLDED_KEYS if fold_names else EXACT_KEYS
    added = _with_people(data, config, lambda people: people.add(email, password, name=name, quota_bytes=quota, name_keys=rule))
    click.echo(json.dumps(_facts(added)) if as_json else f"added {added.email} ({added.id})")


@user.command("list", epilog="Example: syncline admin user list --json --data /srv/syncline")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_data
@_config
def list_users(as_json: bool, data: Path | None, config: Path | None) -> None:
    """List people."""
    users = _with_people(_existing(data, config), config, lambda people: people.all())
    if as_json:
        click.echo(json.dumps({"users": [_facts(one) for one in users]}))
        return
    for one in users:
        quota = "no quota" if one.quota_bytes is None else f"quota {one.quota_bytes}"
        click.echo(f"{one.email}\t{one.name}\t{quota}\t{'disabled' if one.disabled else 'enabled'}")


@user.command(epilog="Example: syncline admin user disable ann@example.org --data /srv/syncline")
@click.argument("email")
@click.option("--undo", is_flag=True, help="Let them in again.")
@_data
@_config
def disable(email: str, undo: bool, data: Path | None, config: Path | None) -> None:
    """End a person's access at once; their files stay."""
    changed = _with_people(_existing(data, config), config, lambda people: people.disable(email, disabled=not undo))
    click.echo(f"{'enabled' if undo else 'disabled'} {changed.email}")


@user.command(epilog="Example: syncline admin user quota ann@example.org 50000000000 --data /srv/syncline")
@click.argument("email")
@click.argument("quota_bytes", metavar="BYTES", type=click.IntRange(min=0), required=False)
@click.option("--none", "unbounded", is_flag=True, help="No bound at all, instead of BYTES.")
@_data
@_config
def quota(email: str, quota_bytes: int | None, unbounded: bool, data: Path | None, config: Path | None) -> None:
    """Set how many BYTES a person may store, from the next upload on."""
    if (quota_bytes is None) is not unbounded:
        raise click.UsageError("Give either BYTES or --none.")
    changed = _with_people(_existing(data, config), config, lambda people: people.set_quota(email, quota_bytes))
    click.echo(f"{changed.email} may store {'without bound' if quota_bytes is None else f'{quota_bytes:,} bytes'}")


@user.command(epilog="Example: echo PASSWORD | syncline admin user passwd ann@example.org --password-stdin --data /srv/syncline")
@click.argument("email")
@_password
@_data
@_config
def passwd(email: str, password_stdin: bool, data: Path | None, config: Path | None) -> None:
    """Set a person's password; their linked devices stay linked."""
    place = _existing(data, config)
    password = _read_password(password_stdin)
    changed = _with_people(place, config, lambda people: people.set_password(email, password))
    click.echo(f"changed the password of {changed.email}")


@admin.command(epilog="Example: syncline admin check --deep --data /srv/syncline")
@click.option("--deep", is_flag=True, help="Read every stored byte too: packs, blocks, and each revision's hash.")
@show.json_option
@_data
@_config
def check(deep: bool, as_json: bool, data: Path | None, config: Path | None) -> None:
    """Check everything the server stores against each other, also while it runs; nothing is changed.

    Compares journal, tree, revisions, blocks and stored objects. Ends with 1 where something is not as it must be.
    """
    place = _existing(data, config)
    if place is None:
        place = _data_of(data, config)
    check_data(place, config, deep=deep, as_json=as_json)


@admin.command(epilog="Example: syncline admin keys /etc/syncline/keys")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def keys(folder: Path) -> None:
    """Make a FOLDER of keys for a server of several processes; what is there already stays as it is.

    Every process of the server gets the same folder, by the key `keys` of its configuration; it may be mounted read-only. Whoever
    has it can read everything the server stores, and without it nobody can: keep a copy.
    """
    from syncline.adapters.machine import MachineChance, MachineClock
    from syncline.app.keys import Keys
    from syncline.ports.clock import Ids

    chance = MachineChance()
    Keys(folder, chance, Ids(MachineClock(), chance), makes=True).make()
    click.echo(f"the keys are in {folder}")


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise click.UsageError("Give --password-stdin and the password on standard input.")
    if 0 < len(password) < SHORT_PASSWORD_CHARS:
        click.echo(f"note: that password has fewer than {SHORT_PASSWORD_CHARS} characters", err=True)
    return password


def _facts(one: User) -> dict[str, Any]:
    from syncline.protocol.changes import to_time

    return {
        "user_id": one.id,
        "email": one.email,
        "name": one.name,
        "root_namespace": one.root_namespace,
        "quota_bytes": one.quota_bytes,
        "disabled": one.disabled,
        "created": to_time(one.created_us).isoformat().replace("+00:00", "Z"),
    }


def _with_people(data: Path | None, config: Path | None, work: Callable[[People], Awaitable[Result]]) -> Result:
    from syncline.app.accounts import with_people
    from syncline.app.config import database_in

    database = database_in(config)
    place = None if database is not None else _data_of(data, config)
    return asyncio.run(with_people(place, work, database=database))


def _existing(data: Path | None, config: Path | None) -> Path | None:
    """The data directory of a server that was there before: only `serve` and the first account may make one. None where a database
    is named in its stead."""
    from syncline.app.config import database_in

    if database_in(config) is not None:
        return None
    place = _data_of(data, config)
    if not (place / "metadata.db").exists():
        raise click.BadParameter(f"{place} holds no server's data.", param_hint="--data")
    return place


def _data_of(data: Path | None, config: Path | None) -> Path:
    """The data directory that `--data` names, else the one the configuration file does."""
    if data is not None:
        return data
    if config is None:
        raise click.UsageError("Name the server's data with --data DIR.")
    from syncline.app.config import data_in

    return data_in(config)
