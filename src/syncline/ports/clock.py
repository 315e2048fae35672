"""Time and chance are arguments: rules take a `Clock` and a `Chance`, adapters read the machine's."""

from __future__ import annotations

from typing import Protocol

from syncline.model.ids import ulid


class Clock(Protocol):
    def now_us(self) -> int:
        """Microseconds since 1970, UTC. May jump either way; never orders anything."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary instant; never goes back."""
        ...


class Chance(Protocol):
    def token(self, size_bytes: int) -> bytes:
        """Random bytes, fit for keys."""
        ...

    def fraction(self) -> float:
        """A number in [0, 1), for jitter."""
        ...


class Ids:
    """Fresh ULIDs from a clock and chance."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance

    def fresh(self) -> str:
        return ulid(self._clock.now_us() // 1000, self._chance.token(10))
