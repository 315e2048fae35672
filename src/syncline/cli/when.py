"""Times on the command line: RFC 3339, a date, a date and time in this machine's zone, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_AGO: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)(?:\s+ago)?")
_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
HELP: Final = "RFC 3339, a date (2026-05-01), '2026-05-01 14:00' in this machine's zone, or how long ago: 2h, '30 min ago', 3d."


class When(click.ParamType[datetime]):
    """A time with its zone."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        found = parsed(value, datetime.now(UTC))
        if found is None:
            self.fail(f"{value!r} is no time. {HELP}", param, ctx)
        return found


def parsed(text: str, now: datetime) -> datetime | None:
    """The time that `text` means at `now`; None for none."""
    text = text.strip()
    if text.lower() == "now":
        return now
    ago = _AGO.fullmatch(text.lower())
    if ago is not None and ago[2] in _UNITS:
        return now - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
