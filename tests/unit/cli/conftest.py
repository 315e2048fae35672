"""The command line in this process, on a home of its own, beside a fake engine that answers on the real control socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from syncline.app.control import ControlServer
from syncline.app.home import Credentials, Home, Link
from syncline.cli import outcome
from syncline.cli.main import syncline
from syncline.client.status import NamespaceStatus, Problem, State, Status
from syncline.model.errors import ConflictNotFound
from syncline.model.ids import DeviceId, NamespaceId, UserId

ULIDS = [f"01J0000000000000000000000{digit}" for digit in "0123"]


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SYNCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SYNCLINE_DEBUG", raising=False)
    return Home.from_environment()


@pytest.fixture
def signed_in(home: Home) -> Home:
    home.save_credentials(
        Credentials(
            server="http://127.0.0.1:9",
            server_id=ULIDS[0],
            email="a@example.org",
            user_id=UserId(ULIDS[1]),
            device_id=DeviceId(ULIDS[2]),
            device_name="laptop",
            root_namespace=NamespaceId(ULIDS[3]),
            refresh_token="secret",
        )
    )
    return home


@pytest.fixture
def linked(signed_in: Home, tmp_path: Path) -> Home:
    folder = tmp_path / "folder"
    (folder / ".syncline").mkdir(parents=True)
    (folder / ".syncline" / "root-id").write_text(f"{ULIDS[0]}\n")
    signed_in.save_link(Link(folder=str(folder), remote="/", root_id=ULIDS[0]))
    return signed_in


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = outcome.of(lambda: syncline.main(args=list(arguments), prog_name="syncline", standalone_mode=False))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(int(code), said.out, said.err)

    yield call
    structlog.reset_defaults()  # A command that ran an engine logs to an output that is gone now.


@dataclass
class FakeEngine:
    status: Status
    in_sync: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    plan: dict[str, Any] = field(
        default_factory=lambda: {
            "steps": [{"action": "upload", "path": "a.txt", "why": "create/none", "target": None}],
            "total": 3,
        }
    )
    conflicts: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: dict[str, Any]) -> Any:
        self.asked.append(request)
        op = request["op"]
        if op == "wait":
            return {"in_sync": self.in_sync, "status": self.status}
        if op == "plan":
            return self.plan
        if op == "conflicts":
            return {"conflicts": self.conflicts, "total": len(self.conflicts)}
        if op == "resolve":
            if request["path"] == "nothing":
                raise ConflictNotFound(path=request["path"])
            return {"path": request["path"], "copy": "copy", "kept": request["keep"]}
        if op == "log":
            return {"lines": [{"time": "2026-11-21T07:00:00.000Z", "event": "uploaded", "path": "a.txt", "detail": ""}]}
        return self.status


@pytest.fixture
def engine(linked: Home) -> Iterator[FakeEngine]:
    space = NamespaceStatus(id=NamespaceId(ULIDS[3]), name="", sequence=7, root="ab" * 32, verified_at="2026-11-21T07:00:00Z")
    made = FakeEngine(Status(state=State.IN_SYNC, folder="/f", server="http://s", device="laptop", namespaces=[space]))
    loop = asyncio.new_event_loop()
    ops = ("status", "wait", "pause", "resume", "refresh", "plan", "conflicts", "resolve", "configure", "log", "stop")
    server = ControlServer(dict.fromkeys(ops, made.answer))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(linked.control_socket), loop).result(5)
    yield made
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def problem() -> Problem:
    return Problem(code="delete.guard", path="", message="90 files would be deleted.", blocking=True)
