"""Stalls: the same plan over and over rests longer and is told; anything else forgets it."""

from __future__ import annotations

from tests.unit.client.kit import node_id

from syncline.client.plan.steps import Adopt, Forget, Step
from syncline.client.stalls import FREE, REST_CAP_S, TOLD, Stalls

PLAN: list[Step] = [Adopt(node=node_id(1), why="a")]


def test_the_same_plan_rests_longer_and_longer_and_is_told() -> None:
    stalls = Stalls()
    rests = []
    for number in range(TOLD + 1):
        stalls.see([Adopt(node=node_id(1), why=str(number))], at_once=True)
        rests.append(stalls.rest_s)
    assert rests[: FREE + 1] == [0.0] * (FREE + 1)
    assert rests == sorted(rests)
    assert rests[-1] == REST_CAP_S
    assert stalls.is_told


def test_progress_a_pause_or_nothing_to_do_forgets() -> None:
    others: tuple[tuple[list[Step], bool], ...] = (
        ([Forget(node=node_id(1), why="a")], True),
        ([Adopt(node=node_id(2), why="a")], True),
        (PLAN, False),
        ([], True),
    )
    for steps, at_once in others:
        stalls = Stalls()
        for _ in range(TOLD + 1):
            stalls.see(PLAN, at_once=True)
        stalls.see(steps, at_once=at_once)
        assert stalls.rest_s == 0.0
        assert not stalls.is_told
    idle = Stalls()
    for _ in range(TOLD + 1):
        idle.see([], at_once=True)
    assert not idle.is_told
