"""Every code a check can tell stands in the page that says what to do about it, and no code stands there that nothing tells."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SHORT = "new|gone|changed|unsent|unfetched|unagreed|unreadable"
_CODE = re.compile(rf"\b(?:check|verify)\.[a-z]+(?:_[a-z]+)+\b|\bverify\.(?:{_SHORT})\b")


def test_codes_of_checks_are_documented() -> None:
    told = {code for path in (ROOT / "src").rglob("*.py") for code in re.findall(rf'"({_CODE.pattern})"', path.read_text())}
    documented = set(_CODE.findall((ROOT / "docs" / "status-and-problems.md").read_text()))
    assert len(told) > 40
    assert told == documented
