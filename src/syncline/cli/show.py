"""How facts look: sizes, times, states and problems for people; JSON for programs. Colour only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

STATE_WORDS: Final[dict[str, tuple[str, str]]] = {
    "in_sync": ("in sync", "green"),
    "syncing": ("syncing", "cyan"),
    "paused": ("paused", "yellow"),
    "offline": ("offline", "yellow"),
    "attention": ("needs attention", "red"),
    "degraded": ("degraded", "red"),
}
UNPROVEN_SHOWN: Final = 5
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")(command)


def as_json(facts: Any) -> None:
    """One JSON document on one line; structs and times inside are welcome."""
    click.echo(json.dumps(plain(facts), ensure_ascii=not _is_utf8()))


def plain(facts: Any) -> Any:
    """Structs, times and ids as what JSON knows: dicts, lists, strings."""
    if isinstance(facts, (dict, list)) and "msgspec" not in sys.modules:
        return facts  # Nothing in it can be a struct: this spares quick commands an import.
    import msgspec

    return msgspec.to_builtins(facts)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def size(count: float) -> str:
    """Bytes for people: 1.5 MiB."""
    for unit in _UNITS[:-1]:
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def number(count: int, noun: str, nouns: str | None = None) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def seconds(duration: float) -> str:
    """A duration for people: 850 ms, 4.2 s, 3 min, 2 h."""
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.1f} s"
    if duration < 5400:
        return f"{duration / 60:.0f} min"
    return f"{duration / 3600:.0f} h" if duration < 172_800 else f"{duration / 86_400:.0f} days"


def local_time(text: str | datetime) -> str:
    """A wire time (RFC 3339) in this machine's zone, to the minute."""
    when = datetime.fromisoformat(text) if isinstance(text, str) else text
    return when.astimezone().strftime("%Y-%m-%d %H:%M")


def ago(text: str | None) -> str:
    """`12 s ago`; "never" for None."""
    if text is None:
        return "never"
    return f"{seconds(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))} ago"


def printable(name: str) -> str:
    """A name that cannot steer a terminal, nor fail to print: control characters and stray bytes are shown escaped."""
    return (
        name
        if name.isprintable()
        else "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    )


def shortened(path: str, most: int = 160) -> str:
    """A path for a line: of a very long one both ends."""
    return path if len(path) <= most else f"{path[: most // 2]} … {path[-most // 2 :]}"


def table(rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Columns two spaces apart, those numbered in `right` flush right; the last as long as it likes."""
    lines = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def problem_lines(problems: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line each: code, path, what to do. Those that block come first, marked."""
    ordered = sorted(problems, key=lambda problem: not problem.get("blocking"))
    return [
        f"{'!' if problem.get('blocking') else '-'} {problem['code']}: "
        + (f"{shortened(printable(problem['path']))}: " if problem.get("path") else "")
        + str(problem["message"])
        for problem in ordered
    ]


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """What `syncline status` prints: state, folder, what is pending, what is proven, problems."""
    word, colour = STATE_WORDS.get(str(status["state"]), (str(status["state"]), "white"))
    lines = [f"state     {click.style(word, fg=colour, bold=True)}", f"folder    {printable(status['folder'])}"]
    lines.append(f"server    {status['server']} as {printable(status['device'])}")
    lines.append(f"pending   {_pending(status)}")
    for space in status["namespaces"]:
        proof = f"root {space['root'][:12]} at sequence {space['sequence']:,}, verified {ago(space.get('verified_at'))}"
        lines.append(f"tree      {printable(space['name'] or '/')}: {proof}" + _not_here(space))
    if status["namespaces"]:
        disk, server, whole = (ago(status.get(name)) for name in ("scanned_at", "asked_at", "audited_at"))
        lines.append(f"checked   disk {disk}, server {server}, everything against everything {whole}")
    if status.get("offline_since"):
        lines.append(f"offline   since {local_time(status['offline_since'])}")
    open_ends = [reason for reason in status.get("unproven", ()) if reason not in status["problems"]]
    lines += [f"unproven  {line[2:]}" for line in problem_lines(open_ends[:UNPROVEN_SHOWN])]
    if len(open_ends) > UNPROVEN_SHOWN:
        lines.append(f"unproven  and {number(len(open_ends) - UNPROVEN_SHOWN, 'more reason')}")
    problems = problem_lines(status["problems"])
    lines += [f"problems  {len(problems) or 'none'}", *(f"  {line}" for line in problems)]
    return lines


def _pending(status: Mapping[str, Any]) -> str:
    pending, parts = status["pending"], []
    if pending["uploads"]:
        parts.append(f"{number(pending['uploads'], 'upload')} ({size(pending['upload_bytes'])})")
    if pending["downloads"]:
        parts.append(f"{number(pending['downloads'], 'download')} ({size(pending['download_bytes'])})")
    if pending["other"]:
        parts.append(number(pending["other"], "other change"))
    if pending["unquiet"]:
        parts.append(f"{number(pending['unquiet'], 'file')} still being written")
    if not status["namespaces"]:
        nothing = "not known"
    else:
        nothing = "not looked at while paused" if status["state"] == "paused" else "nothing"
    return ", ".join(parts) or nothing


def _not_here(space: Mapping[str, Any]) -> str:
    return f", {space['not_here']:,} not on this disk" if space.get("not_here") else ""
