"""The delete guard: a budget of deletions over a sliding window, for each direction, that pauses and asks.

A burst of small plans cannot drain it, since the window slides over all of them; files that come back give their share back; a
person may lift it (`--yes`). It never stops anything but deletions. Only deletions that were done are charged: one that is planned
again and again (offline, refused, in the way of something) is one deletion.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import StrEnum

from syncline.client.plan.steps import Discard, Plan, Push, RemoveFolder, Step
from syncline.client.status import Problem
from syncline.model.ids import Digest
from syncline.model.limits import DELETE_GUARD_ALL, DELETE_GUARD_FILES, DELETE_GUARD_SHARE, DELETE_GUARD_WINDOW_S
from syncline.ports.clock import Clock
from syncline.protocol.commits import Op

_PLACES = {"up": "on the server", "down": "in this folder"}


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


class _Window:
    """Deletions of the last window, by the content that went. `len` is what counts."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Digest | None]] = deque()
        self._there: Counter[Digest | None] = Counter()
        self._returned: Counter[Digest | None] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, now_s: float, contents: Iterable[Digest | None]) -> None:
        for content in contents:
            self._entries.append((now_s, content))
            self._there[content] += 1
            self._count += 1

    def take_back(self, content: Digest | None) -> None:
        if self._there[content] > self._returned[content]:
            self._returned[content] += 1
            self._count -= 1

    def forget_before(self, horizon_s: float) -> None:
        while self._entries and self._entries[0][0] < horizon_s:
            _, content = self._entries.popleft()
            self._there[content] -= 1
            if self._returned[content]:
                self._returned[content] -= 1
            else:
                self._count -= 1
            for counter in (self._there, self._returned):
                if not counter[content]:
                    del counter[content]


class DeleteGuard:
    """Counts deletions of files, not of folders."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows = {direction: _Window() for direction in Direction}
        self._confirmed_until = float("-inf")

    def confirm(self) -> None:
        """A person said yes: no limit for one window, and what is deleted in it is not held against later ones."""
        self._confirmed_until = self._clock.monotonic_s() + DELETE_GUARD_WINDOW_S

    @property
    def is_lifted(self) -> bool:
        return self._clock.monotonic_s() < self._confirmed_until

    def allows(self, direction: Direction, count: int, files: int) -> bool:
        """Whether `count` more deletions are within the budget of a tree that holds `files` files before them."""
        if count == 0 or self.is_lifted:
            return True
        spent = self.spent(direction)
        return spent + count <= max(DELETE_GUARD_FILES, DELETE_GUARD_SHARE * (files + spent))

    def spent(self, direction: Direction) -> int:
        """Deletions within the window that were not given back."""
        window = self._windows[direction]
        window.forget_before(self._clock.monotonic_s() - DELETE_GUARD_WINDOW_S)
        return len(window)

    def spend(self, direction: Direction, contents: Iterable[Digest | None]) -> None:
        """These files were deleted, each told by its content."""
        if not self.is_lifted:
            self._windows[direction].add(self._clock.monotonic_s(), contents)

    def give_back(self, direction: Direction, content: Digest | None) -> None:
        """A file with this content came (again): a deletion of it no longer counts."""
        self._windows[direction].take_back(content)


def guarded(
    planned: Plan, guard: DeleteGuard, count_files: Callable[[], int], *, is_empty: bool = False
) -> tuple[list[Step], Problem | None]:
    """The steps that may be done now, and the question for a person when deletions over the budget were held back. `is_empty` says
    that nothing at all is left in the folder here."""
    wanted = {Direction.UP: planned.deletes_up, Direction.DOWN: planned.deletes_down}
    if not any(wanted.values()):
        return list(planned.steps), None
    files = count_files()
    held = {direction: count for direction, count in wanted.items() if not guard.allows(direction, count, files)}
    if is_empty and planned.deletes_up >= DELETE_GUARD_ALL and not guard.is_lifted:
        held[Direction.UP] = planned.deletes_up
    if not held:
        return list(planned.steps), None
    told = " and ".join(f"{count:,} files {_PLACES[direction]}" for direction, count in held.items())
    message = f"{told} would be deleted. If that is meant, run `syncline resume --yes`; until then nothing is deleted."
    problem = Problem(code="delete.guard", path="", message=message, blocking=True)
    deletes = (step for step in planned.steps if isinstance(step, Push) and step.op is Op.DELETE)
    groups = {step.group for step in deletes} - {None}
    return [step for step in planned.steps if not _is_held(step, held, groups)], problem


def _is_held(step: Step, held: dict[Direction, int], groups: set[int | None]) -> bool:
    if isinstance(step, Discard | RemoveFolder):
        return Direction.DOWN in held
    return Direction.UP in held and isinstance(step, Push) and (step.op is Op.DELETE or step.group in groups)
