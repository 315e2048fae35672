"""The planner's world in volume: `python -m tests.sim.planner --cases 1000000 --jobs 2`.

A case is a seed, and the same on every machine and however many processes share the work. What fails is made short, printed and
kept as a tape; at the end one line of JSON says what was run. A cell of the decision tables that a large run never hits fails it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.property.plan import tape
from tests.property.plan.cells import EXPECTED, Cell, named
from tests.property.plan.drive import Failure, fails, run_many
from tests.property.plan.mutants import MUTANTS, kill
from tests.property.plan.script import MODES

CHUNK = 2_000
FAILURES_MAX = 10
"""After so many the run ends: they are likely to be of one kind."""
ENOUGH_FOR_CELLS = 200_000
MUTANT_CASES = 100_000
PROGRESS_SECONDS = 5.0


@dataclass
class Chunk:
    """What came of some seeds."""

    cases: int = 0
    cpu: float = 0.0
    seen: Counter[Cell] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    """(seed, the tape's JSON-able path, what happened)."""


def run_chunk(seeds: range, mode: str | None, tapes: str, commit: str) -> Chunk:
    """Runs seeds to the last one, or to the second that fails."""
    chunk = Chunk()
    start = time.process_time()
    at = seeds.start
    while at < seeds.stop:
        try:
            chunk.seen.update(run_many(range(at, seeds.stop), mode))
            at = seeds.stop
        except Failure as failure:
            path = tape.save(failure.script, Path(tapes), failure=failure.trace, commit=commit)
            chunk.failures.append((failure.seed, str(path), str(failure)))
            at = failure.seed + 1
            if len(chunk.failures) > 1:
                break
    chunk.cases = at - seeds.start
    chunk.cpu = time.process_time() - start
    return chunk


def _chunks(start: int, cases: int | None) -> Iterator[range]:
    for at in count(start, CHUNK):
        stop = at + CHUNK if cases is None else min(at + CHUNK, start + cases)
        if at >= stop:
            return
        yield range(at, stop)


@dataclass
class Run:
    """A run of many cases: it ends after a number of them, or a time."""

    cases: int | None
    seconds: float | None
    start: int
    jobs: int
    mode: str | None
    tapes: Path
    commit: str

    def __post_init__(self) -> None:
        self.total = Chunk()
        self.began = time.monotonic()
        self._told = self.began

    def go(self) -> Chunk:
        chunks = _chunks(self.start, self.cases)
        if self.jobs == 1:
            for seeds in chunks:
                if self._is_over():
                    break
                self._take(run_chunk(seeds, self.mode, str(self.tapes), self.commit))
        else:
            self._spread(chunks)
        self._tell()
        return self.total

    def _spread(self, chunks: Iterator[range]) -> None:
        with ProcessPoolExecutor(self.jobs) as pool:
            running: set[Future[Chunk]] = set()
            more = True
            while running or more:
                while more and len(running) < 2 * self.jobs:
                    seeds = None if self._is_over() else next(chunks, None)
                    more = seeds is not None
                    if seeds is not None:
                        running.add(pool.submit(run_chunk, seeds, self.mode, str(self.tapes), self.commit))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    self._take(each.result())

    def _is_over(self) -> bool:
        late = self.seconds is not None and time.monotonic() - self.began >= self.seconds
        return late or len(self.total.failures) >= FAILURES_MAX

    def _take(self, chunk: Chunk) -> None:
        total = self.total
        total.cases += chunk.cases
        total.cpu += chunk.cpu
        total.seen.update(chunk.seen)
        total.failures += chunk.failures
        for _, path, text in chunk.failures:
            print(f"\n{text}\nkept as {path}\n", file=sys.stderr)
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        rate = self.total.cases / max(self.total.cpu, 1e-9)
        print(f"{self.total.cases} cases, {rate:.0f} a second a core, {len(self.total.failures)} failures", file=sys.stderr)


def commit_hash() -> str:
    """The commit that is run, and whether there are changes on top."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return told.stdout.strip() or "unknown"


def report(run: Run) -> int:
    """The one line of JSON, and the exit code."""
    total = run.total
    seen = named(total.seen)
    whole = run.mode is None and total.cases >= ENOUGH_FOR_CELLS
    missing = [cell for cell in EXPECTED if not seen.get(cell)]
    print(
        json.dumps(
            {
                "layer": "L0",
                "cases": total.cases,
                "seconds": round(time.monotonic() - run.began, 1),
                "cases_per_second_per_core": round(total.cases / max(total.cpu, 1e-9)),
                "failures": [{"seed": seed, "tape": path} for seed, path, _ in sorted(total.failures)],
                "cells": dict(sorted(seen.items())),
                "missing_cells": missing,
                "commit": run.commit,
            },
            ensure_ascii=False,
        )
    )
    return 1 if total.failures or (whole and missing) else 0


def replay(path: Path) -> int:
    """Plays a tape."""
    script = tape.load(path)
    print(script.told())
    trace = fails(script)
    print(f"\n{trace}" if trace else "\nIt passes.")
    return 1 if trace else 0


def gate(cases: int) -> int:
    """Plants each mistake and says how many cases it took to find it."""
    survived = 0
    for mutant in MUTANTS:
        killed = kill(mutant, range(cases if not mutant.equivalent else min(cases, mutant.looked_at)))
        if mutant.equivalent:
            outcome = f"equivalent: {mutant.equivalent}" if killed is None else f"FOUND after {killed}, but called equivalent"
        else:
            outcome = f"found after {killed}" if killed else f"NOT FOUND in {cases} cases"
        survived += bool(killed) == bool(mutant.equivalent)
        print(f"{mutant.title} [{mutant.mode or 'all modes'}]: {outcome}", flush=True)
    print(f"{len(MUTANTS)} mutants, {survived} not as they should be")
    return 1 if survived else 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planner", description="The planner's property world in volume.")
    parser.add_argument("--cases", type=int, help="how many cases (default 100000, unless --seconds is given)")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--mode", choices=MODES, help="one mode instead of the default mix")
    parser.add_argument("--tapes", type=Path, default=tape.KEPT, help="where failing cases are kept")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play one tape")
    parser.add_argument("--mutants", action="store_true", help="the mutation gate: plant each mistake, count the cases to find it")
    asked = parser.parse_args(argv)
    if asked.replay:
        return replay(asked.replay)
    if asked.mutants:
        return gate(asked.cases or MUTANT_CASES)
    cases = asked.cases if asked.cases or asked.seconds else 100_000
    run = Run(cases, asked.seconds, asked.start, asked.jobs, asked.mode, asked.tapes, commit_hash())
    try:
        run.go()
    except KeyboardInterrupt:
        traceback.print_exc(limit=0)
    return report(run)


if __name__ == "__main__":
    sys.exit(main())
