"""`syncline config`: the settings of this device."""

from __future__ import annotations

import click

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.app.settings import SETTINGS, get_setting, set_setting
from syncline.cli import show

KEY = click.Choice(list(SETTINGS))


@click.group(invoke_without_command=True, epilog="Example: syncline config set conflicts merge")
@click.pass_context
def config(context: click.Context) -> None:
    """Show or change the settings of this device. Without a command: show all."""
    if context.invoked_subcommand is None:
        context.invoke(get_command)


@config.command("get", epilog="Example: syncline config get conflicts")
@click.argument("key", type=KEY, required=False)
@show.json_option
def get_command(key: str | None = None, as_json: bool = False) -> None:
    """Show a setting, or all: what it is, what it may be, and what it means."""
    home = Home.from_environment()
    found = {name: get_setting(home, name) for name in ([key] if key is not None else SETTINGS)}
    if as_json:
        show.as_json(found)
    elif key is not None:
        click.echo(found[key])
    else:
        for name, value in found.items():
            setting = SETTINGS[name]
            click.echo(f"{name} = {value}\n    one of {', '.join(setting.values)}: {setting.meaning}")


@config.command("set", epilog="Example: syncline config set conflicts merge")
@click.argument("key", type=KEY)
@click.argument("value")
def set_command(key: str, value: str) -> None:
    """Change a setting of this device."""
    setting = SETTINGS[key]
    if value not in setting.values:
        raise click.BadParameter(f"{value!r} is not one of {', '.join(setting.values)}.", param_hint="VALUE")
    home = Home.from_environment()
    set_setting(home, key, value)
    try:
        ControlClient(home.control_socket).ask("configure")
    except DaemonNotRunning:
        click.echo(f"{key} = {value}")
        return
    click.echo(f"{key} = {value}, in force {setting.when}")
