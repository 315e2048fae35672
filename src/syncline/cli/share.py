"""`syncline share`."""

from __future__ import annotations

import click

from syncline.cli import outcome, show
from syncline.cli.client import ask
from syncline.cli.remote_path import remote_path
from syncline.model.entries import Access

_SAID = {
    "invited": "{email} is invited to {path} ({access}); it is theirs once they accept (`syncline shares accept`).",
    "changed": "{email} may now {access} {path}.",
    "unchanged": "{email} had that already: {path} ({access}).",
    "owner": "{email} owns {path} now, and it counts against their quota; you may still write there.",
    "granted": "{email} may {access} {path} (`syncline shared` shows it to them).",
}


@click.command(epilog="Example: syncline share /Projects/Bridge bob@example.org --access write")
@click.argument("path", callback=remote_path)
@click.argument("user", metavar="USER")
@click.option(
    "--access",
    type=click.Choice([access.value for access in Access]),
    default=Access.READ.value,
    show_default=True,
    help="What they may do. owner hands a shared folder over to a member who may write.",
)
@show.json_option
def share(path: str, user: str, access: str, as_json: bool) -> None:
    """Share a remote folder, or a single file, with somebody who has an account here (USER: their e-mail address).

    A folder becomes a shared one: the same folder for all its members. Say it again with another --access to change that.
    """
    answer = ask(lambda client: client.share_all(path, {user: Access(access)}))
    result = answer.users[0]
    if as_json:
        show.as_json(answer)
    elif result.error is None:
        click.echo(_SAID[result.status or "changed"].format(email=result.email, path=path, access=result.access.value))
    if result.error is not None:
        if not as_json:
            click.echo(f"{click.style('syncline:', fg='red')} {result.detail}", err=True)
        raise outcome.Ended(outcome.Exit.REFUSED if result.error in ("access.denied", "quota.exceeded") else outcome.Exit.FAILED)
