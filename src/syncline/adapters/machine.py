"""The machine's clock and its source of chance."""

from __future__ import annotations

import os
import random
import time


class MachineClock:
    """`ports.clock.Clock` of this machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()


class MachineChance:
    """`ports.clock.Chance` of this machine."""

    def token(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)

    def fraction(self) -> float:
        return random.random()
