"""A stream of chance that is quick to start: a case needs a few dozen numbers, and two streams that do not disturb each other.

A linear congruential generator of 64 bits whose upper bits are used; the seed is spread first, so that neighbours differ at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    def __init__(self, seed: int, stream: int) -> None:
        """`stream` tells apart the streams of one seed."""
        state = (seed * 2 + stream) * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        self.state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF

    def random(self) -> float:
        """From 0 to under 1."""
        self.state = state = self.state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        return (state >> 11) * 2**-53

    def upto(self, most: int) -> int:
        """A number from 0 to `most`."""
        self.state = state = self.state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        return (state >> 33) * (most + 1) >> 31

    def one_of(self, things: Sequence[T]) -> T:
        self.state = state = self.state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        return things[(state >> 33) * len(things) >> 31]

    def some_of(self, things: Sequence[T], count: int) -> list[T]:
        rest = list(things)
        return [rest.pop(self.upto(len(rest) - 1)) for _ in range(count)]

    def shuffle(self, things: list[T]) -> None:
        for last in range(len(things) - 1, 0, -1):
            at = self.upto(last)
            things[last], things[at] = things[at], things[last]
