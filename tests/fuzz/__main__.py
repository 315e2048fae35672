"""Random requests to every door of a real server, each answer held against the OpenAPI document (schemathesis).

`python -m tests.fuzz --requests 20000 --seed 1` is the long run; `make test` has a slice. Half of the requests are made of what the
world has, as they should be or with something odd in one place; the others schemathesis draws from the document, alone and along
its links. One line of JSON says what came of it; findings go to stderr as they are made, and make it fail.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import requests
import schemathesis

from tests.e2e.world import Server, run
from tests.fuzz import phases
from tests.fuzz.sending import Sender
from tests.fuzz.world import Person, World

PEOPLE = ("ann@example.org", "ben@example.org", "cem@example.org")
PASSWORD = "correct horse battery staple"
LEAST_GOOD = 50


def fuzz(root: Path, count: int, seed: int, least: int = LEAST_GOOD) -> dict[str, Any]:
    """A run of at least `count` requests in which every operation is to be answered well `least` times."""
    chance = random.Random(seed)
    server = Server(root)
    server.start()
    began = time.monotonic()
    try:
        for email in PEOPLE:
            run(["admin", "user", "add", email, "--password-stdin", "--data", str(server.data)], input_text=PASSWORD + "\n")
        schema = schemathesis.openapi.from_dict(requests.get(f"{server.url}/openapi.json", timeout=30).json())
        sender = Sender(server.url, chance)
        world = World(schema, sender, chance)
        world.people = [Person(email, PASSWORD) for email in PEOPLE]
        world.populate()
        operations = len(world.labels)
        # A request of the world takes one or two others that make what it needs.
        phases.fed(world, max(1, count * 35 // 100 // operations // 2))
        phases.generated(world, max(2, count * 35 // 100 // operations))
        phases.stateful(world, schema, upto=count * 95 // 100)
        phases.topped_up(world, least)
        while sender.sent < count:
            phases.fed(world, 1)
        world.look_over()
    finally:
        ended = server.ended()
        code = server.stop() if ended is None else ended
    log = server.log.read_text(errors="replace")
    return {
        "seed": seed,
        "requests": sender.sent,
        "seconds": round(time.monotonic() - began, 1),
        "operations": {label: asdict(sender.tallies[label]) for label in sorted(sender.tallies)},
        "too_few": sorted(label for label in world.labels if label not in sender.tallies or sender.tallies[label].good < least),
        "least_good": min((sender.tallies[label].good if label in sender.tallies else 0) for label in world.labels),
        "failed": sum(tally.failed for tally in sender.tallies.values()),
        "violations": sum(sender.kinds.values()),
        "findings": [str(one) for one in sender.findings],
        "defects_logged": log.count("defect"),
        "exit": code,
    }


def is_good(report: dict[str, Any]) -> bool:
    return not (report["too_few"] or report["failed"] or report["violations"] or report["defects_logged"] or report["exit"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=LEAST_GOOD, help="good answers of each operation")
    parser.add_argument("--keep", action="store_true", help="leave the server's data and log in place")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="syncline-fuzz-"))
    try:
        report = fuzz(root, options.requests, options.seed, options.least)
    finally:
        if options.keep:
            print(f"kept in {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)
    print(json.dumps(report, ensure_ascii=True))
    return 0 if is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
