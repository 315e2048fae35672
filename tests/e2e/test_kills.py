"""A short run of `tests.e2e.kills`; `make kills` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.kills import session


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [101, 102])
def test_killed_at_random_moments_it_converges_and_loses_nothing(tmp_path: Path, seed: int) -> None:
    session(tmp_path, seed, 6)
