"""Noticing that the wall clock was set, or that the machine slept: what was known before may be long past."""

from __future__ import annotations

from syncline.model.limits import CLOCK_JUMP_S
from syncline.ports.clock import Clock


class ClockWatch:
    """Compares how far both clocks went since it was last asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart_s = self._now()

    def jumped_s(self) -> float | None:
        """By how many seconds the wall clock ran away from the monotonic one since the last question, where that is a jump. Each
        jump is told once; a clock that is slowly corrected never jumps."""
        apart = self._now()
        jump, self._apart_s = apart - self._apart_s, apart
        return jump if abs(jump) >= CLOCK_JUMP_S else None

    def _now(self) -> float:
        return self._clock.now_us() / 1e6 - self._clock.monotonic_s()
