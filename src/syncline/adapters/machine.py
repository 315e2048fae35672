"""The machine's clock and its source of chance."""

from __future__ import annotations

import os
import random
import time
from typing import Final

OFFSET: Final = "SYNCLINE_CLOCK_OFFSET_S"
"""For tests of wrong clocks alone: the wall clock of this process is off by so many seconds."""


class MachineClock:
    """`ports.clock.Clock` of this machine."""

    def __init__(self, offset_s: float | None = None) -> None:
        """Without an offset, the environment's is taken (and none where that is not set)."""
        self._offset_us = int(1e6 * (float(os.environ.get(OFFSET, 0)) if offset_s is None else offset_s))

    def now_us(self) -> int:
        return time.time_ns() // 1000 + self._offset_us

    def monotonic_s(self) -> float:
        return time.monotonic()


class MachineChance:
    """`ports.clock.Chance` of this machine."""

    def token(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)

    def fraction(self) -> float:
        return random.random()
