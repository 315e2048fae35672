"""`docs/api.md` does what it says: its blocks are run in order, in one shell, with curl and jq alone, against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.server import PASSWORD, running_server

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
TOOLS = ("bash", "curl", "jq")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ENDS_S = 120

pytestmark = pytest.mark.real


def script() -> str:
    """The page's blocks, each told on standard error before it runs, so that a failure says where it was."""
    text = PAGE.read_text()
    parts = ["set -euo pipefail\n"]
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        parts.append(f"echo '== docs/api.md:{line}' >&2\n{block[1]}")
    return "\n".join(parts)


async def test_the_walk_through_works(tmp_path: Path) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the walk-through of docs/api.md was NOT run: this machine has no {', '.join(missing)}")
    async with running_server(tmp_path) as server:
        for email in ("ann@example.org", "bob@example.org"):
            await server.add_user(email)
        told = {"EMAIL": "ann@example.org", "COLLEAGUE": "bob@example.org", "PASSWORD": PASSWORD, "COLLEAGUE_PASSWORD": PASSWORD}
        work = tmp_path / "work"
        work.mkdir()
        running = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script(),
            cwd=work,
            env={"PATH": os.environ["PATH"], "HOME": str(work), "LC_ALL": "C.UTF-8", "SERVER": server.url, **told},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(ENDS_S):
            out, error = await running.communicate()
    assert running.returncode == 0, f"{out.decode()}\n{error.decode()}"


def test_the_page_has_something_to_run() -> None:
    assert len(BLOCK.findall(PAGE.read_text())) >= 20
