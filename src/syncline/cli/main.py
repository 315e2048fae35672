"""The command `syncline`: a table of commands, each loaded only when it is called, so that `syncline status` answers at once.

One command is one module with one function of its name. What a command raises becomes a line and an exit code in `cli.outcome`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final

import click

from syncline.cli import outcome

COMMANDS: Final[dict[str, str]] = {
    "login": "Sign this device in at a server.",
    "logout": "Sign this device out; its files stay.",
    "whoami": "Show who is signed in, and where.",
    "devices": "List your devices, or unlink one.",
    "link": "Choose the folder this device keeps in sync.",
    "sync": "Sync in the foreground.",
    "start": "Sync in the background from now on.",
    "stop": "Stop syncing in the background.",
    "status": "Show whether everything is in sync.",
    "wait": "Wait until everything is in sync.",
    "pause": "Pause syncing.",
    "resume": "Go on after a pause.",
    "refresh": "Look again: at every local folder and at the server.",
    "log": "Show what was synced lately.",
    "plan": "Show what would be synced now, and why.",
    "conflicts": "List files of which two versions stand, and say which is right.",
    "config": "Show or change the settings of this device.",
    "ignore": "Say which rule keeps a path from being synced.",
    "ls": "List a remote folder.",
    "put": "Upload files without a synced folder.",
    "get": "Download a remote file or folder.",
    "cat": "Write a remote file to standard output.",
    "mkdir": "Make a remote folder.",
    "mv": "Move or rename remotely.",
    "cp": "Copy remotely, without moving bytes.",
    "rm": "Delete remotely.",
    "share": "Share a remote folder or file with somebody.",
    "unshare": "End that, for one or for all.",
    "shared": "Show what is shared with you and by you.",
    "shares": "Accept invitations; leave, mount and unmount shared folders.",
    "link-share": "Make links for people without an account.",
    "find": "Find remote files by name.",
    "du": "Show how much lies in remote folders.",
    "activity": "Show who did what, and when.",
    "history": "List the versions of a remote file.",
    "restore": "Make an earlier version of a remote file the newest.",
    "trash": "List what was deleted, bring it back, or remove it for good.",
    "rewind": "Bring a remote folder back to how it was at a time.",
    "undo": "Take back what one device did, and nothing else.",
    "retention": "Say how long deleted files and old versions are kept.",
    "doctor": "Check this machine, this device and the server.",
    "verify": "Check that disk, trees and server agree.",
    "serve": "Run a server.",
    "admin": "Accounts and care of a server.",
}
"""In the order of `--help`. The module of a command bears its name, with `_` for `-`."""


class LazyGroup(click.Group):
    """Lists commands from the table, and imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command = getattr(import_module(f"syncline.cli.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"There is no command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"syncline {version('syncline')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 needs your decision, 4 offline, 5 refused. State: $SYNCLINE_HOME.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version.")
def syncline() -> None:
    """Your files on all your devices, on storage you own."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs the command line; exits with the codes of `docs/cli.md`."""
    sys.exit(outcome.of(lambda: syncline.main(args=arguments, prog_name="syncline", standalone_mode=False)))


if __name__ == "__main__":
    main()
