"""L2: whole simulated worlds whose devices stand on the real file system, inotify and SQLite.

    python -m tests.sim.real [--seeds N | --seconds S] [--start SEED] [--jobs J] [--tape FILE]

The last line is what came of it, as JSON. The script and the faults of a seed that failed are kept as a tape, which `--tape` plays
again. What the kernel gives (inode numbers, the order of a listing) differs from run to run, so a tape tries again rather than
repeats.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from syncline.testing.sim.real import RealMachine
from syncline.testing.sim.script import Script, draw
from syncline.testing.sim.world import Outcome, play

BATCH = 5
TAPES = Path(__file__).parent / "tapes" / "real"


def real_script(seed: int) -> Script:
    """The script of a seed on what a real folder is: names are told apart, the executable bit is kept."""
    script = draw(seed)
    script.disks = [replace(disk, names="sensitive", has_exec=True) for disk in script.disks]
    return script


def play_real(script: Script) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="syncline-real-") as folder:
        return play(script, Path(folder), RealMachine)


@contextmanager
def unheard() -> Iterator[None]:
    """A world that is over takes the tasks of dead processes along, and Python tells that they did not want to end: inside nobody
    hears of it."""
    told, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
            gc.collect()
    finally:
        sys.unraisablehook = told


def _run(seeds: Sequence[int]) -> list[Outcome]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with unheard():
        return [_run_one(seed) for seed in seeds]


def _run_one(seed: int) -> Outcome:
    script = real_script(seed)
    outcome = play_real(script)
    if outcome.failure is not None:
        TAPES.mkdir(parents=True, exist_ok=True)
        script.struck = outcome.struck
        (TAPES / f"{seed}.json").write_bytes(msgspec.json.format(msgspec.json.encode(script), indent=1))
    return outcome


def _outcomes(batches: Iterator[Sequence[int]], jobs: int) -> Iterator[Outcome]:
    if jobs < 2:
        for batch in batches:
            yield from _run(batch)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(_run, batch) for batch in islice(batches, jobs)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_run, batch) for batch in islice(batches, len(done))}
            for future in done:
                yield from future.result()


def _batches(start: int, count: int | None, end_s: float | None) -> Iterator[Sequence[int]]:
    seed = start
    while (count is None or seed < start + count) and (end_s is None or time.monotonic() < end_s):
        end = seed + BATCH if count is None else min(seed + BATCH, start + count)
        yield range(seed, end)
        seed = end


def _commit() -> str:
    return subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.real", description=(__doc__ or "").splitlines()[0])
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--seeds", type=int, help="play so many (default 100)")
    bound.add_argument("--seconds", type=float, help="play for so long")
    bound.add_argument("--tape", type=Path, help="play a tape again, and tell what happened")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    chosen = parser.parse_args()
    begun_s = time.monotonic()
    if chosen.tape is not None:
        outcome = play_real(msgspec.json.decode(chosen.tape.read_bytes(), type=Script))
        print(*outcome.log, outcome.failure or "every property held", sep="\n")
        return outcome.failure is not None
    count = chosen.seeds if chosen.seeds is not None or chosen.seconds is not None else 100
    end_s = None if chosen.seconds is None else begun_s + chosen.seconds
    played, steps = 0, 0
    failures: list[dict[str, object]] = []
    seen: Counter[str] = Counter()
    for outcome in _outcomes(_batches(chosen.start, count, end_s), chosen.jobs):
        played, steps = played + 1, steps + outcome.steps
        seen.update(outcome.seen)
        if outcome.failure is not None:
            failures.append({"seed": outcome.seed, "mode": outcome.mode, "failure": outcome.failure})
            print(f"seed {outcome.seed} ({outcome.mode}): {outcome.failure}", file=sys.stderr, flush=True)
    verdict = {
        "layer": "L2",
        "seeds": played,
        "steps": steps,
        "failures": failures,
        "seen": dict(sorted(seen.items())),
        "commit": _commit(),
        "seconds": round(time.monotonic() - begun_s, 1),
    }
    print(json.dumps(verdict))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
