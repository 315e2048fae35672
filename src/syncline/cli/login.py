"""`syncline login`: a device's session, from an account's password that is read from standard input and kept nowhere."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from syncline.app.home import Credentials, Home
from syncline.cli import show
from syncline.model.errors import Conflict, NeedsDecision, NotLinked, NotLoggedIn, SynclineError

if TYPE_CHECKING:
    from syncline.app.home import Link

PASSWORD_MAX_BYTES: Final = 4096


class OtherAccount(Conflict):
    """This device syncs {folder} for {email} at {server}; run `syncline logout` first, or use another SYNCLINE_HOME."""

    code = "login.other_account"


class NoBrowserSignIn(NeedsDecision):
    """Signing in with a browser is not built yet; sign in with `syncline login {server} --email YOU --password-stdin` instead."""

    code = "login.no_browser"


@click.command(epilog="Example: syncline login https://files.example.org --email you@example.org --password-stdin < password.txt")
@click.argument("url", metavar="URL")
@click.option("--email", metavar="E", help="The account's e-mail address.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; otherwise it is asked for.")
@click.option("--device-name", metavar="N", help="How this device is called in lists and conflict copies.  [default: host name]")
@show.json_option
def login(url: str, email: str | None, password_stdin: bool, device_name: str | None, as_json: bool) -> None:
    """Sign this device in at the server at URL. It becomes a device of the account, and can be unlinked by itself."""
    home = Home.from_environment()
    server = server_url(url)
    if email is None:
        raise NoBrowserSignIn(server=server)
    password = _password(password_stdin)
    with home.lock():
        credentials = _sign_in(home, server, email, password, device_name or socket.gethostname() or "device")
    if as_json:
        show.as_json(facts(credentials))
    else:
        click.echo(f"Signed in at {server} as {credentials.email}, device {show.printable(credentials.device_name)}.")
        if not home.link_file.exists():
            click.echo("Next: `syncline link DIR`.")


def facts(credentials: Credentials) -> dict[str, str]:
    """Who is signed in, for programs; no secrets."""
    return {
        "server": credentials.server,
        "email": credentials.email,
        "user_id": credentials.user_id,
        "device_id": credentials.device_id,
        "device_name": credentials.device_name,
        "root_namespace": credentials.root_namespace,
    }


def server_url(url: str) -> str:
    """The server's address as it is kept; `http://` for a bare HOST:PORT. Raises `click.BadParameter`."""
    whole = url if "://" in url else f"http://{url}"
    parts = urlsplit(whole)
    try:
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or parts.username:
        raise click.BadParameter(f"{url!r} is no server address such as https://files.example.org.", param_hint="URL")
    return whole.rstrip("/")


def _password(from_stdin: bool) -> str:
    if not from_stdin:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask for the password; pass it with --password-stdin.")
        return str(click.prompt("Password", hide_input=True, err=True))
    password = sys.stdin.buffer.read(PASSWORD_MAX_BYTES + 1).decode("utf-8", "surrogateescape").rstrip("\r\n")
    if not password or len(password) > PASSWORD_MAX_BYTES:
        raise click.UsageError("Standard input held no password.")
    return password


def _sign_in(home: Home, server: str, email: str, password: str, device_name: str) -> Credentials:
    from syncline.app.session import sign_in

    before = _known(home)
    made = asyncio.run(sign_in(server, email, password, device_name))
    if before is None:
        home.save_credentials(made)
        return made
    known, link = before
    if link is not None and (known.user_id, known.server_id) != (made.user_id, made.server_id):
        asyncio.run(_unlink(home, made, made))
        raise OtherAccount(folder=link.folder, email=known.email, server=known.server)
    home.save_credentials(made)
    asyncio.run(_unlink(home, made, known))
    return made


def _known(home: Home) -> tuple[Credentials, Link | None] | None:
    try:
        credentials = home.credentials()
    except NotLoggedIn:
        return None
    try:
        return credentials, home.link()
    except NotLinked:
        return credentials, None


async def _unlink(home: Home, session: Credentials, device: Credentials) -> None:
    """Ends a device that nobody uses any more, as far as the server lets us: it is tidiness, not safety."""
    from syncline.app.session import connect

    remote = connect(home, session)
    try:
        await remote.unlink_device(device.device_id)
    except SynclineError:
        return
    finally:
        await remote.close()
