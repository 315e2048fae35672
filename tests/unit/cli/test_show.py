"""Facts read well, and names from elsewhere cannot steer a terminal."""

from __future__ import annotations

from syncline.cli import show


def test_sizes_and_durations() -> None:
    assert [show.size(count) for count in (0, 1023, 1024, 1536, 200 << 20, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "200 MiB",
        "5.0 TiB",
    ]
    assert [show.seconds(count) for count in (0.0004, 0.85, 4.25, 200, 7200, 400_000)] == [
        "0 ms",
        "850 ms",
        "4.2 s",
        "3 min",
        "2 h",
        "5 days",
    ]
    assert show.number(1, "file") == "1 file"
    assert show.number(2000, "copy", "copies") == "2,000 copies"


def test_control_characters_and_stray_bytes_are_shown_escaped() -> None:
    assert show.printable("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
    assert show.printable("\udcff").isascii()
    assert show.printable("é ∞ 文") == "é ∞ 文"


def test_blocking_problems_come_first() -> None:
    problems = [
        {"code": "a", "path": "x", "message": "later"},
        {"code": "b", "path": "", "message": "first", "blocking": True},
    ]
    assert show.problem_lines(problems) == ["! b: first", "- a: x: later"]
