"""The breaker's states, step by step."""

from __future__ import annotations

import pytest

from syncline.adapters.cache.breaker import FAILURES_MAX, PAUSE_FIRST_S, PAUSE_MAX_S, Breaker
from syncline.testing.clocks import ManualClock


class Half:
    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def fraction(self) -> float:
        return 0.5


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock, Half())


def broken(breaker: Breaker) -> None:
    for _ in range(FAILURES_MAX):
        assert breaker.lets_pass()
        breaker.failed()


def test_some_failures_are_nothing_and_success_forgets_them(breaker: Breaker) -> None:
    for _ in range(5):
        for _ in range(FAILURES_MAX - 1):
            breaker.failed()
        assert breaker.lets_pass()
        breaker.worked()
    assert not breaker.is_open


def test_failures_in_a_row_open_it_until_its_pause_is_over(breaker: Breaker, clock: ManualClock) -> None:
    broken(breaker)
    assert breaker.is_open
    assert not breaker.lets_pass()
    clock.advance(PAUSE_FIRST_S * 0.99)
    assert not breaker.lets_pass()
    clock.advance(PAUSE_FIRST_S * 0.02)
    assert breaker.lets_pass()
    assert not breaker.lets_pass(), "one tries it, and no other"
    breaker.worked()
    assert not breaker.is_open
    assert breaker.lets_pass()


def test_each_failed_try_doubles_the_pause_up_to_a_bound(breaker: Breaker, clock: ManualClock) -> None:
    broken(breaker)
    pause = PAUSE_FIRST_S
    for _ in range(12):
        clock.advance(pause * 1.01)
        assert breaker.lets_pass()
        breaker.failed()
        pause = min(PAUSE_MAX_S, pause * 2)
        clock.advance(pause * 0.98)
        assert not breaker.lets_pass()
        clock.advance(-pause * 0.98)
    assert pause == PAUSE_MAX_S
    clock.advance(pause * 1.01)
    assert breaker.lets_pass()
    breaker.worked()
    broken(breaker)
    clock.advance(PAUSE_FIRST_S * 1.01)
    assert breaker.lets_pass(), "after it worked, the first pause is short again"


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_it(breaker: Breaker, clock: ManualClock) -> None:
    broken(breaker)
    for _ in range(10):
        breaker.failed()
    clock.advance(PAUSE_FIRST_S * 1.01)
    assert breaker.lets_pass()
