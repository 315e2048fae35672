"""A short slice of the simulated worlds; the full runs are `make sim`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from syncline.testing.sim.script import draw
from tests.sim import tape
from tests.sim.planted import PLANTED
from tests.sim.required import ELSEWHERE, REQUIRED
from tests.sim.runs import played, property_of, run_seed
from tests.sim.shrink import Shrinker, told

CHUNKS = 4
CHUNK_SEEDS = 50
QUICK_BUGS = {
    "files-not-synced": 40,
    "folders-not-synced": 40,
    "conflict-overwritten": 40,
    "key-reused": 40,
}
"""Planted bugs that are found at once, and within how many seeds at the latest."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What killed devices leave unfinished is nobody's business."""
    configured = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    hook, sys.unraisablehook = sys.unraisablehook, lambda _told: None
    yield
    sys.unraisablehook = hook
    structlog.configure(**configured)


pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_worlds_come_to_rest_with_every_debt_paid(chunk: int) -> None:
    results = [run_seed(seed) for seed in range(chunk * CHUNK_SEEDS, (chunk + 1) * CHUNK_SEEDS)]
    assert [(result.seed, result.mode, result.failure) for result in results if result.failure] == []
    assert sum(result.has_power for result in results) > CHUNK_SEEDS // 2


@pytest.mark.parametrize("path", tape.kept(), ids=lambda path: path.stem)
def test_what_once_broke_holds_now(path: Path) -> None:
    known = tape.load(path)
    outcome = played(known.script)
    assert outcome.failure is None, "\n".join([known.story, *told(known.script, outcome)])


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_traces_alike_under_another_hash_seed(seed: int) -> None:
    program = f"from tests.sim.runs import quieten, run_seed; quieten(); print(run_seed({seed}).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "77")
    }
    assert len(traces) == 1
    assert traces != {run_seed(seed + 1).trace + "\n"}


def test_a_world_played_from_its_tape_is_the_same_world() -> None:
    script = next(script for seed in range(100) if (script := draw(seed, "many")).fault_rate > 0.005)
    drawn = played(script)
    assert drawn.struck
    again = played(replace(script, struck=drawn.struck))
    assert (again.struck, again.trace) == (drawn.struck, drawn.trace)


@pytest.mark.parametrize("name", QUICK_BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    bug = PLANTED[name]
    with bug.plant():
        found = next((seed for seed in range(QUICK_BUGS[name]) if run_seed(seed, bug.mode).failure is not None), None)
    assert found is not None
    assert run_seed(found, bug.mode).failure is None, "it fails without the bug too"


def test_what_fails_is_made_small_and_told(tmp_path: Path) -> None:
    bug = PLANTED["conflict-overwritten"]
    with bug.plant():
        script, outcome = next(
            (script, outcome) for seed in range(40) if (outcome := played(script := draw(seed, bug.mode))).failure is not None
        )
        shrinker = Shrinker(script, outcome, tries=30)
        shrinker.run()
        assert len(shrinker.script.events) < len(script.events) // 2
        failure = shrinker.outcome.failure
        assert failure is not None
        assert property_of(failure) == shrinker.broke
        lines = told(shrinker.script, shrinker.outcome)
        assert lines[-1] == f"# broke: {failure}"
        kept = tape.Tape(broke=shrinker.broke, failure=failure, story="planted", commit="none", told=lines, script=shrinker.script)
        again = tape.load(tape.save(kept, tmp_path, "planted"))
        assert again == kept
        assert played(again.script).failure == failure
    assert played(again.script).failure is None


def test_nothing_is_required_of_two_layers_at_once() -> None:
    assert not REQUIRED & ELSEWHERE.keys()
    assert all(ELSEWHERE.values())
