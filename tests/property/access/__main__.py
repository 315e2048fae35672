"""`python -m tests.property.access --cases 50000`: random acts of people who share, against the model; every difference ends it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.property.access.play import play
from tests.unit.server_metadata.world import World

CASES_A_WORLD = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--start", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    began, done, seed = time.monotonic(), 0, asked.start
    while done < asked.cases:
        asyncio.run(play(World.in_memory(), seed, CASES_A_WORLD))
        done += CASES_A_WORLD
        seed += 1
    sys.stdout.write(f"{done:,} cases in {seed - asked.start:,} worlds, no difference, {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
