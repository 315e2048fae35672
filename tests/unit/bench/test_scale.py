"""The reckoning of what a load needs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from bench.scale import __main__ as program
from bench.scale.model import needed

HERE = Path(program.__file__).parent
LOAD = tomllib.loads((HERE / "load.toml").read_text())
COSTS = tomllib.loads((HERE / "costs.toml").read_text())
GROWING = ("people", "file_writes_per_s", "peak_factor", "bytes_per_day", "total_bytes", "reads_per_write", "versions_kept_share")


def reckoned(**changed: float) -> dict[str, float]:
    figures = needed(LOAD | changed, COSTS["measured"], COSTS["bounds"], COSTS["prices"])
    return {figure.name: figure.value for figure in figures}


@pytest.mark.parametrize("name", GROWING)
def test_more_of_anything_never_needs_less(name: str) -> None:
    before, after = reckoned(), reckoned(**{name: LOAD[name] * 3})
    fewer = {figure: (before[figure], after[figure]) for figure in before if after[figure] < before[figure] * (1 - 1e-9)}
    # More people share the same bill.
    fewer.pop("for a person and month", None)
    assert fewer == {}
    assert after != before


def test_a_small_team_needs_one_of_each() -> None:
    small = reckoned(people=50, file_writes_per_s=0.1, bytes_per_day=1e9, total_bytes=1e12, years=3)
    assert small["shards (primaries)"] == small["metadata processes"] == small["gateway processes"] == 1
    assert small["notification processes"] == 1


def test_the_bill_adds_up() -> None:
    figures = reckoned()
    parts = [value for name, value in figures.items() if name.endswith(", a month") and name != "all, a month"]
    assert figures["all, a month"] == pytest.approx(sum(parts))


def test_it_is_a_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert program.main(["--json", "--set", "people=1000"]) == 0
    assert json.loads(capsys.readouterr().out)["devices online at the peak"] == 1000 * 1.5 * LOAD["online_share"]
    assert program.main([]) == 0
    assert "shards (primaries)" in capsys.readouterr().out
    (tmp_path / "load.toml").write_text("people = 5\n")
    wrong = (["--set", "peeple=5"], ["--set", "people"], ["--set", "people=many"], ["--load", str(tmp_path / "load.toml")])
    for arguments in wrong:
        with pytest.raises(SystemExit) as ended:
            program.main(arguments)
        assert ended.value.code == 2
        assert "Traceback" not in capsys.readouterr().err
