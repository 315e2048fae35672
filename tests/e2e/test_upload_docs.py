"""The examples of `docs/uploads.md` do what the page says, with curl and jq alone."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.world import EMAIL, PASSWORD, World, eventually

PAGE = Path(__file__).resolve().parents[2] / "docs" / "uploads.md"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_the_examples_upload_a_file_of_several_parts(tmp_path: Path) -> None:
    content = os.urandom((8 << 20) + 12345)
    (work := tmp_path / "work").mkdir()
    (work / "report.pdf").write_bytes(content)
    script = "set -eu\n" + "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    with World(tmp_path, devices=("A",)) as world:
        told = os.environ | {"SERVER": world.server.url, "EMAIL": EMAIL, "PASSWORD": PASSWORD}
        done = subprocess.run(["bash", "-c", script], cwd=work, env=told, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert '"revision":1' in done.stdout, done.stdout
        assert "done 0 runs missing" in done.stdout, done.stdout
        (device,) = world.devices
        got = tmp_path / "got.pdf"

        def settled() -> bool:
            return device.json("ls", "/work")[0]["content_hash"] is not None

        eventually(settled, 30, "the file is taken in", every_s=0.2)
        device.run("get", "/work/report.pdf", str(got))
        assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(content).digest()
