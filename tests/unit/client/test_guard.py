"""The delete guard: what it counts, for how long, and what it lets through."""

from __future__ import annotations

import pytest
from tests.unit.client.kit import ONE, TWO, HandClock, node_id, push

from syncline.client.guard import DeleteGuard, Direction, guarded
from syncline.client.plan.steps import Adopt, Discard, MakeFolder, Plan, RemoveFolder
from syncline.model.ids import NodeId
from syncline.model.limits import DELETE_GUARD_ALL, DELETE_GUARD_FILES, DELETE_GUARD_WINDOW_S
from syncline.protocol.commits import Op
from syncline.testing.journal_remote import HOME

UP, DOWN = Direction.UP, Direction.DOWN


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def guard(clock: HandClock) -> DeleteGuard:
    return DeleteGuard(clock)


def test_a_small_tree_may_lose_fifty_files_and_not_one_more(guard: DeleteGuard) -> None:
    assert guard.allows(UP, DELETE_GUARD_FILES, 60)
    assert not guard.allows(UP, DELETE_GUARD_FILES + 1, 60)


def test_a_large_tree_may_lose_a_quarter(guard: DeleteGuard) -> None:
    assert guard.allows(DOWN, 250, 1000)
    assert not guard.allows(DOWN, 251, 1000)


def test_small_bursts_add_up_within_the_window_and_not_beyond(guard: DeleteGuard, clock: HandClock) -> None:
    for _ in range(5):
        assert guard.allows(UP, 10, 0)
        guard.spend(UP, [ONE] * 10)
        clock.pass_s(60)
    assert not guard.allows(UP, 1, 0)
    clock.pass_s(DELETE_GUARD_WINDOW_S - 5 * 60 + 1)
    assert guard.allows(UP, 10, 0)
    assert not guard.allows(UP, 11, 0)
    clock.pass_s(DELETE_GUARD_WINDOW_S)
    assert guard.spent(UP) == 0


def test_the_share_is_of_the_tree_before_the_deletions(guard: DeleteGuard) -> None:
    guard.spend(UP, [ONE] * 200)
    assert guard.allows(UP, 50, 800)
    assert not guard.allows(UP, 51, 800)


def test_directions_have_budgets_of_their_own(guard: DeleteGuard) -> None:
    guard.spend(UP, [ONE] * DELETE_GUARD_FILES)
    assert not guard.allows(UP, 1, 0)
    assert guard.allows(DOWN, DELETE_GUARD_FILES, 0)


def test_what_comes_back_is_given_back_once(guard: DeleteGuard, clock: HandClock) -> None:
    guard.spend(UP, [ONE] * 30)
    clock.pass_s(1)
    guard.spend(UP, [TWO] * 20)
    guard.give_back(UP, TWO)
    guard.give_back(DOWN, ONE)
    assert guard.spent(UP) == 49
    for _ in range(40):
        guard.give_back(UP, ONE)
    assert guard.spent(UP) == 19
    clock.pass_s(DELETE_GUARD_WINDOW_S)
    assert guard.spent(UP) == 19
    clock.pass_s(1)
    assert guard.spent(UP) == 0
    guard.give_back(UP, TWO)
    assert guard.spent(UP) == 0


def test_a_person_lifts_it_for_one_window_and_what_went_then_is_not_charged_later(guard: DeleteGuard, clock: HandClock) -> None:
    guard.confirm()
    assert guard.allows(UP, 10_000, 10_000)
    clock.pass_s(DELETE_GUARD_WINDOW_S - 1)
    guard.spend(UP, [ONE] * 10_000)
    clock.pass_s(2)
    assert guard.allows(UP, DELETE_GUARD_FILES, 0)
    assert not guard.allows(UP, DELETE_GUARD_FILES + 1, 0)


def test_a_plan_within_the_budget_is_never_charged_for_being_planned(guard: DeleteGuard) -> None:
    planned = Plan(steps=(push(Op.DELETE, 1),), deletes_up=40)
    for _ in range(100):
        steps, problem = guarded(planned, guard, lambda: 0)
        assert (steps, problem) == (list(planned.steps), None)


def test_over_the_budget_all_that_deletes_waits_and_nothing_else() -> None:
    guard = DeleteGuard(HandClock())
    kept = [
        Adopt(node=node_id(9), why=""),
        MakeFolder(node=node_id(8), why="", parent=NodeId(HOME), name="f"),
        push(Op.CREATE, 1),
        push(Op.MOVE, 2, group=2),
        Discard(node=node_id(3), why=""),
    ]
    held = [push(Op.DELETE, 4), push(Op.DELETE, 5, group=1), push(Op.MOVE, 6, group=1), push(Op.CREATE, 7, group=1)]
    planned = Plan(steps=(*kept, *held), deletes_up=51, deletes_down=1)
    steps, problem = guarded(planned, guard, lambda: 10)
    assert steps == kept
    assert problem is not None
    assert problem.blocking
    assert "51 files on the server" in problem.message
    assert "folder" not in problem.message
    guard.confirm()
    assert guarded(planned, guard, lambda: 10) == (list(planned.steps), None)


def test_downwards_folders_wait_with_their_files() -> None:
    steps = (Discard(node=node_id(1), why=""), RemoveFolder(node=node_id(2), why=""), push(Op.DELETE, 3))
    left, problem = guarded(Plan(steps=steps, deletes_up=1, deletes_down=51), DeleteGuard(HandClock()), lambda: 0)
    assert left == [steps[2]]
    assert problem is not None
    assert "51 files in this folder" in problem.message


def test_files_are_counted_only_for_plans_that_delete() -> None:
    def count() -> int:
        raise AssertionError("counted for nothing")

    assert guarded(Plan(steps=(push(Op.CREATE, 1),)), DeleteGuard(HandClock()), count)[1] is None


def test_a_folder_with_nothing_left_in_it_asks_though_it_was_small() -> None:
    planned = Plan(steps=(push(Op.DELETE, 1), push(Op.CREATE, 2)), deletes_up=DELETE_GUARD_ALL)
    guard = DeleteGuard(HandClock())
    assert guarded(planned, guard, lambda: DELETE_GUARD_ALL)[1] is None
    steps, problem = guarded(planned, guard, lambda: DELETE_GUARD_ALL, is_empty=True)
    assert steps == [planned.steps[1]]
    assert problem is not None
    assert problem.blocking
    few = Plan(steps=planned.steps, deletes_up=DELETE_GUARD_ALL - 1)
    assert guarded(few, guard, lambda: 9, is_empty=True)[1] is None, "a handful of files is nobody's whole work"
    guard.confirm()
    assert guarded(planned, guard, lambda: 10, is_empty=True)[1] is None
