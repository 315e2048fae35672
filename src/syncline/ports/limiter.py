"""Who may do something how often.

Contract: `take` never raises. Of any calls with one rule and key, however many at once and, where processes share a limiter, in
whichever of them, at most `amount` pass within `period_s`, give or take what was left of the period before. A limiter whose memory
is away counts within this process instead: it never lets everything pass.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Rule(Struct, frozen=True):
    name: str
    amount: int
    period_s: int


class Limiter(Protocol):
    async def take(self, rule: Rule, key: str) -> float:
        """0 where it passes, and has been counted; otherwise the seconds to wait, above 0 and at most `period_s`."""
        ...

    async def forgive(self, rule: Rule, key: str) -> None:
        """What was counted is forgotten."""
        ...
