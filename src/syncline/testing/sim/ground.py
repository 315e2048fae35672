"""Clock, chance and keys of the simulated world: virtual time that may jump, randomness that comes from the seed."""

from __future__ import annotations

from random import Random

from syncline.model.errors import Corrupt
from syncline.testing.sim.loop import SimLoop

START_US = 1_767_225_600_000_000
"""The world begins on 2026-01-01."""


class SimClock:
    """A machine's clock over the loop's time. `step_us` is how far its wall clock was set."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.step_us = 0

    def now_us(self) -> int:
        return START_US + self.step_us + int(self._loop.time() * 1e6)

    def monotonic_s(self) -> float:
        return self._loop.time()


class SimChance:
    """Chance from a stream."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def token(self, size_bytes: int) -> bytes:
        return self._rng.randbytes(size_bytes)

    def fraction(self) -> float:
        return self._rng.random()


class SimKeys:
    """A `KeyWrapper` whose wrapping is a mark: nobody in this world reads the database."""

    def wrap(self, key: bytes) -> bytes:
        return b"wrapped:" + key

    def unwrap(self, wrapped: bytes) -> bytes:
        if not wrapped.startswith(b"wrapped:"):
            raise Corrupt(what="A wrapped key", reason="nobody wrapped it")
        return wrapped[8:]
