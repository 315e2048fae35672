"""A world is made of its seed alone: what a failing run did can be looked at again."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.testing.sim.script import draw
from syncline.testing.sim.world import play
from tests.sim.real import unheard


@pytest.mark.parametrize("seed", range(6))
def test_a_seed_plays_the_same_world_again(seed: int, tmp_path: Path) -> None:
    with unheard():
        one, other = (play(draw(seed, "many"), tmp_path / name) for name in ("one", "other"))
    assert one.log == other.log
    assert one.struck == other.struck
    assert (one.steps, one.calls, one.virtual_s) == (other.steps, other.calls, other.virtual_s)
