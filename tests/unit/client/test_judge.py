"""The judge: what a round's end amounts to, and that "in sync" is never said while anything speaks against it."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from syncline.client.judge import RoundEnd, Standing, Verdict, is_in_sync_as_of_a_look, judge, state_of, unproven
from syncline.client.status import Problem, State

WRONG = Problem(code="file.unreadable", path="a", message="no")
ASK = Problem(code="delete.guard", path="", message="?", blocking=True)
LINKS = Problem(code="skipped.special", path="", message="2 links")
DEAF = Problem(code="watcher.deaf", path="", message="limit")
MOVES = Problem(code="hints.pending", path="", message="soon")

SETTLED = Verdict(settled=True, version=7)
STUCK = Verdict(stuck=True, version=7)


def standing(verdict: Verdict = SETTLED, version: int = 7, *problems: Problem, **fields: object) -> Standing:
    return replace(Standing(verdict=verdict, version=version, problems=list(problems), moving=[]), **fields)


def test_nothing_left_and_proven_is_settled() -> None:
    assert judge(RoundEnd(), 3) == Verdict(settled=True, version=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("under_way", True),
        ("unread", True),
        ("work", True),
        ("held", True),
        ("waiting", True),
        ("heard", False),
        ("doubt", "no"),
    ],
)
def test_whatever_is_left_is_not_settled(field: str, value: object) -> None:
    assert not judge(replace(RoundEnd(), **{field: value}), 3).settled


def test_stuck_is_when_nothing_can_be_done() -> None:
    assert judge(RoundEnd(held=True), 3).stuck, "only a person can go on"
    assert judge(RoundEnd(work=True, offline=True, heard=False), 3).stuck, "only the server can go on"
    assert judge(RoundEnd(doubt="no"), 3).stuck
    assert judge(RoundEnd(work=True, stalled=True), 3).stuck, "it goes on, but nobody should wait for it"
    assert not judge(RoundEnd(work=True), 3).stuck
    assert not judge(RoundEnd(held=True, retrying=True), 3).stuck, "a next try may change everything"
    assert not judge(RoundEnd(held=True, unread=True), 3).stuck
    assert not judge(RoundEnd(held=True, under_way=True), 3).stuck
    assert not judge(RoundEnd(heard=False), 3).stuck, "the journal moved meanwhile, and is about to be read"


def test_roots_are_doubted_only_where_all_else_is_done() -> None:
    assert judge(RoundEnd(doubt="no"), 3).doubt == "no"
    for field in ("under_way", "unread", "work", "held", "waiting"):
        assert judge(replace(RoundEnd(doubt="no"), **{field: True}), 3).doubt is None, field
    assert judge(RoundEnd(doubt="no", heard=False), 3).doubt is None


def test_in_sync_needs_a_settled_verdict_on_these_very_trees_and_silence() -> None:
    assert state_of(standing()) is State.IN_SYNC
    assert state_of(standing(SETTLED, 7, LINKS)) is State.IN_SYNC
    assert state_of(standing(SETTLED, 8)) is State.SYNCING, "a tree changed since"
    assert state_of(standing(SETTLED, 7, moving=[MOVES])) is State.SYNCING
    assert state_of(standing(Verdict())) is State.SYNCING
    assert state_of(standing(SETTLED, 7, WRONG)) is State.DEGRADED
    assert state_of(standing(STUCK, 7, WRONG)) is State.DEGRADED
    assert state_of(standing(SETTLED, 7, DEAF)) is State.DEGRADED
    assert state_of(standing(SETTLED, 7, failing=True)) is State.DEGRADED


def test_the_gravest_word_wins() -> None:
    everything = {"paused": True, "offline": True, "failing": True, "moving": [MOVES]}
    assert state_of(standing(SETTLED, 7, ASK, **everything)) is State.PAUSED
    assert state_of(standing(SETTLED, 7, ASK, **everything | {"paused": False})) is State.ATTENTION
    assert state_of(standing(SETTLED, 7, WRONG, **everything | {"paused": False})) is State.OFFLINE
    assert state_of(standing(SETTLED, 7, WRONG, failing=True, moving=[MOVES])) is State.DEGRADED
    assert state_of(standing(SETTLED, 7, WRONG, moving=[MOVES])) is State.SYNCING


def test_every_other_state_has_a_reason_and_in_sync_has_none() -> None:
    verdicts = (SETTLED, STUCK, Verdict(), Verdict(stuck=True, doubt="roots", version=7))
    flags = (False, True)
    seen = set()
    for verdict, version, problem, moving, paused, offline, failing in itertools.product(
        verdicts, (7, 8), (None, WRONG, ASK, LINKS, DEAF), ([], [MOVES]), flags, flags, flags
    ):
        now = standing(
            verdict, version, *([problem] if problem else []), moving=moving, paused=paused, offline=offline, failing=failing
        )
        state = state_of(now)
        seen.add(state)
        assert (state is State.IN_SYNC) == (unproven(now, state) == [])
        if state is State.IN_SYNC:
            assert verdict.settled
            assert verdict.version == version
            assert not any((moving, paused, offline, failing))
            assert problem in (None, LINKS)
    assert seen == set(State)


def test_a_barrier_asks_for_no_more_than_its_own_look() -> None:
    assert is_in_sync_as_of_a_look(standing(SETTLED, 7, DEAF, moving=[MOVES])), "what came after the look is not its business"
    assert not is_in_sync_as_of_a_look(standing(SETTLED, 7, WRONG))
    assert not is_in_sync_as_of_a_look(standing(STUCK))
    for field in ("paused", "offline", "failing"):
        assert not is_in_sync_as_of_a_look(standing(SETTLED, 7, **{field: True}))
