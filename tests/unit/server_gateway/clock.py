"""A clock the test moves."""

from __future__ import annotations


class HandClock:
    def __init__(self) -> None:
        self.time_us = 1_800_000_000_000_000

    def now_us(self) -> int:
        return self.time_us

    def monotonic_s(self) -> float:
        return self.time_us / 1_000_000

    def pass_s(self, seconds: float) -> None:
        self.time_us += int(seconds * 1_000_000)
