"""Barriers: who waits is answered by a scan and a look that both began after the asking, and never kept waiting for nothing."""

from __future__ import annotations

import itertools

from syncline.client.barriers import Barrier, Barriers


def answered(barrier: Barrier) -> bool | None:
    return barrier.settled.result() if barrier.settled.done() else None


async def test_a_barrier_needs_a_scan_and_a_look_of_its_own() -> None:
    for scanned, looked in itertools.product((False, True), repeat=2):
        barriers = Barriers()
        barrier = barriers.add()
        barrier.scanned, barrier.looked = scanned, looked
        barriers.answer(settled=True, in_sync=True, stuck=False, blocked=False)
        assert answered(barrier) is (True if scanned and looked else None)


async def test_who_comes_during_a_scan_waits_for_the_next() -> None:
    barriers = Barriers()
    early = barriers.add()
    began = barriers.waiting()
    late = barriers.add()
    for barrier in began:
        barrier.scanned = barrier.looked = True
    barriers.answer(settled=True, in_sync=True, stuck=False, blocked=False)
    assert (answered(early), answered(late)) == (True, None)
    assert barriers.waiting() == [late]


async def test_settled_with_problems_is_not_in_sync() -> None:
    barriers = Barriers()
    barrier = barriers.add()
    barrier.scanned = barrier.looked = True
    barriers.answer(settled=True, in_sync=False, stuck=False, blocked=False)
    assert answered(barrier) is False


async def test_stuck_speaks_only_for_those_who_were_looked_for_and_blocked_for_all() -> None:
    barriers = Barriers()
    checked, fresh = barriers.add(), barriers.add()
    checked.scanned = checked.looked = True
    barriers.answer(settled=False, in_sync=False, stuck=True, blocked=False)
    assert (answered(checked), answered(fresh)) == (False, None)
    barriers.answer(settled=False, in_sync=False, stuck=False, blocked=True)
    assert answered(fresh) is False


async def test_who_gave_up_is_forgotten_and_the_end_answers_the_rest() -> None:
    barriers = Barriers()
    impatient, patient = barriers.add(), barriers.add()
    impatient.settled.cancel()
    barriers.answer(settled=False, in_sync=False, stuck=False, blocked=False)
    barriers.drop(impatient)
    barriers.drop(impatient)
    barriers.close()
    assert answered(patient) is False
    assert barriers.waiting() == []


async def test_a_cancelled_wait_does_not_break_the_answer() -> None:
    barriers = Barriers()
    gone, here = barriers.add(), barriers.add()
    gone.settled.cancel()
    here.scanned = here.looked = gone.scanned = gone.looked = True
    barriers.answer(settled=True, in_sync=True, stuck=False, blocked=False)
    assert answered(here) is True


async def test_being_offline_answers_those_alone_whose_own_look_was_tried() -> None:
    barriers = Barriers()
    early, late = barriers.add(), barriers.add()
    early.tried = True
    barriers.answer(settled=False, in_sync=False, stuck=False, blocked=False, offline=True)
    assert early.settled.result() is False
    assert not late.settled.done(), "the server may be back by now: its look comes first"
