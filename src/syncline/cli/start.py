"""`syncline start`: the engine as a background process of this user, which outlives the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.cli import outcome, show
from syncline.model.errors import Unavailable

START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.02
LOG_KEPT_BYTES = 8 << 20
"""A log longer than this begins anew at the next start; the one before is kept beside it."""


@click.command(epilog="Example: syncline start && syncline wait")
@show.json_option
def start(as_json: bool) -> None:
    """Sync in the background from now on, until `syncline stop`. Done when the engine answers."""
    home = Home.from_environment()
    home.credentials()
    home.link()
    client = ControlClient(home.control_socket)
    fresh = not client.is_up()
    pid = _launch(home, client) if fresh else home.engine_pid
    if as_json:
        show.as_json({"started": fresh, "pid": pid, "log": str(home.daemon_log)})
        return
    click.echo(f"Syncing {home.link().folder} (process {pid})." if fresh else "Syncing already.")
    if home.is_paused:
        click.echo("It is paused: `syncline resume` goes on.")


def _launch(home: Home, client: ControlClient) -> int:
    home.make()
    _turn_over(home)
    log = os.open(home.daemon_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        from_byte = os.fstat(log).st_size
        engine = subprocess.Popen(
            [sys.executable, "-m", "syncline.app.daemon"],
            env={**os.environ, "SYNCLINE_HOME": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    _await_answer(home, client, engine, from_byte)
    pid = home.engine_pid or engine.pid  # Another start may have been quicker.
    engine.returncode = 0  # It outlives us on purpose: nothing to collect.
    return pid


def _await_answer(home: Home, client: ControlClient, engine: subprocess.Popen[bytes], from_byte: int) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while not client.is_up():
        code = engine.poll()
        if code is not None:
            raise _ended(home, code, from_byte)
        if time.monotonic() > give_up:
            engine.terminate()
            raise Unavailable(what=f"The engine did not answer in {START_TIMEOUT_S:.0f} s (its log: {home.daemon_log}) and")
        time.sleep(LOOK_EVERY_S)


def _ended(home: Home, code: int, from_byte: int) -> outcome.Ended:
    """What an engine that ended at once wrote last, said for it, under its own exit code where that is one of ours."""
    with home.daemon_log.open("rb") as log:
        log.seek(from_byte)
        lines = log.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
    last = lines[-1].removeprefix("syncline: ") if lines else f"code {code}"
    click.echo(f"{click.style('syncline:', fg='red')} The engine ended at once: {last} (log: {home.daemon_log})", err=True)
    return outcome.Ended(outcome.Exit(code) if code in (3, 4, 5) else outcome.Exit.FAILED)


def _turn_over(home: Home) -> None:
    try:
        if home.daemon_log.stat().st_size > LOG_KEPT_BYTES:
            home.daemon_log.rename(home.daemon_log.with_suffix(".1.log"))
    except FileNotFoundError:
        return
