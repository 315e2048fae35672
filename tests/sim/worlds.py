"""The simulated worlds in volume: `python -m tests.sim.worlds --seeds 2000 --jobs 2`.

A seed that fails is made small, printed as a script and kept as a tape; the last line says in JSON what was run. A large run that
never saw something that must happen sometimes (`required`) fails too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from syncline.testing.sim.script import draw
from tests.sim import tape
from tests.sim.commit import commit_hash
from tests.sim.crowd import Crowd, Sum
from tests.sim.required import unseen
from tests.sim.runs import played, property_of, quieten
from tests.sim.shrink import Shrinker, told

SHRINK_S = 60.0
SHRUNK_MAX = 3
"""Of many failures only the first are made small."""
ENOUGH_SEEDS = 2_000


def shrunk(seed: int, mode: str | None, seconds: float, tapes: Path) -> Path | None:
    """Makes a failing seed small, prints it and keeps it; None where it passes here."""
    script = draw(seed, mode)
    outcome = played(script)
    if outcome.failure is None:
        print(f"seed {seed} passes")
        return None
    shrinker = Shrinker(script, outcome, seconds)
    shrinker.run()
    broke = shrinker.broke
    lines = told(shrinker.script, shrinker.outcome)
    kept = tape.Tape(
        broke=broke,
        failure=shrinker.outcome.failure or "",
        story=f"Seed {seed} ({script.mode}) broke {broke}.",
        commit=commit_hash(),
        told=lines,
        script=shrinker.script,
    )
    path = tape.save(kept, tapes, f"{broke} {script.mode} {seed}")
    before, after = len(script.events) + len(outcome.struck), len(kept.script.events) + len(kept.script.struck or ())
    print("\n".join(["", *lines, "", f"# {before} events and faults made {after} by {shrinker.tried} runs; kept as {path}", ""]))
    return path


def replay(path: Path) -> int:
    """Plays a tape."""
    known = tape.load(path)
    outcome = played(known.script)
    print("\n".join([f"# {known.story}", *told(known.script, outcome)]))
    return 1 if outcome.failure else 0


def report(total: Sum, seconds: float, whole: bool, tapes: dict[int, Path]) -> int:
    """The one line of JSON, and the exit code."""
    missing = unseen(total.seen)
    print(
        json.dumps(
            {
                "layer": "L1",
                "seeds": total.seeds,
                "weak": total.weak,
                "steps": total.steps,
                "steps_per_second_per_core": round(total.steps / max(total.cpu_s, 1e-9)),
                "user_ops_min": total.user_ops_min,
                "devices_min": total.devices_min,
                "steps_min": total.steps_min,
                "modes": dict(sorted(total.modes.items())),
                "failures": [
                    {"seed": each.seed, "mode": each.mode, "broke": property_of(each.failure or ""), "failure": each.failure}
                    | ({"tape": str(tapes[each.seed])} if each.seed in tapes else {})
                    for each in sorted(total.failures, key=lambda each: each.seed)
                ],
                "seen": dict(sorted(total.seen.items())),
                "unseen": missing,
                "twice": total.twice,
                "commit": commit_hash(),
                "seconds": round(seconds, 1),
            },
            ensure_ascii=False,
        )
    )
    return 1 if total.failures or (whole and missing) else 0


def run(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    seeds = asked.seeds if asked.seeds or asked.seconds else 1_000
    crowd = Crowd(start=asked.start, mode=asked.mode, jobs=asked.jobs, seeds=seeds, seconds=asked.seconds)
    total = crowd.play()
    tapes: dict[int, Path] = {}
    for failed in sorted(total.failures, key=lambda each: each.seed)[:SHRUNK_MAX]:
        path = shrunk(failed.seed, asked.mode, asked.shrink_seconds, asked.tapes) if asked.shrink_seconds else None
        if path is not None:
            tapes[failed.seed] = path
    whole = asked.mode is None and total.seeds + total.weak >= ENOUGH_SEEDS
    return report(total, time.monotonic() - began, whole, tapes)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.worlds", description="Whole simulated worlds in volume.")
    parser.add_argument("--seeds", type=int, help="how many (default 1000, unless --seconds is given)")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--mode", help="one mode instead of the default mix")
    parser.add_argument("--tapes", type=Path, default=tape.KEPT, help="where failing worlds are kept")
    parser.add_argument("--shrink-seconds", type=float, default=SHRINK_S, help="time to make each failure small; 0 leaves it")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play one tape")
    parser.add_argument("--shrink", type=int, metavar="SEED", help="make one failing seed small")
    parser.add_argument(
        "--planted", nargs="*", metavar="NAME", help="the gate: plant each bug (or those named), count the seeds to find it"
    )
    asked = parser.parse_args(argv)
    quieten()
    if asked.replay:
        return replay(asked.replay)
    if asked.shrink is not None:
        return 0 if shrunk(asked.shrink, asked.mode, asked.shrink_seconds or SHRINK_S, asked.tapes) is None else 1
    if asked.planted is not None:
        from tests.sim.gate import gate

        return gate(asked.planted or None, seeds_max=asked.seeds, jobs=asked.jobs)
    return run(asked)


if __name__ == "__main__":
    sys.exit(main())
