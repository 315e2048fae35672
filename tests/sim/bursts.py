"""Bursts: more files at once than a watcher can tell of, and trees moved in whole. Exact convergence, no false claim in between.

`python -m tests.sim.bursts [--files 200000] [--moved 10000] [--overflow]` runs real processes (a server, two devices) and prints
one line of JSON. While files are made on A and come to B, both are asked for their status without pause.

The rule that a claim is held to: an `in_sync` of A, asked for after the creation of a node had returned, names a sequence at which
the server has that node. Every node made here is one row of the journal, so the sequence counts them. An `in_sync` of B at a
sequence means that B has fetched every file up to it; two claims about one sequence name one root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from syncline.app.control import ControlClient
from syncline.app.home import DaemonNotRunning, Home
from syncline.model.errors import Unavailable
from tests.e2e.world import Device, World, difference, eventually, tree

PER_FOLDER = 500
SETTLE_S = 3600.0
SAMPLE_EVERY_S = 0.01
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Burst:
    """What was made so far. `nodes` counts files and folders whose creation has returned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = 0
        self.folders = 0

    def make(self, files: int) -> None:
        for number in range(files):
            if number % PER_FOLDER == 0:
                place = self.folder / f"burst{number // PER_FOLDER}"
                place.mkdir()
                self.nodes += 1
                self.folders += 1
            (place / f"f{number}").write_bytes(b"content %d" % number)
            self.nodes += 1

    def make_one(self) -> None:
        (self.folder / f"blip{self.nodes}").write_bytes(b"blip %d" % self.nodes)
        self.nodes += 1

    def move_in(self, prepared: Path, files: int) -> None:
        """A whole tree in one rename, which returns when it is all there."""
        folders = 1 + -(-files // PER_FOLDER)
        prepared.rename(self.folder / "moved in")
        self.nodes += files + folders
        self.folders += folders


class Sampler:
    """Asks one device for its status, over and over, and remembers claims that are not so."""

    def __init__(self, device: Device, burst: Burst, *, makes: bool) -> None:
        self._client = ControlClient(Home(device.home).control_socket)
        self._burst = burst
        self._makes = makes
        self._name = device.name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        first = self._client.ask("status")
        self._sequence = first["namespaces"][0]["sequence"]
        self._files = first["progress"]["downloaded_files"]
        self.asked = 0
        self.slowest_s = 0.0
        self.states: dict[str, int] = {}
        self.claims: dict[int, str] = {}
        """Roots by sequence."""
        self.lies: list[str] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def ask(self) -> str:
        """Asks once, checks the answer, and gives the state."""
        made, began = self._burst.nodes, time.monotonic()
        status = self._client.ask("status", patience_s=300)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.asked += 1
        self._check(made, status)
        return str(status["state"])

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_EVERY_S):
            with contextlib.suppress(DaemonNotRunning, Unavailable):
                self.ask()

    def _check(self, made: int, status: dict[str, Any]) -> None:
        state = status["state"]
        self.states[state] = self.states.get(state, 0) + 1
        if (state == "in_sync") != (not status["unproven"]):
            self.lies.append(f"{self._name}: {state} with {status['unproven']}")
        if state != "in_sync":
            return
        space = status["namespaces"][0]
        rows = space["sequence"] - self._sequence
        if self._makes and rows < made:
            self.lies.append(f"{self._name} said in_sync with {rows} of {made} nodes on the server")
        fetched = status["progress"]["downloaded_files"] - self._files
        if not self._makes and fetched < rows - self._burst.folders:
            self.lies.append(f"{self._name} said in_sync at row {rows} with {fetched} files fetched")
        if self.claims.setdefault(space["sequence"], space["root"]) != space["root"]:
            self.lies.append(f"{self._name} named two roots for sequence {space['sequence']}")


def run(root: Path, *, files: int, moved: int, overflow: bool, blips: int) -> dict[str, Any]:
    """One run; its figures. Raises AssertionError where a promise is broken."""
    with World(root) as world:
        a, b = world.devices
        a.start()
        b.start()
        watched = [a.folder / "watched" / name for name in ("one", "two")]
        watched[0].parent.mkdir()
        for file in watched:
            file.write_bytes(b"")
        world.settle()
        burst = Burst(a.folder)
        prepared = _prepare(root / "prepared", moved)
        figures: dict[str, Any] = {"files": files, "moved": moved, "overflow": overflow, "blips": blips}
        with Sampler(a, burst, makes=True) as of_a, Sampler(b, burst, makes=False) as of_b:
            for _ in range(blips):
                eventually(lambda: of_a.ask() == "in_sync", 60, "A rests")
                burst.make_one()
                assert of_a.ask() != "in_sync", "a file was made, and the very next answer knew nothing of it"
            began = time.monotonic()
            if overflow:
                a.freeze(True)
                burst.make(files)
                _overflow_the_queue(watched)
                a.freeze(False)
            else:
                burst.make(files)
            figures["burst_s"] = round(time.monotonic() - began, 1)
            figures["sent_s"] = _until(began, lambda: a.wait(SETTLE_S))
            world.settle(SETTLE_S)
            figures["equal_s"] = round(time.monotonic() - began, 1)
            began = time.monotonic()
            burst.move_in(prepared, moved)
            a.wait(SETTLE_S)
            world.settle(SETTLE_S)
            figures["moved_equal_s"] = round(time.monotonic() - began, 1)
            eventually(lambda: a.status()["state"] == b.status()["state"] == "in_sync", 60, "both say that it is so", every_s=0.1)
        truth, other = tree(a.folder), tree(b.folder)
        nodes = burst.nodes + 1 + len(watched)
        assert len(truth) == nodes, f"{nodes} nodes were made, {len(truth)} are there"
        assert truth == other, difference(truth, other)
        for sequence in of_a.claims.keys() & of_b.claims.keys():
            assert of_a.claims[sequence] == of_b.claims[sequence], f"two roots at sequence {sequence}"
        assert not of_a.lies + of_b.lies, "\n".join((of_a.lies + of_b.lies)[:10])
        assert of_a.states["in_sync"], "it is in sync at the end, and says so"
        seen = (a.home / "daemon.log").read_text(errors="replace").count("more changed at once than the kernel could tell")
        assert seen or not overflow, "the queue did not overflow"
        figures["overflows_seen"] = seen
        figures["asked"] = {"A": of_a.asked, "B": of_b.asked}
        figures["states"] = {"A": of_a.states, "B": of_b.states}
        figures["slowest_status_s"] = round(max(of_a.slowest_s, of_b.slowest_s), 2)
        figures["peak_mib"] = {"server": _peak(world.server.pid), "A": _peak(a.pid), "B": _peak(b.pid)}
    return figures


def _overflow_the_queue(watched: list[Path]) -> None:
    """Nobody reads meanwhile: more events than the kernel's queue holds, never two equal ones in a row, which would be one."""
    for number in range(int(QUEUE.read_text()) + 1):
        os.utime(watched[number % 2])


def _prepare(place: Path, files: int) -> Path:
    for number in range(files):
        folder = place / f"part{number // PER_FOLDER}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"m{number}").write_bytes(b"moved %d" % number)
    return place


def _until(began: float, what: Any) -> float:
    what()
    return round(time.monotonic() - began, 1)


def _peak(pid: int) -> int:
    """The most memory a process ever held, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--moved", type=int, default=10_000)
    parser.add_argument("--blips", type=int, default=200, help="single files, each followed by a question at once")
    parser.add_argument("--overflow", action="store_true", help="stop the engine while files are made, so that the queue overflows")
    parser.add_argument("--at", type=Path, default=None, help="where to work (default: the temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bursts-", dir=arguments.at) as root:
        figures = run(Path(root), files=arguments.files, moved=arguments.moved, overflow=arguments.overflow, blips=arguments.blips)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
