"""A slice of `tests.sim.kills`: the points where most is half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.kills import Killing, Spot

DANGEROUS = (
    Spot("files.exchange", after=True),
    Spot("files.rename", after=True),
    Spot("store.write", after=False),
    Spot("remote.commit", after=True),
    Spot("metadata.write", after=True),
    Spot("packs.finish", after=False),
)


@pytest.mark.timeout(300)
def test_killed_where_most_is_half_done_it_loses_nothing_and_converges(tmp_path: Path) -> None:
    with Killing(tmp_path, 1) as killing:
        for spot in DANGEROUS:
            assert killing.kill(spot, 1), f"nobody came by {spot}"
        killing.prove_history()
