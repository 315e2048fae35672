"""Many seeds over several processes: which are played, by whom, and what it all adds up to.

What comes of a seed does not depend on how many processes share the work. Every `TWICE_EVERY`th seed is played once more in a
process with another hash seed, and must trace alike.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

from msgspec import Struct, field

from tests.sim.runs import Result
from tests.sim.worker import Ask, Worker

TWICE_EVERY = 50
FAILURES_MAX = 10
"""After so many the run ends: they are likely to be of few kinds."""
PROGRESS_S = 5.0
HASH_SEED = 0
OTHER_HASH_SEED = 4242


class Sum(Struct):
    """`seeds` counts those with the power to find something, `weak` the others."""

    seeds: int = 0
    weak: int = 0
    steps: int = 0
    cpu_s: float = 0.0
    user_ops_min: int | None = None
    devices_min: int | None = None
    steps_min: int | None = None
    twice: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.cpu_s += result.cpu_s
        self.steps += result.steps
        self.seen.update(result.seen)
        if result.failure is not None:
            self.failures.append(result)
        if not result.has_power:
            self.weak += 1
            return
        self.seeds += 1
        self.modes[result.mode] += 1
        self.user_ops_min = _least(self.user_ops_min, result.user_ops)
        self.devices_min = _least(self.devices_min, result.devices)
        self.steps_min = _least(self.steps_min, result.steps)


def _least(known: int | None, new: int) -> int:
    return new if known is None else min(known, new)


class Crowd:
    """`play` a number of seeds, or for a time, from `start` on."""

    def __init__(self, *, start: int, mode: str | None, jobs: int, seeds: int | None, seconds: float | None) -> None:
        self.sum = Sum()
        self._mode = mode
        self._jobs = jobs
        self._began = self._told = time.monotonic()
        self._end = None if seconds is None else self._began + seconds
        self._seeds: Iterator[int] = iter(count(start) if seeds is None else range(start, start + seeds))
        self._lock = threading.Lock()
        self._first: dict[int, str] = {}
        self._again: list[int] = []
        self._broken: list[Exception] = []

    def play(self) -> Sum:
        """Raises what a worker died of."""
        threads = [threading.Thread(target=self._work, args=(HASH_SEED, self._next, self._take)) for _ in range(self._jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._again and not self._broken:
            self._work(OTHER_HASH_SEED, self._next_again, self._compare)
        if self._broken:
            raise self._broken[0]
        self._tell()
        return self.sum

    def _work(self, hash_seed: int, following: Callable[[], int | None], take: Callable[[Result], None]) -> None:
        try:
            with Worker(hash_seed) as worker:
                while (seed := following()) is not None:
                    take(worker.play(Ask(seed, self._mode)))
        except Exception as error:
            self._broken.append(error)

    def _next(self) -> int | None:
        with self._lock:
            is_over = self._end is not None and time.monotonic() >= self._end
            if is_over or self._broken or len(self.sum.failures) >= FAILURES_MAX:
                return None
            return next(self._seeds, None)

    def _take(self, result: Result) -> None:
        with self._lock:
            self.sum.add(result)
            if result.failure is not None:
                print(f"seed {result.seed} ({result.mode}): {result.failure}", file=sys.stderr)
            if result.seed % TWICE_EVERY == 0:
                self._first[result.seed] = result.trace
                self._again.append(result.seed)
            if time.monotonic() - self._told >= PROGRESS_S:
                self._tell()

    def _next_again(self) -> int | None:
        return self._again.pop() if self._again else None

    def _compare(self, result: Result) -> None:
        self.sum.twice += 1
        self.sum.cpu_s += result.cpu_s
        self.sum.steps += result.steps
        if result.trace != self._first[result.seed]:
            result.failure = f"P14: seed {result.seed} does not trace alike under another hash seed"
            print(result.failure, file=sys.stderr)
            self.sum.failures.append(result)

    def _tell(self) -> None:
        self._told = time.monotonic()
        total = self.sum
        played = total.seeds + total.weak
        print(
            f"{played} seeds, {total.steps / max(total.cpu_s, 1e-9):,.0f} steps a second a core, {len(total.failures)} failures, "
            f"{self._told - self._began:.0f} s",
            file=sys.stderr,
        )
