"""How a command ends: the one place where errors become one line on stderr and an exit code.

0 done · 1 failed · 2 wrong usage · 3 a person must decide · 4 offline · 5 refused. Tracebacks only under `SYNCLINE_DEBUG=1`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import click

from syncline.model import errors
from syncline.model.errors import SynclineError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    DECISION = 3
    OFFLINE = 4
    REFUSED = 5
    INTERRUPTED = 130


_EXITS: Final[tuple[tuple[type[SynclineError], Exit], ...]] = (
    (errors.NeedsDecision, Exit.DECISION),
    (errors.LocalIo, Exit.FAILED),
    (errors.ChangedWhileRead, Exit.FAILED),
    (errors.Unavailable, Exit.OFFLINE),
    (errors.TooBusy, Exit.OFFLINE),
    (errors.Unauthenticated, Exit.REFUSED),
    (errors.Forbidden, Exit.REFUSED),
    (errors.QuotaExceeded, Exit.REFUSED),
    (errors.InvalidName, Exit.USAGE),
    (errors.InvalidId, Exit.USAGE),
)
_NEXT: Final[tuple[tuple[type[SynclineError], str], ...]] = (
    (errors.Unavailable, "Check the network and the server, or run `syncline doctor`."),
    (errors.WrongPassword, "Check both and try again."),
    (errors.Unauthenticated, "Run `syncline login URL --email YOU`."),
    (errors.QuotaExceeded, "Ask whoever runs the server for more: deleted files and old versions count while they are kept."),
    (errors.LocalIo, "Mend that and run the command again."),
    (errors.Corrupt, "Run the command again; if it stays, tell whoever runs the server."),
)
_SERVER_PARTS: Final = frozenset(("litestar", "uvicorn", "sqlalchemy", "alembic", "argon2", "joserfc", "httptools"))


class Ended(Exception):
    """Ends a command with a code after it has said what there was to say."""

    def __init__(self, code: Exit) -> None:
        self.code = code


def exit_code(error: SynclineError) -> Exit:
    """The exit code an error stands for."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)


def line_of(error: SynclineError) -> str:
    """What went wrong, and what to do next, in one line."""
    said = " ".join((_lost(error) if isinstance(error, errors.Unavailable) else str(error)).split())
    advice = next((text for kind, text in _NEXT if isinstance(error, kind)), "")
    if isinstance(error, errors.DiskFull):
        advice = ""  # Its own sentence says what to do.
    return f"{said} {advice}".strip() if said.endswith((".", "!", "?")) or not advice else f"{said}. {advice}"


def _lost(error: SynclineError) -> str:
    """A command tries a few times and ends: it does not promise to go on, as the engine does."""
    what = str(error.fields.get("what") or "The server")
    reason = f" ({error.fields['reason']})" if error.fields.get("reason") else ""
    return f"{what[:1].upper()}{what[1:]} cannot be reached now{reason}."


def of_status(status: Mapping[str, Any]) -> Exit:
    """What a device's state means for a command that wanted it in sync: a decision that blocks comes before being offline."""
    if any(problem.get("blocking") for problem in status.get("problems", ())):
        return Exit.DECISION
    by_state = {"in_sync": Exit.DONE, "paused": Exit.DECISION, "offline": Exit.OFFLINE}
    return by_state.get(str(status.get("state")), Exit.FAILED)


def of(run: Callable[[], Any]) -> int:
    """Runs a command to its end, says what went wrong, and gives the exit code."""
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else Exit.DONE
    except Ended as end:
        return end.code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        return _failed(error.format_message(), Exit.FAILED)
    except (KeyboardInterrupt, click.Abort):
        return _failed("Stopped.", Exit.INTERRUPTED)
    except SynclineError as error:
        return _failed(line_of(error), exit_code(error))
    except BrokenPipeError:
        # The reader of our output has left (`syncline ls | head`): nobody is there to be told, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _SERVER_PARTS:
            return _unexpected(error)
        return _failed("The server is not part of this installation: pip install 'syncline[server]'.", Exit.FAILED)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        return _failed(f"{what}{error.strerror or error}. {_NEXT[-2][1]}", Exit.FAILED)
    except Exception as error:  # noqa: BLE001 - the supervisor of a command: whatever is left is a fault of ours.
        return _unexpected(error)


def _failed(line: str, code: Exit) -> Exit:
    if os.environ.get("SYNCLINE_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    click.echo(f"{click.style('syncline:', fg='red')} {line}", err=True)
    return code


def _unexpected(error: Exception) -> Exit:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return _failed(f"A fault in Syncline ({said}). SYNCLINE_DEBUG=1 shows where; please report it.", Exit.FAILED)
