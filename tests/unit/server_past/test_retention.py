"""The retention policy: which versions are kept until when, and that dropping one never shortens another's time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.app.config import load
from syncline.model.errors import InvalidRequest
from syncline.model.limits import JOURNAL_RETENTION_S
from syncline.server.past.retention import DAY_S, Made, Retention, Why, judge, over

DAY_US = DAY_S * 1_000_000
HOUR_US = DAY_US // 24
POLICY = Retention()


def made(*times: float) -> list[Made]:
    """Versions 1, 2, … at these times in days."""
    return [Made(number, int(time * DAY_US)) for number, time in enumerate(times, start=1)]


def test_the_present_version_has_no_end() -> None:
    (only,) = judge(POLICY, made(3), 1)
    assert (only.until_us, only.why) == (None, Why.PRESENT)
    assert over(POLICY, made(3), 1, 1 << 60) == []


def test_time_runs_from_when_a_newer_one_came() -> None:
    ancient, _ = judge(POLICY, made(0, 1000), 2)
    assert ancient.until_us == 1180 * DAY_US
    assert over(POLICY, made(0, 1000), 2, 1179 * DAY_US) == []
    assert over(POLICY, made(0, 1000), 2, 1181 * DAY_US) == [1]


def test_of_a_day_the_last_is_kept_longer() -> None:
    versions = made(10.1, 10.5, 10.9, 11.2)
    assert [kept.why for kept in judge(POLICY, versions, 4)] == [Why.RECENT, Why.RECENT, Why.DAILY, Why.PRESENT]
    assert over(POLICY, versions, 4, 42 * DAY_US) == [1, 2]
    assert over(POLICY, versions, 4, 200 * DAY_US) == [1, 2, 3]


def test_what_is_still_taken_in_is_kept() -> None:
    versions = [Made(1, 0, settled=False), Made(2, DAY_US)]
    assert judge(POLICY, versions, 2)[0].why is Why.SETTLING
    assert over(POLICY, versions, 2, 1 << 60) == []


@given(st.lists(st.integers(0, 60 * 24), min_size=1, max_size=20), st.integers(0, 400 * 24), st.integers(1, 30))
def test_thinning_by_and_by_drops_what_thinning_at_once_would_and_nothing_the_policy_keeps(
    hours: list[int], now_h: int, step_days: int
) -> None:
    versions = [Made(number, hour * HOUR_US) for number, hour in enumerate(sorted(hours), start=1)]
    present = versions[-1].revision
    promised = {kept.revision: kept.until_us for kept in judge(POLICY, versions, present)}
    left = list(versions)
    for now in range(0, now_h * HOUR_US, step_days * DAY_US):
        gone = over(POLICY, left, present, now)
        for revision in gone:
            until = promised[revision]
            assert until is not None
            assert until < now
        left = [one for one in left if one.revision not in gone]
        assert over(POLICY, left, present, now) == []
    assert left[-1].revision == present


@pytest.mark.parametrize(
    "wrong",
    [{"trash_days": 0}, {"versions_days": -1}, {"daily_versions_days": 40_000}, {"versions_days": 31, "daily_versions_days": 30}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match="retention"):
        Retention(**wrong).check()


def test_the_configuration_names_the_policy(tmp_path: Path) -> None:
    file = tmp_path / "syncline.toml"
    file.write_text("[retention]\ntrash_days = 7\n")
    assert load(tmp_path, None, file).retention == Retention(trash_days=7)
    assert load(tmp_path, None, None).retention == Retention()
    for wrong in ("trash_days = 0", "trash_days = 'long'", "days = 3"):
        file.write_text(f"[retention]\n{wrong}\n")
        with pytest.raises(InvalidRequest):
            load(tmp_path, None, file)


def test_the_journal_is_kept_for_the_longest_of_it() -> None:
    assert POLICY.journal_s == JOURNAL_RETENTION_S
    assert Retention(trash_days=400).journal_s == 400 * DAY_S
    assert Retention(daily_versions_days=365).journal_s == 365 * DAY_S
