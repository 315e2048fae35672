"""A slice of `python -m tests.sim.bursts`: a burst, a queue that overflows, a tree moved in, and no false claim in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.bursts import QUEUE, run


@pytest.mark.timeout(180)
@pytest.mark.parametrize("overflow", [False, True])
def test_a_burst_and_a_moved_tree_arrive_exactly_and_nothing_is_claimed_before(tmp_path: Path, overflow: bool) -> None:
    if overflow and int(QUEUE.read_text()) > 100_000:
        pytest.skip("the queue is too large to fill")
    figures = run(tmp_path, files=3_000 if overflow else 1_000, moved=1_000, overflow=overflow, blips=30)
    assert min(figures["asked"].values()) > 20, "it was asked all the while"
    assert figures["states"]["A"].get("syncing"), "and not only when all was over"
