"""`syncline serve` and `syncline admin` as processes: the ready line, signals, the lock, exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

pytestmark = pytest.mark.real
SYNCLINE = (sys.executable, "-m", "syncline.cli.main")


class Process:
    """A server started from the command line."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, data: Path) -> None:
        self.process = process
        self.url = url
        self.data = data

    async def ended(self) -> tuple[int, bytes]:
        """Exit code, and what else it printed."""
        assert self.process.stdout is not None
        rest = await asyncio.wait_for(self.process.stdout.read(), 15)
        return await self.process.wait(), rest


async def _start(data: Path, *more: str) -> Process:
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *SYNCLINE, "serve", "--data", str(data), "--listen", "127.0.0.1:0", *more, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 15)).decode()
    assert line.startswith("listening on http://127.0.0.1:"), line
    return Process(process, line.split()[-1], data)


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Process]:
    server = await _start(tmp_path / "data")
    yield server
    if server.process.returncode is None:
        server.process.kill()
    await server.ended()


def _admin(data: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = (*SYNCLINE, "admin", "user", *arguments, "--data", str(data))
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_0(started: Process, number: signal.Signals) -> None:
    async with aiohttp.ClientSession() as http, http.get(started.url + "/readyz") as answer:
        assert answer.status == 200
    began = time.monotonic()
    started.process.send_signal(number)
    assert await started.ended() == (0, b"")
    assert time.monotonic() - began < 5


async def test_a_second_server_on_the_same_data_is_refused_in_one_line(started: Process) -> None:
    command = (*SYNCLINE, "serve", "--data", str(started.data), "--listen", "127.0.0.1:0")
    second = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert "already runs" in line
    async with aiohttp.ClientSession() as http, http.get(started.url + "/healthz") as answer:
        assert answer.status == 200


async def test_a_killed_server_starts_again_with_the_same_keys(started: Process) -> None:
    async def keys(url: str) -> bytes:
        async with aiohttp.ClientSession() as http, http.get(url + "/.well-known/jwks.json") as answer:
            return await answer.read()

    before = await keys(started.url)
    started.process.kill()
    await started.process.wait()
    again = await _start(started.data)
    assert await keys(again.url) == before
    again.process.terminate()
    assert (await again.ended())[0] == 0


async def test_admin_works_beside_a_running_server(started: Process) -> None:
    added = await asyncio.to_thread(
        _admin, started.data, "add", "ann@example.org", "--name", "Ann", "--password-stdin", stdin="open sesame\n"
    )
    assert (added.returncode, added.stderr) == (0, "")
    body = {"email": "ann@example.org", "password": "open sesame", "device_name": "d"}
    async with aiohttp.ClientSession() as http:
        async with http.post(started.url + "/v1/auth/token", json=body) as answer:
            assert answer.status == 200
        changed = await asyncio.to_thread(
            _admin, started.data, "passwd", "ann@example.org", "--password-stdin", stdin="other word\n"
        )
        assert changed.returncode == 0
        async with http.post(started.url + "/v1/auth/token", json=body) as answer:
            assert answer.status == 401
        assert (await asyncio.to_thread(_admin, started.data, "disable", "ann@example.org")).returncode == 0
        async with http.post(started.url + "/v1/auth/token", json=body | {"password": "other word"}) as answer:
            assert answer.status == 401


def test_admin_lists_and_refuses_clearly(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert _admin(data, "add", "Ann@Example.org", "--quota", "5000", "--password-stdin", stdin="open sesame\n").returncode == 0
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    listed = _admin(data, "list", "--json")
    (ann,) = json.loads(listed.stdout)["users"]
    assert (ann["email"], ann["quota_bytes"], ann["disabled"]) == ("ann@example.org", 5000, False)
    assert "open sesame" not in listed.stdout + json.dumps(ann)
    for arguments, stdin, code, said in (
        (("add", "ann@example.org", "--password-stdin"), "x\n", 1, "exists already"),
        (("add", "nobody", "--password-stdin"), "x\n", 1, "not an e-mail address"),
        (("add", "bob@example.org", "--password-stdin"), "\n", 1, "empty"),
        (("add", "bob@example.org"), "", 2, "--password-stdin"),
        (("disable", "eve@example.org"), "", 1, "not found"),
        (("quota", "eve@example.org", "--none"), "", 1, "not found"),
        (("quota", "ann@example.org"), "", 2, "either BYTES or --none"),
        (("quota", "ann@example.org", "-5"), "", 2, "No such option"),
    ):
        done = _admin(data, *arguments, stdin=stdin)
        assert done.returncode == code, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_wrong_configuration_is_usage_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    for text, said in (
        ("listen = 5", "listen"),
        ("nonsense = true", "nonsense"),
        ("[", "TOML"),
        ('public_url = "ftp://x"', "public_url"),
        ('tls_key = "x"', "tls_certificate"),
    ):
        file.write_text(text)
        command = (*SYNCLINE, "serve", "--data", str(tmp_path / "data"), "--config", str(file))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    command = (*SYNCLINE, "serve", "--data", str(tmp_path / "data"), "--listen", "nowhere")
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 2


@pytest.mark.parametrize("form", ["json", "text"])
async def test_the_log_shows_neither_names_nor_secrets(tmp_path: Path, form: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'log_level = "debug"\nlog_format = "{form}"\n')
    server = await _start(tmp_path / "data", "--config", str(file))
    await asyncio.to_thread(_admin, server.data, "add", "ann@example.org", "--password-stdin", stdin="open sesame\n")
    async with aiohttp.ClientSession() as http:
        body = {"email": "ann@example.org", "password": "open sesame"}
        async with http.post(server.url + "/v1/auth/token", json=body) as answer:
            tokens = await answer.json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        for path in ("/v1/metadata?path=/secret-plan.txt", "/objects/x?signature=topsecret", "/v1/changes?cursor=topsecret"):
            async with http.get(server.url + path, headers=headers) as answer:
                assert answer.status >= 400
                request_id = answer.headers["x-request-id"]
    server.process.terminate()
    assert server.process.stderr is not None
    log = (await server.process.stderr.read()).decode()
    for secret in ("sesame", "secret-plan", "topsecret", "ann@example.org", tokens["access_token"], tokens["refresh_token"]):
        assert secret not in log
    assert (await server.ended())[0] == 0
    assert request_id in log
    assert tokens["device_id"] in log
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert {"event", "level", "timestamp"} <= lines[0].keys()
        (last,) = [line for line in lines if line.get("request_id") == request_id]
        expected = {"operation": "GET /v1/changes", "device": tokens["device_id"], "status": 400, "level": "debug"}
        assert expected.items() <= last.items()
