"""A few worlds on the real file system; `python -m tests.sim.real` plays more."""

from __future__ import annotations

import pytest

from tests.sim.real import play_real, real_script, unheard

SEEDS = range(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_property_holds_on_the_real_file_system(seed: int) -> None:
    with unheard():
        outcome = play_real(real_script(seed))
    assert outcome.failure is None, "\n".join((*outcome.log, outcome.failure))
    assert outcome.user_ops > 0
    assert outcome.steps > 500
