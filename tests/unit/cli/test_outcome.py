"""Every kind of error ends a command with its exit code and one line, never with a traceback."""

from __future__ import annotations

import errno

import click
import pytest

from syncline.app.home import DaemonNotRunning, DaemonRunning
from syncline.cli import outcome
from syncline.cli.outcome import Exit
from syncline.model import errors

CASES = [
    (errors.NotLinked(), Exit.DECISION),
    (errors.NotLoggedIn(), Exit.DECISION),
    (DaemonNotRunning(), Exit.DECISION),
    (DaemonRunning(pid="1"), Exit.FAILED),
    (errors.Unavailable(what="http://x"), Exit.OFFLINE),
    (errors.TooBusy(retry_after=1), Exit.OFFLINE),
    (errors.WrongPassword(), Exit.REFUSED),
    (errors.Unauthenticated(reason="the session has ended"), Exit.REFUSED),
    (errors.Forbidden(what="write"), Exit.REFUSED),
    (errors.QuotaExceeded(limit=5), Exit.REFUSED),
    (errors.NotFound(what="/x"), Exit.FAILED),
    (errors.InvalidName(name="..", reason="it names a folder"), Exit.USAGE),
    (errors.DiskFull(path="/x"), Exit.FAILED),
    (errors.Unreadable(path="/x", reason="no"), Exit.FAILED),
    (errors.CorruptBlock(reason="no"), Exit.FAILED),
    (click.UsageError("no"), Exit.USAGE),
    (click.BadParameter("no"), Exit.USAGE),
    (click.ClickException("no"), Exit.FAILED),
    (OSError(errno.ENOENT, "No such file", "/x"), Exit.FAILED),
    (RuntimeError("never meant to happen"), Exit.FAILED),
    (ModuleNotFoundError("No module named 'litestar'", name="litestar"), Exit.FAILED),
    (KeyboardInterrupt(), Exit.INTERRUPTED),
]


@pytest.mark.parametrize(
    ("error", "code"), CASES, ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else ""
)
def test_each_error_has_its_code_and_one_line(error: BaseException, code: Exit, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise error

    assert outcome.of(run) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip()
    assert "Traceback" not in said.err
    if not isinstance(error, click.UsageError):
        assert len(said.err.strip().splitlines()) == 1


def test_debugging_shows_where(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_DEBUG", "1")

    def run() -> None:
        raise RuntimeError("here")

    assert outcome.of(run) == Exit.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_every_typed_error_has_a_code() -> None:
    def all_kinds(kind: type[errors.SynclineError]) -> list[type[errors.SynclineError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in all_kinds(sub))]

    for kind in all_kinds(errors.SynclineError):
        if kind.__module__.startswith("syncline.server"):
            continue  # These never leave the server as they are.
        assert outcome.exit_code(kind()) in (1, 2, 3, 4, 5)
        assert "\n" not in outcome.line_of(kind())


def test_a_state_becomes_a_code() -> None:
    assert outcome.of_status({"state": "in_sync"}) == Exit.DONE
    assert outcome.of_status({"state": "offline"}) == Exit.OFFLINE
    assert outcome.of_status({"state": "paused"}) == Exit.DECISION
    assert outcome.of_status({"state": "degraded"}) == Exit.FAILED
    assert outcome.of_status({"state": "offline", "problems": [{"blocking": True}]}) == Exit.DECISION
