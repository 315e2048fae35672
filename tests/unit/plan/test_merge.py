"""When a merge is planned instead of a conflict copy, and that nothing else of the plan changes for it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.plan.sides import Sides

from syncline.client.plan import steps as S
from syncline.client.plan.planner import PlanContext, plan
from syncline.model.conflicts import Reason
from syncline.model.entries import Access
from syncline.model.ids import Digest, NodeId
from syncline.model.limits import MERGE_MAX_BYTES

F = NodeId("f")


def planned(sides: Sides, **options: Any) -> list[S.Step]:
    ids = iter(range(100))
    context = PlanContext(
        device="Me", today="2026-01-02", fresh_id=lambda: NodeId(f"new{next(ids)}"), **({"merge": True} | options)
    )
    return list(plan(sides.trees, context=context).steps)


def both_edited() -> Sides:
    return Sides().both("f", "root", "f", "old").here("f", "root", "f", "mine").there("f", "root", "f", "theirs", revision=2)


def test_both_edited_is_merged_if_asked() -> None:
    (step,) = planned(both_edited())
    assert isinstance(step, S.Merge)
    assert (step.node, step.parent, step.name, step.why) == (F, "root", "f", "edit/edit")
    assert (step.base, step.base_revision, step.ours, step.theirs) == ("old", 1, "mine", "theirs")
    (copy,) = planned(both_edited(), merge=False)
    assert isinstance(copy, S.Fetch)
    assert copy.aside_name is not None


def test_what_was_found_unfit_is_kept_twice_until_either_side_changes() -> None:
    unfit = {F: (Digest("mine"), Digest("theirs"))}
    (copy,) = planned(both_edited(), unmerged=unfit)
    assert isinstance(copy, S.Fetch)
    (again,) = planned(both_edited().there("f", "root", "f", "newer", revision=3), unmerged=unfit)
    assert isinstance(again, S.Merge)


@pytest.mark.parametrize("side", ["here", "there"])
def test_large_files_are_not_read_for_it(side: str) -> None:
    sides = both_edited()
    local, remote = sides.trees.local[F], sides.trees.remote[F]
    if side == "here":
        sides.trees.put_local(replace(local, signature=replace(local.signature, size=MERGE_MAX_BYTES + 1)))
    else:
        sides.trees.put_remote(replace(remote, size=MERGE_MAX_BYTES + 1))
    (copy,) = planned(sides)
    assert isinstance(copy, S.Fetch)


def test_without_a_base_there_is_nothing_to_merge() -> None:
    (copy,) = planned(Sides().here("f", "root", "f", "mine").there("f", "root", "f", "theirs"))
    assert isinstance(copy, S.Fetch)
    assert copy.aside_name is not None


def test_moved_on_both_sides_it_is_merged_at_the_servers_place() -> None:
    sides = Sides().both("d", "root", "d").both("f", "root", "f", "old")
    sides.here("f", "d", "here", "mine").there("f", "d", "there", "theirs", revision=2)
    move, merge = planned(sides)
    assert isinstance(move, S.Relocate)
    assert isinstance(merge, S.Merge)
    assert (merge.parent, merge.name) == ("d", "there")


def test_moved_here_alone_it_is_merged_where_it_is_and_the_move_goes_up() -> None:
    sides = Sides().both("d", "root", "d").both("f", "root", "f", "old")
    sides.here("f", "d", "here", "mine").there("f", "root", "f", "theirs", revision=2)
    merge, push = planned(sides)
    assert isinstance(merge, S.Merge)
    assert (merge.parent, merge.name) == ("d", "here")
    assert isinstance(push, S.Push)
    assert not push.content


def test_where_one_may_only_read_nothing_is_merged() -> None:
    sides = Sides(m=Access.READ).mount("m", "m").both("f", "m", "f", "old", namespace="m")
    sides.here("f", "m", "f", "mine").there("f", "m", "f", "theirs", namespace="m", revision=2)
    kept = [step for step in planned(sides) if isinstance(step, S.Relocate)]
    assert not [step for step in planned(sides) if isinstance(step, S.Merge)]
    assert [(step.conflict, step.beside) for step in kept] == [(Reason.KEPT_ASIDE, F)]


def test_a_conflict_rename_says_what_keeps_the_name() -> None:
    sides = Sides().there("theirs", "root", "f", "theirs").here("mine", "root", "f", "mine")
    (rename,) = (step for step in planned(sides) if isinstance(step, S.Relocate))
    assert (rename.node, rename.conflict, rename.beside) == ("mine", Reason.NAME_TAKEN, "theirs")
