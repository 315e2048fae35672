"""Makes a failing world small: events are left out first, then faults, then what was there at the start, then the disks' oddities.

Each candidate is played, and is taken if it still breaks the same property. What is left is told as a script, an event a line.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.script import Script
from syncline.testing.sim.watcher import WatcherFaults
from syncline.testing.sim.world import Outcome
from tests.sim.runs import played, property_of

T = TypeVar("T")
PAGE_PLAIN = 1000


class Shrinker:
    """`script` fails with `outcome`; `run` makes both smaller until nothing more can go, `seconds` are over, or so many `tries`."""

    def __init__(
        self,
        script: Script,
        outcome: Outcome,
        seconds: float = math.inf,
        play: Callable[[Script], Outcome] = played,
        *,
        tries: float = math.inf,
    ) -> None:
        assert outcome.failure is not None
        self.script = replace(script, struck=list(outcome.struck))
        self.outcome = outcome
        self.broke = property_of(outcome.failure)
        self.tried = 0
        self._play = play
        self._tries = tries
        self._end = time.monotonic() + seconds

    @property
    def is_late(self) -> bool:
        return self.tried >= self._tries or time.monotonic() >= self._end

    def run(self) -> None:
        if not self._is_worse(self.script):
            # The faults played back do not do what they did when they were drawn: nothing can be left out safely.
            self.script = replace(self.script, drop=["as drawn: its tape plays otherwise"])
            return
        before: object = None
        while before != self.script and not self.is_late:
            before = self.script
            self._fewer("events")
            self._fewer("struck")
            self._fewer("base")
            self._plainer()

    def _is_worse(self, script: Script) -> bool:
        """Whether a script still breaks the same property; then it is taken."""
        self.tried += 1
        outcome = self._play(script)
        if outcome.failure is None or property_of(outcome.failure) != self.broke:
            return False
        self.script, self.outcome = script, outcome
        return True

    def _fewer(self, part: str) -> None:
        """Delta debugging over one list of the script."""
        size = max(1, len(getattr(self.script, part) or ()) // 2)
        while size and not self.is_late:
            at = 0
            while at < len(now := getattr(self.script, part) or []) and not self.is_late:
                if not self._is_worse(replace(self.script, **{part: [*now[:at], *now[at + size :]]})):
                    at += size
            size //= 2

    def _plainer(self) -> None:
        for candidate in self._plain_ones():
            if self.is_late:
                return
            if candidate != self.script:
                self._is_worse(candidate)

    def _plain_ones(self) -> Iterator[Script]:
        yield replace(self.script, page=PAGE_PLAIN)
        for index in range(len(self.script.disks)):
            yield replace(self.script, disks=_with(self.script.disks, index, DiskProfile()))
            yield replace(self.script, watching=_with(self.script.watching, index, WatcherFaults()))
        for index, event in enumerate(self.script.events):
            yield replace(self.script, events=_with(self.script.events, index, replace(event, at_s=float(round(event.at_s)))))


def _with(items: list[Any], index: int, item: object) -> list[Any]:
    return [*items[:index], item, *items[index + 1 :]]


def told(script: Script, outcome: Outcome) -> list[str]:
    """The run as people read it: what there was, then every deed, death and fault in order, then what broke."""
    lines = [f"# mode {script.mode}, {len(script.disks)} devices, pages of {script.page}"]
    for index, (disk, watching) in enumerate(zip(script.disks, script.watching, strict=True)):
        odd = [
            f"{name}={value}"
            for each, plain in ((disk, DiskProfile()), (watching, WatcherFaults()))
            for name in each.__struct_fields__
            if (value := getattr(each, name)) != getattr(plain, name)
        ]
        if odd:
            lines.append(f"# d{index}: {', '.join(odd)}")
    lines += [line.strip() for line in outcome.log]
    lines.append(f"# broke: {outcome.failure}")
    return lines
