"""Which commit is run."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit_hash() -> str:
    """The commit, and whether there are changes on top."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return told.stdout.strip() or "unknown"
