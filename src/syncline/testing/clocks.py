"""A clock that stands still until told otherwise."""

from __future__ import annotations


class ManualClock:
    def __init__(self, now_s: float = 1_000_000_000.0) -> None:
        self._now_s = now_s

    def now_us(self) -> int:
        return round(self._now_s * 1e6)

    def monotonic_s(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        self._now_s += seconds
