"""Times of a real file system in a world of virtual time.

Virtual time jumps ahead while the machine's clock hardly moves, so what the kernel stamps on files means nothing to an engine that
lives by the world's clock. Every change of a real file is made within `change`, which notes what the world's clock said when the
machine's did what it did; `of` reads any stamp back by these notes. Notes are only ever added behind the last one, so a stamp reads
the same for ever: a signature never changes by itself.

The kernel tells time in ticks of up to 10 ms. Two changes in one tick would share their stamp however far apart they are in the
world, which no kernel does; so a change that is later in the world by more than a tick waits until the machine's tick is over.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from syncline.ports.clock import Clock

APART_NS: Final = 4_000_000
"""Changes of the world that are nearer to each other may share a tick."""
LEAST_WAIT_S: Final = 0.0005
_COARSE: Final = 5
"""CLOCK_REALTIME_COARSE: the clock of the last tick, which files are stamped with."""
_SQUEEZE: Final = 2000
"""What the machine does at one instant of the world is kept apart and in order, but takes next to no time there."""
SQUEEZED_MAX_NS: Final = 100_000


class FileTimes:
    """`tick_ns` is how finely the simulated file system tells time."""

    def __init__(self, clock: Clock, tick_ns: int) -> None:
        self._clock = clock
        self._tick_ns = tick_ns
        self._real: list[int] = []
        self._world: list[int] = []
        self._ended = 0
        """No stamp is later: the end of the last change."""

    @contextmanager
    def change(self) -> Iterator[None]:
        """Something on the disk is changed inside."""
        now_ns = self._now_ns()
        while (tick_ns := time.clock_gettime_ns(_COARSE)) <= self._ended and abs(now_ns - self._world[-1]) > APART_NS:
            time.sleep(LEAST_WAIT_S)
        if tick_ns > self._ended and (not self._world or now_ns != self._world[-1]):
            self._real.append(tick_ns)
            self._world.append(now_ns)
        try:
            yield
        finally:
            # Newer kernels stamp more finely than by ticks where somebody looked meanwhile.
            self._ended = time.clock_gettime_ns(time.CLOCK_REALTIME)

    def of(self, stamp_ns: int) -> int:
        """A file's time as the world tells it. Times that somebody set are no stamps, and stay what they are."""
        at = bisect_right(self._real, stamp_ns) - 1
        if at >= 0:
            stamp_ns = self._world[at] + min((stamp_ns - self._real[at]) // _SQUEEZE, SQUEEZED_MAX_NS)
        return stamp_ns - stamp_ns % self._tick_ns

    def _now_ns(self) -> int:
        """Nothing is stamped later than the world's now."""
        return self._clock.now_us() * 1000 - SQUEEZED_MAX_NS
