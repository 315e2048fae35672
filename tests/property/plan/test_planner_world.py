"""The planner against its world: a hundred thousand cases, every cell of the tables seen, and mistakes found out.

`SYNCLINE_PLAN_CASES` asks for more (in thousands); `python -m tests.sim.planner` runs millions.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from tests.property.plan import tape
from tests.property.plan.cells import EXPECTED, SELDOM, Cell, named
from tests.property.plan.drive import Failure, fails, run_many, run_script, run_seed, shrink
from tests.property.plan.mutants import MUTANTS, Mutant, kill
from tests.property.plan.script import MODES, TURNS, Script
from tests.sim import planner as volume

from syncline.client.plan import decide

CHUNK = 5_000
CHUNKS = max(1, int(os.environ.get("SYNCLINE_PLAN_CASES", "60")) // 5)
GATE_CASES = 30_000
OVERWRITES = MUTANTS[0]
SEEN: Counter[Cell] = Counter()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_case_comes_to_rest_with_nothing_lost(chunk: int) -> None:
    SEEN.update(run_many(range(chunk * CHUNK, (chunk + 1) * CHUNK)))


def test_every_cell_of_the_tables_is_seen() -> None:
    """By the cases above where they ran in this process, else by cases of its own; the seldom ones are asked of large runs."""
    seen = named(SEEN if SEEN else run_many(range(CHUNKS * CHUNK)))
    missing = [cell for cell in EXPECTED if not seen.get(cell) and cell not in SELDOM]
    assert not missing, f"cells never seen: {missing}"


def test_the_cells_are_told_apart() -> None:
    assert len(set(EXPECTED)) == len(EXPECTED)
    assert set(EXPECTED) > SELDOM


def test_every_mode_has_its_turn() -> None:
    assert set(TURNS) == set(MODES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.title for mutant in MUTANTS])
def test_a_mistake_is_found_out(mutant: Mutant) -> None:
    if mutant.equivalent:
        assert kill(mutant, range(1_000)) is None
    else:
        assert kill(mutant, range(GATE_CASES)) is not None


# -- Tapes -------------------------------------------------------------------------------------------------------------------


def test_a_failure_is_made_short_kept_and_played_again(tmp_path: Path) -> None:
    with OVERWRITES.planted():
        with pytest.raises(Failure) as caught:
            run_many(range(10_000), OVERWRITES.mode)
        short = caught.value.script
        assert len(short.ops) <= 3
        assert len(short.base) <= 2
        path = tape.save(short, tmp_path, failure=caught.value.trace, commit="abc")
        assert tape.save(short, tmp_path) == path
        assert fails(tape.load(path))
        assert volume.main(["--replay", str(path)]) == 1
    assert tape.load(path) == short
    assert fails(tape.load(path)) is None
    assert volume.main(["--replay", str(path)]) == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_tape_holds_all_of_a_script(mode: str, tmp_path: Path) -> None:
    script = Script("")
    run_seed(Random(mode).randrange(1000), mode, script)
    assert tape.load(tape.save(script, tmp_path)) == script


def test_a_script_needs_no_seed() -> None:
    script = Script("")
    drawn = run_seed(7, "two clients", script)
    assert run_script(script).server.nodes == drawn.server.nodes


def test_a_script_that_passes_stays_as_it_is() -> None:
    script = Script("")
    run_seed(7, "client and server", script)
    assert shrink(script) == script


def test_a_tape_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tape.save(Script("live"), tmp_path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="version 2"):
        tape.load(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a tape"):
        tape.load(path)


def test_kept_tapes_pass() -> None:
    """What failed once does not fail again."""
    failed = {path.name: trace for path in sorted(tape.KEPT.glob("*.json")) if (trace := fails(tape.load(path)))}
    assert not failed


# -- The run in volume -------------------------------------------------------------------------------------------------------


def test_a_run_tells_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert volume.main(["--cases", "300", "--start", "50", "--tapes", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["layer"], told["cases"], told["failures"]) == ("L0", 300, [])
    assert told["cells"] == named(run_many(range(50, 350)))
    assert set(told["missing_cells"]) == set(EXPECTED) - set(told["cells"])
    assert told["cases_per_second_per_core"] > 0


def test_a_run_keeps_what_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OVERWRITES.planted():
        assert volume.main(["--cases", "400", "--mode", "client and server", "--tapes", str(tmp_path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["failures"]
    assert {Path(each["tape"]) for each in told["failures"]} == set(tmp_path.glob("*.json"))


def test_processes_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = []
    for jobs in ("1", "2"):
        volume.main(["--cases", "4100", "--jobs", jobs, "--tapes", str(tmp_path)])
        cells.append(json.loads(capsys.readouterr().out)["cells"])
    assert cells[0] == cells[1]


def test_the_world_stays_out_of_the_product() -> None:
    room = Path(decide.__file__).parent
    assert not [path.name for path in room.glob("*.py") if "tests." in path.read_text()]
