"""Facts read well, and names from elsewhere cannot steer a terminal."""

from __future__ import annotations

import re

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


def test_status_shows_the_proof_and_what_speaks_against_it() -> None:
    space = {"name": "", "root": "ab" * 32, "sequence": 1234, "verified_at": None, "not_here": 3}
    problem = {"code": "file.unreadable", "path": "a", "message": "no"}
    moving = [{"code": "file.unquiet", "path": f"f{n}\x1b", "message": "wait"} for n in range(8)]
    status = {
        "state": "syncing",
        "folder": "/f",
        "server": "http://s",
        "device": "d",
        "pending": {"uploads": 0, "downloads": 0, "other": 0, "unquiet": 8},
        "namespaces": [space],
        "problems": [problem],
        "unproven": [problem, *moving],
        "scanned_at": None,
        "asked_at": "2020-01-01T00:00:00Z",
        "audited_at": None,
        "offline_since": "2020-01-01T00:00:00Z",
    }
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in show.status_lines(status)]
    assert "tree      /: root abababababab at sequence 1,234, verified never, 3 not on this disk" in lines
    checked = next(line for line in lines if line.startswith("checked"))
    assert re.fullmatch(r"checked   disk never, server \d+ days ago, everything against everything never", checked)
    assert any(line.startswith("offline   since 20") for line in lines)
    assert [line for line in lines if line.startswith("unproven")] == [
        *(f"unproven  file.unquiet: f{n}\\x1b: wait" for n in range(5)),
        "unproven  and 3 more reasons",
    ]
    assert lines[-2:] == ["problems  1", "  - file.unreadable: a: no"]
