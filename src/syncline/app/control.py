"""The control socket: how the command line, and any other program of the same user, speaks with the running engine.

A local stream socket, 0600 in a 0700 folder, that serves only its own user (and root). One JSON object a line:
`{"op": "status"}` → `{"ok": true, "result": …}` or `{"ok": false, "problem": …}` (a problem document). A caller that hangs up
ends what it asked for. `ControlClient` needs the standard library and `msgspec` alone, so that commands start fast.

ops: status · wait {timeout} → {"in_sync", "status"} · pause · resume {confirm_deletes} · refresh ·
plan {limit} → {"steps", "total", "guard"} · conflicts {limit} → {"conflicts", "total"} ·
resolve {path, keep} → {"path", "copy", "kept"} · configure · log {limit} → {"lines"} ·
verify {deep, paths} → a report · verify_progress · stop.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from syncline.app.home import DaemonNotRunning, make_private
from syncline.model.errors import InvalidRequest, LimitExceeded, SynclineError, Unavailable
from syncline.model.limits import (
    CONTROL_ANSWER_MAX_BYTES,
    CONTROL_CLIENTS_MAX,
    CONTROL_REQUEST_MAX_BYTES,
    PLAN_SHOWN_MAX,
    VERIFY_PATHS_MAX,
)
from syncline.protocol.problems import from_problem, to_problem

if TYPE_CHECKING:
    import asyncio

    from syncline.client.inbox import Conflicted
    from syncline.client.resolve import Keep, Resolved
    from syncline.client.status import Planned, Status

Handler = Callable[[dict[str, Any]], Awaitable[Any]]

ASK_TIMEOUT_S = 30.0
"""Patience with any answer but that of `wait`, which says how long it may take."""


class Controlled(Protocol):
    """What the engine offers to be controlled (`app.device.Device`)."""

    def status(self) -> Status: ...

    async def wait(self, timeout_s: float | None) -> bool: ...

    def pause(self) -> None: ...

    def resume(self, *, confirm_deletes: bool = False) -> None: ...

    async def refresh(self) -> None: ...

    def stop(self) -> None: ...

    async def plan(self) -> Planned: ...

    async def conflicts(self) -> list[Conflicted]: ...

    async def resolve(self, path: str, keep: Keep) -> Resolved: ...

    def configure(self) -> None: ...

    def log(self, limit: int) -> list[Any]: ...

    async def verify(self, *, deep: bool, only: Sequence[str]) -> Any: ...

    def verify_progress(self) -> Any: ...


def handlers_for(device: Controlled) -> dict[str, Handler]:
    """The ops of this module's head, for one running device."""

    async def status(_: dict[str, Any]) -> Any:
        return device.status()

    async def wait(request: dict[str, Any]) -> Any:
        timeout = request.get("timeout")
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0):
            raise InvalidRequest(message="`timeout` is a number of seconds")
        in_sync = await device.wait(None if timeout is None else float(timeout))
        return {"in_sync": in_sync, "status": device.status()}

    async def pause(_: dict[str, Any]) -> Any:
        device.pause()
        return device.status()

    async def resume(request: dict[str, Any]) -> Any:
        device.resume(confirm_deletes=request.get("confirm_deletes") is True)
        return device.status()

    async def refresh(_: dict[str, Any]) -> Any:
        await device.refresh()
        return device.status()

    async def plan(request: dict[str, Any]) -> Any:
        planned = await device.plan()
        return {"steps": planned.steps[: _limit(request)], "total": len(planned.steps), "guard": planned.guard}

    async def conflicts(request: dict[str, Any]) -> Any:
        found = await device.conflicts()
        return {"conflicts": found[: _limit(request)], "total": len(found)}

    async def resolve(request: dict[str, Any]) -> Any:
        from syncline.client.resolve import Keep

        path, keep = request.get("path"), request.get("keep")
        if not isinstance(path, str) or keep not in tuple(Keep):
            raise InvalidRequest(message=f"`path` is a path, `keep` one of {', '.join(Keep)}")
        return await device.resolve(path, Keep(keep))

    async def configure(_: dict[str, Any]) -> Any:
        device.configure()
        return {}

    async def log(request: dict[str, Any]) -> Any:
        return {"lines": device.log(_limit(request))}

    async def verify(request: dict[str, Any]) -> Any:
        return await device.verify(deep=request.get("deep") is True, only=_paths(request))

    async def verify_progress(_: dict[str, Any]) -> Any:
        return device.verify_progress()

    async def stop(_: dict[str, Any]) -> Any:
        device.stop()
        return {"pid": os.getpid()}

    watching = (status, wait, plan, conflicts, log, verify, verify_progress)
    ops = (*watching, pause, resume, refresh, resolve, configure, stop)
    return {op.__name__: op for op in ops}


def _limit(request: dict[str, Any]) -> int:
    limit = request.get("limit", PLAN_SHOWN_MAX)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= PLAN_SHOWN_MAX:
        raise InvalidRequest(message=f"`limit` is a number from 1 to {PLAN_SHOWN_MAX}")
    return limit


def _paths(request: dict[str, Any]) -> list[str]:
    paths = request.get("paths", [])
    if not isinstance(paths, list) or len(paths) > VERIFY_PATHS_MAX or not all(isinstance(path, str) for path in paths):
        raise InvalidRequest(message=f"`paths` is a list of at most {VERIFY_PATHS_MAX} paths in the synced folder")
    return paths


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end, by the kernel's word; None where this system cannot say (the file modes guard alone there)."""
    if sys.platform != "linux":
        return None
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def may_speak(uid: int | None, own_uid: int) -> bool:
    """Whether a caller may control an engine of `own_uid`."""
    return uid is None or uid in (own_uid, 0)


class ControlServer:
    """Serves `handlers` on a socket, from `start` until `close`. Its path must be this process's alone (the home's lock)."""

    def __init__(self, handlers: Mapping[str, Handler], *, own_uid: int | None = None) -> None:
        self._handlers = handlers
        self._own_uid = os.getuid() if own_uid is None else own_uid
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._path: Path | None = None

    async def start(self, path: Path) -> None:
        """Listens at `path` (0600) when this returns; what a killed predecessor left there is removed."""
        import asyncio

        make_private(path.parent)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=str(path), limit=CONTROL_REQUEST_MAX_BYTES)
        path.chmod(0o600)
        self._path = path

    async def close(self) -> None:
        import asyncio

        if self._server is None:
            return
        self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) <= CONTROL_CLIENTS_MAX and self._admits(writer):
                await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # The caller hung up, or the server closes: nobody is left to tell.
        finally:
            self._clients.discard(task)
            writer.close()

    def _admits(self, writer: asyncio.StreamWriter) -> bool:
        end = writer.get_extra_info("socket")
        return may_speak(peer_uid(end), self._own_uid)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import asyncio

        line = await _line(reader)
        while line:
            answer = asyncio.ensure_future(self._answer(line))
            following = asyncio.ensure_future(_line(reader))
            try:
                await asyncio.wait((answer, following), return_when=asyncio.FIRST_COMPLETED)
                if following.done() and not following.result():
                    return  # Hung up while waiting: the answer is for nobody.
                writer.write(await answer)
                await writer.drain()
                line = await following
            finally:
                answer.cancel()
                following.cancel()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = _request(line)
            handler = self._handlers.get(str(request.get("op")))
            if handler is None:
                raise InvalidRequest(message=f"there is no op {request.get('op')!r}; ops: {', '.join(sorted(self._handlers))}")
            encoded = _encode({"ok": True, "result": await handler(request)})
            if len(encoded) > CONTROL_ANSWER_MAX_BYTES:
                raise LimitExceeded(what="The answer", limit=CONTROL_ANSWER_MAX_BYTES)
        except SynclineError as error:
            encoded = _encode({"ok": False, "problem": to_problem(error, "")})
        return encoded


def _encode(answer: dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(answer, enc_hook=str) + b"\n"


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        raise InvalidRequest(message="a request is one JSON object on one line") from None
    if not isinstance(request, dict):
        raise InvalidRequest(message="a request is one JSON object on one line")
    return request


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line, or b"" at the end, and where a line is longer than any request."""
    try:
        return await reader.readline()
    except ValueError:
        return b""


class ControlClient:
    """Asks the engine of one home. Blocking; one connection for each question."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_up(self) -> bool:
        """Whether an engine answers."""
        try:
            self.ask("status")
        except (DaemonNotRunning, Unavailable):
            return False
        return True

    def ask(self, op: str, *, patience_s: float | None = ASK_TIMEOUT_S, **fields: Any) -> Any:
        """The result of an op, decoded. Raises `DaemonNotRunning`, `Unavailable` (no answer in time), or the engine's error."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience_s)
            try:
                connection.connect(str(self._path))
                if not may_speak(peer_uid(connection), os.getuid()):
                    raise DaemonNotRunning
                connection.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
                answer = _read_line(connection)
            except (FileNotFoundError, ConnectionError, NotADirectoryError):
                raise DaemonNotRunning from None
            except OSError as error:
                raise Unavailable(what=f"The engine ({error.strerror or 'no answer in time'})") from error
        if answer.get("ok") is True:
            return answer.get("result")
        raise from_problem(dict(answer.get("problem") or {}))


def _read_line(connection: socket.socket) -> dict[str, Any]:
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            raise ConnectionResetError("the engine hung up")
        received += piece
        if len(received) > CONTROL_ANSWER_MAX_BYTES + 1:
            raise LimitExceeded(what="The answer", limit=CONTROL_ANSWER_MAX_BYTES)
    answer = json.loads(received)
    if not isinstance(answer, dict):
        raise InvalidRequest(message="the engine answered something else than an object")
    return answer
