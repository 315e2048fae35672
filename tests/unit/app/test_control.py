"""The control socket answers its own user alone, one line each, and lets nobody wait for a caller who has gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncline.app.control import ControlClient, ControlServer, handlers_for, may_speak, peer_uid
from syncline.app.home import DaemonNotRunning
from syncline.client.inbox import Conflicted
from syncline.client.resolve import Keep, Resolved
from syncline.client.status import Planned, PlannedStep, State, Status
from syncline.model.errors import ConflictNotFound, InvalidRequest, NeedsDecision, Unavailable
from syncline.model.limits import CONTROL_REQUEST_MAX_BYTES, PLAN_SHOWN_MAX


class FakeEngine:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.synced = asyncio.Event()

    def status(self) -> Status:
        return Status(state=State.SYNCING, folder="/f", server="http://s", device="d")

    async def wait(self, timeout_s: float | None) -> bool:
        try:
            await asyncio.wait_for(self.synced.wait(), timeout_s)
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self.said.append("wait cancelled")
            raise
        return True

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self, *, confirm_deletes: bool = False) -> None:
        if not confirm_deletes:
            raise NeedsDecision(message="Look first.")
        self.said.append("confirmed")

    async def refresh(self) -> None:
        self.said.append("refresh")

    def stop(self) -> None:
        self.said.append("stop")

    async def plan(self) -> Planned:
        return Planned(steps=[PlannedStep(action="upload", path=f"{n}", why="create/none") for n in range(5)])

    async def conflicts(self) -> list[Conflicted]:
        return []

    async def resolve(self, path: str, keep: Keep) -> Resolved:
        if path == "missing":
            raise ConflictNotFound(path=path)
        return Resolved(path=path, copy=f"{path} copy", kept=keep)

    def configure(self) -> None:
        self.said.append("configure")

    async def verify(self, *, deep: bool, only: Sequence[str]) -> Any:
        return {"deep": deep, "only": list(only)}

    def verify_progress(self) -> Any:
        return {"files": 1}

    def log(self, limit: int) -> list[Any]:
        return [{"time": "t", "event": "e", "path": "p", "detail": "d"}] * min(limit, 3)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[FakeEngine, Path]]:
    engine = FakeEngine()
    server = ControlServer(handlers_for(engine))
    path = tmp_path / "home" / "control.sock"
    await server.start(path)
    yield engine, path
    await server.close()
    assert not path.exists()


async def ask(path: Path, op: str, /, **fields: Any) -> Any:
    return await asyncio.to_thread(ControlClient(path).ask, op, **fields)


async def test_every_op_answers(served: tuple[FakeEngine, Path]) -> None:
    engine, path = served
    assert (await ask(path, "status"))["state"] == "syncing"
    assert await ask(path, "wait", timeout=0.01) == {"in_sync": False, "status": await ask(path, "status")}
    assert len((await ask(path, "plan", limit=2))["steps"]) == 2
    assert (await ask(path, "plan"))["total"] == 5
    assert len((await ask(path, "log", limit=2))["lines"]) == 2
    assert await ask(path, "verify", deep=True, paths=["a/b"]) == {"deep": True, "only": ["a/b"]}
    assert await ask(path, "verify") == {"deep": False, "only": []}
    assert await ask(path, "verify_progress") == {"files": 1}
    for op in ("pause", "refresh", "stop"):
        await ask(path, op)
    await ask(path, "resume", confirm_deletes=True)
    assert engine.said == ["pause", "refresh", "stop", "confirmed"]


async def test_conflicts_are_listed_and_resolved(served: tuple[FakeEngine, Path]) -> None:
    engine, path = served
    assert await ask(path, "conflicts") == {"conflicts": [], "total": 0}
    assert await ask(path, "resolve", path="a", keep="theirs") == {"path": "a", "copy": "a copy", "kept": "theirs"}
    with pytest.raises(ConflictNotFound, match="missing"):
        await ask(path, "resolve", path="missing", keep="both")
    for fields in ({"path": "a"}, {"path": 1, "keep": "ours"}, {"path": "a", "keep": "mine"}):
        with pytest.raises(InvalidRequest):
            await ask(path, "resolve", **fields)
    await ask(path, "configure")
    assert engine.said == ["configure"]


async def test_errors_cross_as_what_they_are(served: tuple[FakeEngine, Path]) -> None:
    _, path = served
    with pytest.raises(NeedsDecision, match="Look first"):
        await ask(path, "resume")
    for op, fields in (
        ("nothing", {}),
        ("wait", {"timeout": "x"}),
        ("plan", {"limit": 0}),
        ("log", {"limit": PLAN_SHOWN_MAX + 1}),
        ("verify", {"paths": "a"}),
        ("verify", {"paths": [1]}),
    ):
        with pytest.raises(InvalidRequest):
            await ask(path, op, **fields)


async def test_socket_and_its_folder_are_private(served: tuple[FakeEngine, Path]) -> None:
    _, path = served
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_a_foreign_user_is_hung_up_on_even_where_modes_let_him_in() -> None:
    ask_and_print = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'{}\\n'); print(s.recv(99))"
    )
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    server = ControlServer(handlers_for(FakeEngine()))
    path = folder / "control.sock"
    try:
        await server.start(path)
        folder.chmod(0o755)
        path.chmod(0o666)
        stranger = await asyncio.create_subprocess_exec(
            "/usr/bin/env",
            "python3",
            "-c",
            ask_and_print,
            path,
            user=65534,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        said, complained = await stranger.communicate()
        assert said == b"\n" or b"ConnectionResetError" in complained or b"BrokenPipeError" in complained, (said, complained)
    finally:
        await server.close()
        shutil.rmtree(folder)


def test_who_may_speak() -> None:
    assert may_speak(1000, 1000)
    assert may_speak(0, 1000)
    assert may_speak(None, 1000)
    assert not may_speak(1001, 1000)
    assert not may_speak(1001, 0)
    one, other = socket.socketpair()
    with one, other:
        assert peer_uid(one) in (os.getuid(), None)


async def test_lines_are_bounded_and_must_be_objects(served: tuple[FakeEngine, Path]) -> None:
    _, path = served
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'[1]\n{"op": "status"}\n')
    assert json.loads(await reader.readline())["problem"]["code"] == "request.invalid"
    assert json.loads(await reader.readline())["ok"]
    writer.write(b"x" * (2 * CONTROL_REQUEST_MAX_BYTES))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert (await ask(path, "status"))["state"] == "syncing"


async def test_a_caller_who_hangs_up_ends_the_wait(served: tuple[FakeEngine, Path]) -> None:
    engine, path = served
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"op": "wait"}\n')
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    async with asyncio.timeout(5):
        while "wait cancelled" not in engine.said:
            await asyncio.sleep(0.01)


async def test_a_dead_socket_is_replaced_and_says_not_running(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(DaemonNotRunning):
        ControlClient(path).ask("status")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pytest.raises(DaemonNotRunning):
        ControlClient(path).ask("status")
    server = ControlServer(handlers_for(FakeEngine()))
    await server.start(path)
    assert await asyncio.to_thread(ControlClient(path).is_up)
    await server.close()


def test_an_engine_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(Unavailable):
            ControlClient(path).ask("status", patience_s=0.05)
