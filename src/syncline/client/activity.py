"""What this device did lately, for `syncline log`: a bounded ring in memory."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from syncline.ports.clock import Clock
from syncline.protocol.changes import to_time

LINES_MAX = 2000


class LogLine(Struct, frozen=True, kw_only=True):
    """`event` ∈ uploaded · downloaded · moved · deleted · conflict · merged · not merged · resolved · problem · reset · offline ·
    online …"""

    time: str
    event: str
    path: str
    detail: str = ""


class Activity:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: deque[LogLine] = deque(maxlen=LINES_MAX)

    def note(self, event: str, path: str = "", detail: str = "") -> None:
        time = to_time(self._clock.now_us()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._lines.append(LogLine(time=time, event=event, path=path, detail=detail))

    def latest(self, limit: int) -> list[LogLine]:
        """The newest `limit` lines, oldest first."""
        return list(self._lines)[-limit:]
