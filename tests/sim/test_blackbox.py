"""A slice of `tests.sim.blackbox` and `tests.sim.kills`, and their own parts put to the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.blackbox import TAPES, Box, load
from tests.sim.model import Act, Model
from tests.sim.script import Step, draw

ONE, TWO = "1" * 64, "2" * 64


@pytest.mark.timeout(240)
def test_two_scripts_on_three_devices(tmp_path: Path) -> None:
    with Box(tmp_path) as box:
        for seed in (7, 9):
            box.play(draw(seed, epochs=2))
            box.clear()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("tape", sorted(TAPES.glob("*.json")), ids=lambda tape: tape.stem)
def test_what_failed_once_fails_no_more(tmp_path: Path, tape: Path) -> None:
    with Box(tmp_path) as box:
        for steps in load(tape):
            box.play(steps)
            box.clear()


def test_a_seed_gives_the_same_script_every_time() -> None:
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_a_script_reads_as_what_it_does() -> None:
    assert str(Step("move", "A", "a/b", "c", rest_s=0.1)) == "A.move a/b → c; rest 0.1 s"


def file(sha: str) -> tuple[str, str, bool]:
    return ("file", sha, False)


def test_a_lost_content_is_noticed() -> None:
    model = Model()
    model.act(Act("A", "write", "a", content=ONE))
    with pytest.raises(AssertionError, match="are not live"):
        model.settled({})


def test_a_content_that_rose_again_is_noticed() -> None:
    model = Model(tree={"a": file(ONE), "b": file(TWO)})
    model.act(Act("A", "delete", "a", touched=frozenset((ONE,)), displaced=frozenset((ONE,))))
    with pytest.raises(AssertionError, match="touched by no other"):
        model.settled({"a": file(ONE), "b": file(TWO)})


def test_a_deleted_content_that_another_device_moved_may_live() -> None:
    model = Model(tree={"a": file(ONE)})
    model.act(Act("A", "delete", "a", touched=frozenset((ONE,)), displaced=frozenset((ONE,))))
    model.act(Act("B", "move", "a", "b", touched=frozenset((ONE,))))
    model.settled({"b": file(ONE)})


def test_a_conflict_copy_without_a_conflict_is_noticed() -> None:
    model = Model()
    model.act(Act("A", "write", "a", content=ONE))
    model.act(Act("B", "write", "b", content=TWO))
    with pytest.raises(AssertionError, match="0 pairs"):
        model.settled({"a": file(ONE), "b (B's conflicted copy 2026-01-01)": file(TWO)})


def test_a_conflict_copy_for_a_conflict_is_right() -> None:
    model = Model()
    model.act(Act("A", "write", "a", content=ONE))
    model.act(Act("B", "write", "a", content=TWO))
    model.settled({"a": file(ONE), "a (B's conflicted copy 2026-01-01)": file(TWO)})
    assert model.acts == []


def test_a_folder_that_went_missing_is_noticed_where_nothing_touches() -> None:
    model = Model(tree={"d": ("dir", None, False), "d/a": file(ONE)})
    model.act(Act("A", "move", "d/a", "e/a", made=("e",), touched=frozenset((ONE,))))
    model.act(Act("B", "mkdir", "f", made=("f",)))
    with pytest.raises(AssertionError, match="paths that touch, yet"):
        model.settled({"e": ("dir", None, False), "e/a": file(ONE), "f": ("dir", None, False)})
