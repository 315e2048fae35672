"""Parking: who is held back, for how long, what is told, and that nobody is woken for nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import HandClock, local_of, node_id, remote_of

from syncline.client.parking import FIRST_RETRY_S, RESTLESS_FREE, RESTLESS_TOLD, RETRY_CAP_S, Parking
from syncline.client.status import Problem
from syncline.client.trees.trees import Trees
from syncline.model.errors import ChangedWhileRead, DiskFull, LocalIo, QuotaExceeded, Unreadable
from syncline.model.limits import PARK_AFTER_FAILURES, PARK_RETRY_S
from syncline.testing.journal_remote import HOME

NODE = node_id(1)


class World:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.trees = Trees(HOME)
        self.trees.put_local(local_of(NODE, "a"))
        self.parking = Parking(self.trees, self.clock)

    def is_held(self) -> bool:
        return NODE in self.parking.held()

    def wait(self) -> float:
        """Passes the time until the node is let go; how long that was."""
        at = self.parking.next_retry_s()
        assert at is not None
        waited = at - self.clock.now
        assert self.is_held() == (waited > 0)
        self.clock.pass_s(max(0.0, waited))
        assert not self.is_held()
        return waited


@pytest.fixture
def world() -> World:
    return World()


def test_early_failures_are_retried_soon_and_in_silence_then_it_is_told(world: World) -> None:
    waits = []
    for number in range(1, PARK_AFTER_FAILURES + 1):
        world.parking.failed(NODE, "a", LocalIo(path="a", reason="odd"))
        assert bool(world.parking.problems()) == (number == PARK_AFTER_FAILURES)
        assert world.parking.retrying() == (number < PARK_AFTER_FAILURES)
        waits.append(world.wait())
    assert waits == [FIRST_RETRY_S, FIRST_RETRY_S * 2, PARK_RETRY_S * 4]


def test_waits_grow_to_an_hour_and_no_further(world: World) -> None:
    for _ in range(20):
        world.parking.failed(NODE, "a", QuotaExceeded(limit=1))
        waited = world.wait()
    assert waited == RETRY_CAP_S


@pytest.mark.parametrize("error", [DiskFull(path="a"), Unreadable(path="a", reason="denied"), QuotaExceeded(limit=1)])
def test_what_a_person_can_mend_is_told_at_once(world: World, error: LocalIo) -> None:
    world.parking.failed(NODE, "a", error)
    assert [problem.code for problem in world.parking.problems()] == [error.code]
    assert world.is_held()
    assert world.wait() <= PARK_RETRY_S


def test_a_parked_node_is_let_go_when_either_side_of_it_changes(world: World) -> None:
    world.parking.failed(NODE, "a", Unreadable(path="a", reason="denied"))
    world.trees.put_local(local_of(NODE, "a", inode=2))
    assert not world.is_held()
    world.parking.failed(NODE, "a", Unreadable(path="a", reason="denied"))
    assert world.is_held()
    world.trees.put_remote(remote_of(NODE, "a"))
    assert not world.is_held()


def test_a_file_that_never_rests_is_tried_less_and_less_and_in_the_end_told(world: World) -> None:
    waits = []
    for number in range(RESTLESS_TOLD + 1):
        assert not world.parking.problems()
        world.parking.failed(NODE, "a", ChangedWhileRead(path="a"))
        world.trees.put_local(local_of(NODE, "a", inode=number + 5))
        waits.append(world.wait())
    assert waits == sorted(waits)
    assert waits[:3] == [1, 2, 4]
    assert waits[-1] == PARK_RETRY_S
    assert [problem.code for problem in world.parking.problems()] == [ChangedWhileRead.code]
    assert not world.parking.retrying()


def test_the_disk_may_move_on_twice_for_free(world: World) -> None:
    for _ in range(RESTLESS_FREE):
        world.parking.restless(NODE, "a")
        assert not world.is_held()
    world.parking.restless(NODE, "a")
    assert world.is_held()
    assert world.wait() == FIRST_RETRY_S


def test_success_forgets_the_failures(world: World) -> None:
    world.parking.failed(NODE, "a", LocalIo(path="a", reason="odd"))
    world.parking.succeeded(NODE)
    assert not world.is_held()
    assert world.parking.next_retry_s() is None
    world.parking.failed(NODE, "a", LocalIo(path="a", reason="odd"))
    assert world.wait() == FIRST_RETRY_S


def test_nobody_is_woken_again_for_what_a_plan_was_offered(world: World) -> None:
    world.parking.failed(NODE, "a", LocalIo(path="a", reason="odd"))
    assert world.parking.held_from_plan() == {NODE}
    due = world.parking.next_retry_s()
    assert due == world.clock.now + FIRST_RETRY_S
    world.clock.pass_s(FIRST_RETRY_S)
    world.parking.held()
    assert world.parking.next_retry_s() == due, "only a plan takes the offer"
    assert world.parking.held_from_plan() == set()
    assert world.parking.next_retry_s() is None, "an instant in the past would be due for ever"


def test_release_lets_go_at_once_and_wakes_once(world: World) -> None:
    world.parking.held_by(NODE, Problem(code="file.locked", path="a", message="locked"))
    world.parking.held_from_plan()
    world.parking.release()
    assert world.parking.next_retry_s() == float("-inf")
    assert world.parking.held_from_plan() == set()
    assert world.parking.next_retry_s() is None
    assert world.parking.problems(), "it is not known to be mended yet"


def test_what_agrees_by_now_is_no_trouble_any_more(world: World) -> None:
    world.parking.failed(NODE, "a", Unreadable(path="a", reason="denied"))
    world.parking.keep({NODE})
    assert world.parking.problems()
    world.parking.keep(frozenset())
    assert not world.parking.problems()
    assert world.parking.next_retry_s() is None


def test_held_by_something_on_disk_is_tried_every_half_minute(world: World) -> None:
    for _ in range(10):
        world.parking.held_by(NODE, Problem(code="file.locked", path="a", message="locked"))
        assert world.wait() == PARK_RETRY_S / 2
    assert replace(world.parking.problems()[0], message="") == Problem(code="file.locked", path="a", message="")
