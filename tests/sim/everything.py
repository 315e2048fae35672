"""All layers of the simulation one after the other: `make sim`. By default ten minutes on two cores.

The planner's cases take a fifth of the time, worlds on the real file system as much where that layer is there, and simulated worlds
the rest. Each layer tells its own line of JSON; the whole fails if one does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec

SECONDS = 600.0
PLANNER_SHARE = 0.2
REAL_SHARE = 0.2
REAL = "tests.sim.real"


def _layer(module: str, seconds: float, jobs: int, start: int) -> int:
    asked = [sys.executable, "-m", module, "--seconds", f"{seconds:.0f}", "--jobs", str(jobs), "--start", str(start)]
    print(f"{module}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return subprocess.run(asked, check=False).returncode


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make sim", description="All layers of the simulation, one after the other.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for how long in all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--start", type=int, default=0, help="the first seed of every layer")
    asked = parser.parse_args(argv)
    shares = {"tests.sim.planner": PLANNER_SHARE}
    if find_spec(REAL) is not None:
        shares[REAL] = REAL_SHARE
    shares["tests.sim.worlds"] = 1.0 - sum(shares.values())
    codes = [_layer(module, share * asked.seconds, asked.jobs, asked.start) for module, share in shares.items()]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
