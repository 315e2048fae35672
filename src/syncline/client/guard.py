"""The delete guard: a budget of deletions over a sliding window, for each direction, that pauses and asks.

A burst of small plans cannot drain it, since the window slides over all of them; files that come back give their share back; a
person may lift it (`--yes`). It never stops anything but deletions.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from syncline.model.limits import DELETE_GUARD_FILES, DELETE_GUARD_SHARE, DELETE_GUARD_WINDOW_S
from syncline.ports.clock import Clock


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


class DeleteGuard:
    """Counts deletions of files, not of folders."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent: dict[Direction, deque[tuple[float, int]]] = {direction: deque() for direction in Direction}
        self._confirmed_until = float("-inf")

    def confirm(self) -> None:
        """A person said yes: no limit for one window."""
        self._confirmed_until = self._clock.monotonic_s() + DELETE_GUARD_WINDOW_S

    def allows(self, direction: Direction, count: int, files: int) -> bool:
        """Whether `count` more deletions are within the budget of a tree that holds `files` files before them."""
        if count == 0 or self._clock.monotonic_s() < self._confirmed_until:
            return True
        spent = self._recent(direction)
        total = files + spent
        return spent + count <= max(DELETE_GUARD_FILES, DELETE_GUARD_SHARE * total)

    def spend(self, direction: Direction, count: int) -> None:
        if count:
            self._spent[direction].append((self._clock.monotonic_s(), count))

    def give_back(self, direction: Direction, count: int) -> None:
        """Files re-appeared: so many deletions no longer count."""
        spent = self._spent[direction]
        while count > 0 and spent:
            at, last = spent.pop()
            if last > count:
                spent.append((at, last - count))
            count -= last

    def _recent(self, direction: Direction) -> int:
        spent = self._spent[direction]
        horizon = self._clock.monotonic_s() - DELETE_GUARD_WINDOW_S
        while spent and spent[0][0] < horizon:
            spent.popleft()
        return sum(count for _, count in spent)
