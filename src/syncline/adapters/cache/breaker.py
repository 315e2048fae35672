"""A circuit breaker: what failed a few times in a row is left alone for a while, longer each time, and then tried with one call.

```
closed ── FAILURES_MAX failures in a row ──► open ── its pause is over ──► trying, one call at a time
   ▲                                          ▲                               │           │
   └──────────────── it worked ───────────────┼───────────────────────────────┘           │
                                              └───────── it failed: twice the pause ──────┘
```
"""

from __future__ import annotations

from typing import Final

from syncline.ports.clock import Chance, Clock

FAILURES_MAX: Final = 3
PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 15.0


class Breaker:
    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._pause_s = PAUSE_FIRST_S
        self._until: float | None = None
        """While open: when it may be tried again."""
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._until is not None

    def lets_pass(self) -> bool:
        """Whether to call now. Whoever was told yes says afterwards how it went."""
        if self._until is None:
            return True
        if self._trying or self._clock.monotonic_s() < self._until:
            return False
        self._trying = True
        return True

    def worked(self) -> None:
        self._failures, self._pause_s, self._until, self._trying = 0, PAUSE_FIRST_S, None, False

    def failed(self) -> None:
        self._failures += 1
        if self._trying:
            self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)
        if self._trying or (self._failures >= FAILURES_MAX and self._until is None):
            # Not all processes at one time.
            self._until = self._clock.monotonic_s() + self._pause_s * (0.5 + self._chance.fraction())
        self._trying = False
