"""Every code that `status` can show stands in the documents, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import syncline

SOURCE = Path(syncline.__file__).parent
DOCUMENT = Path(__file__).parents[3] / "docs/status-and-problems.md"
CODE = re.compile(r"""(?:code=|CODE: Final = |\.report\([^"]*|notes\.add\([^"]*|code, message = )"([a-z_]+(?:\.[a-z_]+)?)\"""")


def told() -> set[str]:
    """Codes of problems that the client makes itself, and of decisions that errors of the device ask for."""
    found: set[str] = set()
    for file in (SOURCE / "client").rglob("*.py"):
        found |= set(CODE.findall(file.read_text()))
    for file in (SOURCE / "app").glob("*.py"):
        found |= set(re.findall(r'code = "((?:root|daemon|device)\.[a-z_]+)"', file.read_text()))
    return found


def test_every_code_is_documented() -> None:
    text = DOCUMENT.read_text()
    codes = told()
    assert {"proof.mismatch", "watcher.deaf", "head.stale", "file.unquiet", "root.busy", "folder.kept", "name.invalid"} <= codes
    assert not [code for code in sorted(codes) if f"`{code}`" not in text and code != "daemon.running"]
