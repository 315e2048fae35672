"""Every problem a device has right now, by where it came from: each source replaces only its own."""

from __future__ import annotations

from collections.abc import Iterable

from syncline.client.status import Problem


class Troubles:
    """Single problems stand under a key until cleared; lists are replaced whole by their source."""

    def __init__(self) -> None:
        self._keyed: dict[str, Problem] = {}
        self._plan: list[Problem] = []
        self._scan: list[Problem] = []

    def set(self, key: str, problem: Problem | None) -> bool:
        """Sets or clears what stands under a key; whether that is news."""
        old = self._keyed.get(key)
        if problem is None:
            self._keyed.pop(key, None)
        else:
            self._keyed[key] = problem
        return (old is None) != (problem is None)

    def has(self, key: str) -> bool:
        return key in self._keyed

    def planned(self, problems: Iterable[Problem]) -> None:
        """What the last plan could not do."""
        self._plan = list(problems)

    def scanned(self, problems: Iterable[Problem]) -> None:
        """What stands in the observer's way as of its last scan."""
        self._scan = list(problems)

    @property
    def is_blocking(self) -> bool:
        return any(problem.blocking for problem in self._keyed.values())

    def all(self) -> list[Problem]:
        return [*self._keyed.values(), *self._plan, *self._scan]
