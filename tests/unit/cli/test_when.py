"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncline.cli.when import parsed

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [
        ("2h", 7200),
        ("2h ago", 7200),
        ("30 min ago", 1800),
        ("1.5 hours", 5400),
        ("3d", 259_200),
        ("1 week ago", 604_800),
        ("now", 0),
    ],
)
def test_how_long_ago(text: str, ago_s: float) -> None:
    assert parsed(text, NOW) == NOW - timedelta(seconds=ago_s)


def test_instants_and_dates() -> None:
    assert parsed("2026-05-01T10:00:00Z", NOW) == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert parsed("2026-05-01T10:00:00+02:00", NOW) == datetime(2026, 5, 1, 8, tzinfo=UTC)
    for text in ("2026-05-01", "2026-05-01 10:00"):
        assert parsed(text, NOW) == datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize("text", ["", "yesterdayish", "2h later", "5 parsecs ago", "2026-13-01", "-2h"])
def test_what_is_no_time(text: str) -> None:
    assert parsed(text, NOW) is None
