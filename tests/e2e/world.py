"""A world of real processes: one server, some devices, driven through the command line alone.

Everything lives in one temporary folder; every process is a child of this one and ends with the world.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syncline.adapters.failpoints import VARIABLE

EMAIL, PASSWORD = "ada@example.org", "correct horse battery staple"
READY = re.compile(r"listening on (http://\S+)")
COMMAND_S = 60.0


class Server:
    """`syncline serve` on one data folder, at one port for its whole life."""

    def __init__(self, root: Path) -> None:
        self.data = root / "server"
        self.offset_s = 0
        """How far its clock is off, from the next start on."""
        self.log = root / "server.log"
        self.more: tuple[str, ...] = ()
        """Further arguments of `serve`."""
        self._listen = "127.0.0.1:0"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, failpoint: str = "") -> None:
        """Done when it listens. `failpoint` as `syncline.adapters.failpoints` has it."""
        with self.log.open("ab") as log:
            at = log.tell()
            self._process = subprocess.Popen(
                [*SYNCLINE, "serve", "--data", str(self.data), "--listen", self._listen, *self.more],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment(None, failpoint) | off_by(self.offset_s),
            )

        def ready() -> bool:
            said = self.log.read_bytes()[at:].decode(errors="replace")
            if found := READY.search(said):
                self.url = found[1]
                return True
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended at once: {said[-2000:]}"
            return False

        eventually(ready, 30, "the server listens")
        self._listen = self.url.removeprefix("http://")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code of a server that is no more (negative: the signal)."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def add_user(self, email: str = EMAIL, password: str = PASSWORD) -> None:
        run(["admin", "user", "add", email, "--password-stdin", "--data", str(self.data)], input_text=password + "\n")


class Device:
    """One home and one folder."""

    def __init__(self, root: Path, name: str, server: Server) -> None:
        self.name = name
        self.home = root / f"home-{name}"
        self.folder = root / f"folder-{name}"
        self.folder.mkdir(exist_ok=True)
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self.offset_s = 0
        """How far its clock is off, from the next start on."""
        self.obeys_modes = False
        """Even as root the daemon may not read what file modes forbid."""

    def run(self, *arguments: str, input_text: str = "", good: tuple[int, ...] = (0,), cap_s: float = COMMAND_S) -> str:
        return run(list(arguments), input_text=input_text, good=good, home=self.home, cap_s=cap_s)

    def json(self, *arguments: str, good: tuple[int, ...] = (0,)) -> Any:
        return json.loads(self.run(*arguments, "--json", good=good))

    def set_up(self, email: str = EMAIL) -> None:
        self.run(
            "login", self._server.url, "--email", email, "--password-stdin", "--device-name", self.name, input_text=PASSWORD + "\n"
        )
        self.run("link", str(self.folder))

    def start(self, failpoint: str = "") -> None:
        """The daemon as our own child, so that it can be killed and reaped. Does not wait for one that is to end by itself."""
        with (self.home / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "syncline.app.daemon"],
                env=environment(self.home, failpoint) | off_by(self.offset_s),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=obey_modes if self.obeys_modes else None,
            )

        def up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"the daemon of {self.name} ended: {self.log_tail()}"
            with contextlib.suppress(AssertionError):
                self.run("status")
                return True
            return False

        if not failpoint:
            eventually(up, 30, f"the daemon of {self.name} answers", every_s=0.1)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code of a daemon that is no more (negative: the signal)."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def freeze(self, frozen: bool) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def status(self) -> Any:
        return self.json("status", good=(0, 1, 3, 4))

    def wait(self, timeout_s: float = 60) -> None:
        self.run("wait", "--timeout", str(int(timeout_s)), cap_s=timeout_s + 20)

    def problem_codes(self) -> set[str]:
        return {problem["code"] for problem in self.status()["problems"]}

    def log_tail(self) -> str:
        return (self.home / "daemon.log").read_text(errors="replace")[-3000:]


class World:
    def __init__(self, root: Path, devices: tuple[str, ...] = ("A", "B")) -> None:
        self.root = root
        self.server = Server(root)
        self.devices = [Device(root, name, self.server) for name in devices]

    def __enter__(self) -> World:
        try:
            self.server.start()
            self.server.add_user()
            for device in self.devices:
                device.set_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for device in self.devices:
            if device.running:
                device.kill()
        with contextlib.suppress(AssertionError):
            self.server.kill()

    def settle(self, timeout_s: float = 90) -> None:
        """Every device in sync with the server at one time: two rounds, since the second device's answer may concern the first."""
        deadline = time.monotonic() + timeout_s
        while True:
            for device in self.devices:
                device.wait(max(1.0, deadline - time.monotonic()))
            heads = {device.name: device.status()["namespaces"][0]["sequence"] for device in self.devices}
            if len(set(heads.values())) == 1:
                return
            assert time.monotonic() < deadline, f"the devices do not meet: {heads}"

    def assert_equal(self) -> None:
        first, *others = self.devices
        truth = tree(first.folder)
        for other in others:
            assert tree(other.folder) == truth, difference(truth, tree(other.folder))
        for device in self.devices:
            assert not strays(device.folder), f"temporary files are visible on {device.name}: {strays(device.folder)}"


SYNCLINE = (sys.executable, "-m", "syncline.cli.main")


def environment(home: Path | None, failpoint: str = "") -> dict[str, str]:
    passed = ("PATH", "TMPDIR", "LANG", "HOME", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    return kept | ({"SYNCLINE_HOME": str(home)} if home is not None else {}) | ({VARIABLE: failpoint} if failpoint else {})


def off_by(seconds: int) -> dict[str, str]:
    return {"SYNCLINE_CLOCK_OFFSET_S": str(seconds)} if seconds else {}


def run(
    arguments: list[str],
    *,
    input_text: str = "",
    good: tuple[int, ...] = (0,),
    home: Path | None = None,
    cap_s: float = COMMAND_S,
    errors: bool = False,
) -> str:
    """What a command says on standard output, or with `errors` on standard error."""
    done = subprocess.run(
        [*SYNCLINE, *arguments], input=input_text, capture_output=True, text=True, env=environment(home), timeout=cap_s, check=False
    )
    said = f"syncline {' '.join(arguments)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode in good, said
    assert "Traceback" not in done.stderr, said
    return done.stderr if errors else done.stdout


def eventually(look: Callable[[], bool], cap_s: float, what: str, every_s: float = 0.02) -> None:
    deadline = time.monotonic() + cap_s
    while not look():
        assert time.monotonic() < deadline, f"not within {cap_s} s: {what}"
        time.sleep(every_s)


Tree = dict[str, tuple[str, str | None, bool]]


def tree(root: Path) -> Tree:
    """Every path below a folder but Syncline's own: kind, SHA-256, executable bit; empty folders too."""
    found: Tree = {}
    for path in _walk(root):
        relative = str(path.relative_to(root))
        if path.is_symlink():
            continue
        if path.is_dir():
            found[relative] = ("dir", None, False)
        else:
            found[relative] = ("file", hashlib.sha256(path.read_bytes()).hexdigest(), bool(path.stat().st_mode & 0o100))
    return found


def contents(root: Path) -> set[str]:
    """The hashes of every file below a folder, Syncline's own trash included: where no byte may be missing from."""
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def strays(root: Path) -> list[str]:
    return [str(path) for path in _walk(root) if path.name.endswith((".part", ".tmp")) or path.name.startswith(".syncline")]


def difference(one: Tree, other: Tree) -> str:
    lines = [f"{path}: {one.get(path)} ≠ {other.get(path)}" for path in sorted({*one, *other}) if one.get(path) != other.get(path)]
    return "\n".join(lines[:20])


def _walk(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        place = Path(folder)
        if place == root and ".syncline" in names:
            names.remove(".syncline")
        for name in (*names, *files):
            yield place / name


def obey_modes() -> None:
    """In a child before its program: root loses the right to read what modes forbid (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def copy_folder(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
