from __future__ import annotations

import os
from pathlib import Path

from syncline.testing.sim.filetimes import SQUEEZED_MAX_NS, FileTimes

DAY_US = 24 * 3600 * 1_000_000
START_US = 1_767_225_600_000_000


class SetClock:
    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        return self.us

    def monotonic_s(self) -> float:
        return self.us / 1e6


def test_changes_that_are_a_tick_apart_in_the_world_never_share_a_stamp(tmp_path: Path) -> None:
    clock = SetClock()
    times = FileTimes(clock, 1)
    file = tmp_path / "file"
    seen: list[tuple[int, int]] = []
    for step_us in (10_000, 5_000_000, DAY_US, 50_000 - DAY_US, 4_001):
        clock.us += step_us
        with times.change():
            file.write_bytes(b"data")
        told_ns = times.of(file.stat().st_mtime_ns)
        assert 0 <= clock.us * 1000 - told_ns <= SQUEEZED_MAX_NS
        seen.append((file.stat().st_mtime_ns, told_ns))
    assert len({told for _, told in seen}) == len(seen)
    # Whatever came later, each stamp is read as it was read at first.
    assert [times.of(stamp) for stamp, _ in seen] == [told for _, told in seen]


def test_changes_at_one_instant_of_the_world_stay_in_order_and_never_lie_ahead(tmp_path: Path) -> None:
    clock = SetClock()
    times = FileTimes(clock, 1)
    told: list[int] = []
    for number in range(200):
        path = tmp_path / str(number)
        with times.change():
            path.write_bytes(b"")
        path.stat()
        told.append(times.of(path.stat().st_ctime_ns))
    assert told == sorted(told)
    assert told[-1] <= clock.us * 1000


def test_a_time_that_was_set_is_itself_and_the_disks_tick_is_kept(tmp_path: Path) -> None:
    clock = SetClock()
    file = tmp_path / "file"
    fine, coarse = FileTimes(clock, 1), FileTimes(clock, 2_000_000_000)
    set_ns = (START_US + 123_456) * 1000
    for times in (fine, coarse):
        with times.change():
            file.write_bytes(b"")
            os.utime(file, ns=(set_ns, set_ns))
    assert fine.of(file.stat().st_mtime_ns) == set_ns
    assert coarse.of(file.stat().st_mtime_ns) == START_US * 1000
    assert coarse.of(file.stat().st_ctime_ns) % 2_000_000_000 == 0
