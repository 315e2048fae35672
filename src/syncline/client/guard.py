"""The delete guard: a budget of deletions over a sliding window, for each direction, that pauses and asks.

A burst of small plans cannot drain it, since the window slides over all of them; files that come back give their share back; a
person may lift it (`--yes`). It never stops anything but deletions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

from syncline.client.plan.steps import Discard, Plan, Push, RemoveFolder, Step
from syncline.client.status import Problem
from syncline.model.limits import DELETE_GUARD_FILES, DELETE_GUARD_SHARE, DELETE_GUARD_WINDOW_S
from syncline.ports.clock import Clock
from syncline.protocol.commits import Op

_PLACES = {"up": "on the server", "down": "in this folder"}


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


def guarded(planned: Plan, guard: DeleteGuard, count_files: Callable[[], int]) -> tuple[list[Step], Problem | None]:
    """The steps that may be done now, and the question for a person when deletions over the budget were held back."""
    wanted = {Direction.UP: planned.deletes_up, Direction.DOWN: planned.deletes_down}
    if not any(wanted.values()):
        return list(planned.steps), None
    files = count_files()
    held = {direction: count for direction, count in wanted.items() if not guard.allows(direction, count, files)}
    for direction, count in wanted.items():
        if direction not in held:
            guard.spend(direction, count)
    if not held:
        return list(planned.steps), None
    told = " and ".join(f"{count} files {_PLACES[direction]}" for direction, count in held.items())
    message = f"{told} would be deleted. If that is meant, run `syncline resume --yes`; until then nothing is deleted."
    problem = Problem(code="delete.guard", path="", message=message, blocking=True)
    return [step for step in planned.steps if not _is_held(step, held, planned)], problem


def _is_held(step: Step, held: dict[Direction, int], planned: Plan) -> bool:
    if isinstance(step, Discard | RemoveFolder):
        return Direction.DOWN in held
    if not isinstance(step, Push) or Direction.UP not in held:
        return False
    if step.op is Op.DELETE:
        return True
    return step.group is not None and any(
        isinstance(other, Push) and other.group == step.group and other.op is Op.DELETE for other in planned.steps
    )
