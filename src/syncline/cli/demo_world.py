"""The demo's world: a server and two devices as real processes, driven by the real command line, in one temporary folder.

Nothing survives it: every process it starts is ended and the folder removed, also after Ctrl-C or a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from syncline.app.control import ControlClient
from syncline.app.home import Home
from syncline.model.errors import SynclineError
from syncline.model.paths import STATE_FOLDER

EMAIL: Final = "demo@example.org"
READY: Final = re.compile(r"listening on (http://\S+)")
COMMAND_S: Final = 110.0
START_S: Final = 30.0
SYNCLINE: Final = (sys.executable, "-m", "syncline.cli.main")


class DemoFailed(Exception):
    """The demo did not show what it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Body bytes and requests of a device since its engine started."""

    sent: int = 0
    received: int = 0
    requests: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.sent + other.sent, self.received + other.received, self.requests + other.requests)

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.sent - other.sent, self.received - other.received, self.requests - other.requests)


def command(*arguments: str, home: Path | None = None, stdin: str = "") -> str:
    """What a command printed. Raises `DemoFailed` with what it complained of."""
    environment = {**os.environ, **({"SYNCLINE_HOME": str(home)} if home else {})}
    try:
        ran = subprocess.run(
            [*SYNCLINE, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DemoFailed(f"`syncline {' '.join(arguments)}` did not end in {COMMAND_S:.0f} s") from None
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip()
        raise DemoFailed(f"`syncline {' '.join(arguments)}` ended with {ran.returncode}:\n{said}")
    return ran.stdout


class Server:
    """`syncline serve` in a process of its own."""

    def __init__(self, root: Path, password: str) -> None:
        self.data = root / "server"
        self.log = root / "server.log"
        self.password = password
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*SYNCLINE, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self._address() is not None, START_S, "the server to listen")
        self.url = self._address() or ""
        command("admin", "user", "add", EMAIL, "--password-stdin", "--data", str(self.data), stdin=f"{self.password}\n")

    def _address(self) -> str | None:
        said = self.log.read_text(errors="replace")
        found = READY.search(said)
        if found is None and self.process is not None and self.process.poll() is not None:
            raise DemoFailed(f"the server ended at once:\n{said.strip()[-2000:]}")
        return found[1] if found else None

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Device:
    """One home, one folder, one background engine."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.home = Home(root / f"home-{name}")
        self.folder = root / f"folder-{name}"
        self.pid = 0

    def run(self, *arguments: str, stdin: str = "") -> str:
        return command(*arguments, home=self.home.path, stdin=stdin)

    def set_up(self, server: Server) -> None:
        login = ("login", server.url, "--email", EMAIL, "--password-stdin", "--device-name", self.name)
        self.run(*login, stdin=f"{server.password}\n")
        self.run("link", str(self.folder))

    def start(self) -> None:
        self.pid = json.loads(self.run("start", "--json"))["pid"]

    def wait(self) -> None:
        self.run("wait", "--timeout", str(int(COMMAND_S - 10)))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))
        return found

    def traffic(self) -> Traffic:
        return _traffic(self.status())

    def traffic_now(self) -> Traffic:
        """Straight from the control socket: a process for each look would be too slow to catch an upload in the middle."""
        return _traffic(ControlClient(self.home.control_socket).ask("status"))

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not _is_engine(self.pid), START_S, "the killed engine to be gone")

    def end(self) -> None:
        """Stops the engine, whoever it is: the home's lock names it, even when `start` was interrupted."""
        with suppress(SynclineError):
            ControlClient(self.home.control_socket).ask("stop", patience_s=5.0)
        pid = _pid_in(self.home.lock_file)
        give_up = time.monotonic() + 15
        while pid and _is_engine(pid):
            if time.monotonic() > give_up:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def tree(self) -> tuple[str, int, int]:
        return tree(self.folder)


class World:
    """Use as a context. `keep` leaves the server running and its folder in place."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.root = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
        self.server = Server(self.root, os.urandom(9).hex())
        self.devices = Device(self.root, "A"), Device(self.root, "B")
        self.finished = False

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for device in self.devices:
                device.end()
            if not (self.keep and self.finished):
                self.server.stop()
                shutil.rmtree(self.root, ignore_errors=True)
        finally:
            signal.signal(signal.SIGINT, before)

    def memory_mib(self) -> dict[str, int]:
        """Peak resident memory of each process, by its name."""
        pids = {"server": self.server.process.pid if self.server.process else 0}
        pids |= {f"device {device.name}": device.pid for device in self.devices}
        return {name: _peak_mib(pid) for name, pid in pids.items()}


def tree(folder: Path) -> tuple[str, int, int]:
    """SHA-256 over every name, kind, executable bit and byte below a folder (`.syncline` left out), files, plain bytes."""
    whole, files, size = hashlib.sha256(), 0, 0
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if inside.parts[0] == STATE_FOLDER:
            continue
        whole.update(os.fsencode(inside) + b"\0")
        if path.is_dir():
            whole.update(b"dir\0")
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        found = path.stat()
        whole.update(b"x" if found.st_mode & 0o100 else b"-")
        whole.update(content)
        files, size = files + 1, size + found.st_size
    return whole.hexdigest(), files, size


def until(look: Callable[[], bool], cap_s: float, what: str, every_s: float = 0.02) -> None:
    """Returns once `look` says yes; raises `DemoFailed` when that takes longer than `cap_s`."""
    give_up = time.monotonic() + cap_s
    while not look():
        if time.monotonic() > give_up:
            raise DemoFailed(f"waited {cap_s:.0f} s for {what}")
        time.sleep(every_s)


def _traffic(status: dict[str, Any]) -> Traffic:
    found = status["traffic"]
    return Traffic(found["sent_bytes"], found["received_bytes"], found["requests"])


def _pid_in(lock: Path) -> int:
    try:
        return int(lock.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0


def _is_engine(pid: int) -> bool:
    """Whether a process is an engine that still runs; never another one that was given its number since."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"syncline.app.daemon" in words


def _peak_mib(pid: int) -> int:
    try:
        said = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", said)
    return int(found[1]) // 1024 if found else 0
