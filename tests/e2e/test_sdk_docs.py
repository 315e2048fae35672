"""`docs/sdk.md` does what it says: its blocks are run in order, as one program, against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.server import PASSWORD, running_server

PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ENDS_S = 120

pytestmark = pytest.mark.real


def program() -> str:
    """The page's blocks, each on the line it has in the page, so that a traceback says where it was."""
    text = PAGE.read_text()
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        start = text.count("\n", 0, block.start()) + 1
        for number, line in enumerate(block[1].splitlines()):
            lines[start + number] = line
    return "\n".join(lines)


async def test_the_examples_work(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        for email in ("ann@example.org", "bob@example.org"):
            await server.add_user(email)
        told = {"EMAIL": "ann@example.org", "COLLEAGUE": "bob@example.org", "PASSWORD": PASSWORD, "COLLEAGUE_PASSWORD": PASSWORD}
        work = tmp_path / "work"
        work.mkdir()
        (work / "sdk.py").write_text(program())
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-X",
            "dev",
            "sdk.py",
            cwd=work,
            env=os.environ | {"SERVER": server.url, **told},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(ENDS_S):
            out, error = await running.communicate()
    assert (running.returncode, error.decode()) == (0, ""), out.decode()


async def test_the_examples_are_typed(tmp_path: Path) -> None:
    (tmp_path / "sdk.py").write_text(program())
    command = ("-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", "sdk.py")
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(ENDS_S):
        out, error = await running.communicate()
    assert running.returncode == 0, out.decode() + error.decode()


def test_the_page_has_something_to_run() -> None:
    assert len(BLOCK.findall(PAGE.read_text())) >= 9
