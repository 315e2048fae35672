"""The gate of planted bugs: each is planted in processes of its own, and must be found within so many seeds."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.sim.commit import commit_hash
from tests.sim.crowd import HASH_SEED
from tests.sim.planted import PLANTED, Bug
from tests.sim.runs import Result, property_of
from tests.sim.worker import Ask, Worker

SEEDS_MAX = 5_000


class Found(Struct, kw_only=True):
    """After how many seeds a planted bug was found, and how; `seeds` is how many were played."""

    name: str
    where: str
    mode: str
    seeds: int
    seconds: float
    broke: str | None = None
    failure: str | None = None

    @property
    def is_found(self) -> bool:
        return self.broke is not None


def hunt(bug: Bug, clean: Worker, seeds_max: int, start: int = 0) -> Found:
    """Plays seeds with the bug planted until one fails that passes without it."""
    began = time.monotonic()
    with Worker(HASH_SEED) as worker:
        for seed in range(start, start + seeds_max):
            result = worker.play(Ask(seed, bug.mode, bug.faults, bug.name))
            if result.failure is not None and clean.play(Ask(seed, bug.mode, bug.faults)).failure is None:
                return _found(bug, seed - start + 1, began, result)
    return _found(bug, seeds_max, began, None)


def _found(bug: Bug, seeds: int, began: float, result: Result | None) -> Found:
    failure = None if result is None else result.failure
    return Found(
        name=bug.name,
        where=bug.where,
        mode=bug.mode,
        seeds=seeds,
        seconds=round(time.monotonic() - began, 1),
        broke=None if failure is None else property_of(failure),
        failure=failure,
    )


def hunted(bugs: Sequence[Bug], seeds_max: int, jobs: int) -> list[Found]:
    """All of them, over several processes; in the order given."""
    waiting: Iterator[Bug] = iter(bugs)
    lock = threading.Lock()
    found: dict[str, Found] = {}

    def work() -> None:
        with Worker(HASH_SEED) as clean:
            while True:
                with lock:
                    bug = next(waiting, None)
                if bug is None:
                    return
                found[bug.name] = one = hunt(bug, clean, seeds_max)
                told = f"{one.seeds:>5} seeds  {(one.failure or '')[:70]}" if one.is_found else f"NOT FOUND in {one.seeds} seeds"
                print(f"{bug.name:<24} {bug.where:<9} {bug.mode:<10} {one.seconds:>6.1f} s  {told}", file=sys.stderr, flush=True)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[bug.name] for bug in bugs]


def gate(names: Sequence[str] | None, *, seeds_max: int | None, jobs: int) -> int:
    """Hunts the bugs named, or all; a table on standard error, one line of JSON, and the exit code."""
    bugs = list(PLANTED.values()) if names is None else [PLANTED[name] for name in names]
    results = hunted(bugs, seeds_max or SEEDS_MAX, jobs)
    missed = [one.name for one in results if not one.is_found]
    line = {
        "layer": "L1 planted",
        "planted": len(results),
        "found": len(results) - len(missed),
        "missed": missed,
        "seeds_to_find": {one.name: one.seeds for one in results if one.is_found},
        "broke": {one.name: one.broke for one in results if one.is_found},
        "commit": commit_hash(),
    }
    print(json.dumps(line))
    return 1 if missed else 0
