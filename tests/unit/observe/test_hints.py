"""Marks and quiet windows: nothing is looked at too early, and nothing waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncline.client.observe.hints import Dirt
from syncline.model.entries import Kind, Signature
from syncline.model.limits import CLOSED_QUIET_S, DIRTY_FOLDERS_MAX, DIRTY_NAMES_MAX, QUIET_CAP_S, QUIET_WINDOW_S
from syncline.ports.watcher import Hint, Hints

NOW_NS = 1_700_000_000_000_000_000
OLD = Signature(1, 2, 3, NOW_NS - 10**12, NOW_NS - 10**12)


def _quiet(
    dirt: Dirt, now_s: float, signature: Signature = OLD, *, kind: Kind = Kind.FILE, just_moved: bool = False
) -> float | None:
    return dirt.quiet_at("d", "f", kind, signature, now_s, NOW_NS, just_moved=just_moved)


def _mark(dirt: Dirt, now_s: float, **flags: bool) -> None:
    dirt.mark(Hints(seen=[Hint("d", "f", **flags)]), now_s)


def test_clean_until_marked() -> None:
    dirt = Dirt()
    assert dirt.is_clean
    assert dirt.next_due_s() is None
    _mark(dirt, 10)
    assert not dirt.is_clean
    assert dirt.next_due_s() == 10 + CLOSED_QUIET_S
    assert dirt.take(10, full=False) == {"d": {"f"}}
    assert dirt.is_clean


def test_a_burst_does_not_put_the_look_off() -> None:
    dirt = Dirt()
    for step in range(100):
        _mark(dirt, 10 + step / 100)
    assert dirt.next_due_s() == 10 + CLOSED_QUIET_S


def test_a_close_shortens_the_window_and_a_write_opens_it_again() -> None:
    dirt = Dirt()
    _mark(dirt, 10, written=True)
    assert _quiet(dirt, 10.5) == 10 + QUIET_WINDOW_S
    _mark(dirt, 10.5, closed=True)
    assert _quiet(dirt, 10.5) == 10.5 + CLOSED_QUIET_S
    _mark(dirt, 10.52, written=True)
    assert _quiet(dirt, 10.6) == 10.52 + QUIET_WINDOW_S
    assert _quiet(dirt, 11.6) is None


def test_writing_without_pause_ends_at_the_cap() -> None:
    dirt = Dirt()
    now_s = 0.0
    while now_s < QUIET_CAP_S:
        _mark(dirt, now_s, written=True)
        assert _quiet(dirt, now_s) is not None
        now_s += 0.5
    _mark(dirt, now_s, written=True)
    assert _quiet(dirt, now_s) is None


def test_a_revisit_waits_for_its_time_unless_all_is_looked_at() -> None:
    dirt = Dirt()
    dirt.revisit("d", "f", 20)
    _mark(dirt, 10)
    assert dirt.take(11, full=False) == {"d": {"f"}}
    assert dirt.next_due_s() == 20
    assert dirt.take(20, full=False) == {"d": {"f"}}
    dirt.revisit("d", "f", 30)
    assert dirt.take(21, full=True) == {}
    assert dirt.is_clean


def test_a_folder_marked_whole_stays_whole() -> None:
    dirt = Dirt()
    _mark(dirt, 1)
    dirt.mark_folder("d", 1)
    _mark(dirt, 1)
    assert dirt.take(2, full=False) == {"d": None}


def test_a_folder_that_went_away_marks_its_parent() -> None:
    dirt = Dirt()
    dirt.mark(Hints(seen=[Hint("a/b", "", folder_gone=True)]), 1)
    assert dirt.take(2, full=False) == {"a/b": None, "a": None}


def test_our_own_folder_is_never_marked() -> None:
    dirt = Dirt()
    dirt.mark(Hints(seen=[Hint(".syncline", "x"), Hint(".syncline/tmp", "y", written=True), Hint("", ".syncline")]), 1)
    assert dirt.is_clean


def test_too_much_at_once_becomes_a_full_scan() -> None:
    dirt = Dirt()
    dirt.mark(Hints(seen=[Hint("d", str(number)) for number in range(DIRTY_NAMES_MAX + 1)]), 1)
    assert dirt.take(2, full=False) == {"d": None}
    dirt.mark(Hints(seen=[Hint(str(number), "f") for number in range(DIRTY_FOLDERS_MAX + 1)]), 1)
    assert dirt.lost is not None
    assert dirt.next_due_s() == 1


def test_what_was_just_moved_waits_for_the_hint_about_its_other_half_once() -> None:
    dirt = Dirt()
    due_s = _quiet(dirt, 5, kind=Kind.DIR, just_moved=True)
    assert due_s == 5 + CLOSED_QUIET_S
    assert _quiet(dirt, due_s, kind=Kind.DIR, just_moved=True) is None


times = st.integers(-(10**13), 10**13).map(lambda age: NOW_NS - age)


@given(times, times, st.booleans(), st.sampled_from(Kind))
def test_what_rests_is_quiet_within_the_window_whatever_its_times(mtime: int, ctime: int, just_moved: bool, kind: Kind) -> None:
    """The entry is not touched any more; the clocks may be anywhere."""
    dirt, signature = Dirt(), Signature(1, 2, 3, mtime, ctime)
    now_s, started_ns = 100.0, NOW_NS
    for _ in range(5):
        now_ns = started_ns + int((now_s - 100.0) * 1e9)
        due_s = dirt.quiet_at("d", "f", kind, signature, now_s, now_ns, just_moved=just_moved)
        if due_s is None:
            break
        assert now_s < due_s <= now_s + QUIET_WINDOW_S
        now_s = due_s + 1e-6
    else:
        raise AssertionError("stuck")
    assert now_s - 100.0 <= 2 * QUIET_WINDOW_S + CLOSED_QUIET_S
    dirt.tidy("d", now_s)
