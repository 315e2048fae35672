"""A large sparse file through real processes, each killed on the way; `python -m tests.e2e.huge` is the long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.model.limits import MIB
from tests.e2e import plain_huge
from tests.e2e.huge import run


@pytest.mark.slow
@pytest.mark.real
def test_a_large_file_outlives_kills_in_flat_memory_and_leaves_its_holes(tmp_path: Path) -> None:
    figures = run(tmp_path, 384 * MIB, kills=True, cap_s=120)
    assert figures["disk_mib"]["receiver"] < 192, figures


@pytest.mark.slow
@pytest.mark.real
def test_a_large_file_goes_up_and_down_by_plain_http_through_kills_in_flat_memory(tmp_path: Path) -> None:
    plain_huge.run(tmp_path, 320 * MIB, cap_s=120)
