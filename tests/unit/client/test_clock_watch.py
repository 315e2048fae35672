"""A wall clock that was set, or a machine that slept, is noticed once; slow corrections are not."""

from __future__ import annotations

from syncline.client.clock_watch import ClockWatch

DAY_S = 86_400.0


class TwoClocks:
    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 5.0

    def now_us(self) -> int:
        return int(self.wall * 1e6)

    def monotonic_s(self) -> float:
        return self.steady

    def pass_s(self, seconds: float, *, wall: float | None = None) -> None:
        self.steady += seconds
        self.wall += seconds if wall is None else wall


def test_time_that_passes_is_no_jump() -> None:
    clock = TwoClocks()
    watch = ClockWatch(clock)
    for seconds in (0.0, 0.1, 3600.0, 10 * DAY_S):
        clock.pass_s(seconds)
        assert watch.jumped_s() is None


def test_a_day_back_or_forward_and_a_sleep_are_told_once() -> None:
    clock = TwoClocks()
    watch = ClockWatch(clock)
    for seconds, wall in ((1.0, -DAY_S), (1.0, DAY_S), (0.0, 1800.0)):
        clock.pass_s(seconds, wall=wall)
        jump = watch.jumped_s()
        assert jump is not None
        assert abs(jump - (wall - seconds)) < 0.01
        assert watch.jumped_s() is None


def test_a_clock_that_is_slowly_corrected_never_jumps() -> None:
    clock = TwoClocks()
    watch = ClockWatch(clock)
    for _ in range(100):
        clock.pass_s(60.0, wall=63.0)
        assert watch.jumped_s() is None
