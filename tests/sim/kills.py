"""Real processes, killed with SIGKILL at every failpoint: `python -m tests.sim.kills --times 5 [--points 'files.*'] [--seed 1]`.

For each point of `syncline.adapters.failpoints`, before and after the call: a tide of changes on both sides of a synced tree, a
victim (one device, or the server) that dies at the n-th pass, a restart, and then a judgement: every disk and the server hold
exactly the tree the rules say, every byte ever written is live, in a trash or in history, nothing is left lying about. A point that
no victim died at fails the run. The last line is JSON.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from syncline.adapters import failpoints
from syncline.app.control import ControlClient
from syncline.app.home import Home
from tests.e2e.curl import Curl, raw_files
from tests.e2e.world import EMAIL, PASSWORD, SYNCLINE, Device, World, contents, environment, eventually, strays, tree
from tests.sim.judge import Judge
from tests.sim.tide import MIB, Acts, Side, Tides

NTH_MAX = 12
RUN_CAP_S = 60.0
SECOND_KILL_SHARE = 0.3
PROVE_EVERY = 25
SERIES = 100
"""Tides in one world, which grows with each: trashes and histories keep everything."""
NEEDS_GROWTH = frozenset(("remote.snapshot",))
"""Points that only a device reaches that has forgotten everything; what it does not know it cannot tell from a conflict."""
NEEDS_LEFTOVERS = {"files.open_write": "files.set_attributes:before=kill", "files.remove_file": "files.set_attributes:after:2=kill"}
"""Points that only what an earlier kill left behind leads to, and that kill."""
PLAIN = frozenset(("uploads.add", "uploads.opened", "uploads.move", "objects.create_multipart", "objects.complete_multipart"))
"""Points that only files come by which are uploaded plainly, and in parts."""
PLAIN_BYTES = 8 * MIB + 4321
DAEMON_ONLY = frozenset(("remote.poll",))


@dataclass(frozen=True)
class Spot:
    """A failpoint's name and the side of the call."""

    name: str
    after: bool

    def at(self, nth: int) -> str:
        return f"{self.name}:{'after' if self.after else 'before'}:{nth}=kill"

    @property
    def is_server(self) -> bool:
        return self.name.partition(".")[0] in failpoints.SERVER_ROOMS

    def __str__(self) -> str:
        return f"{self.name}:{'after' if self.after else 'before'}"


def spots(pattern: str = "*") -> list[Spot]:
    """Every failpoint whose name fits, before and after; the server's last."""
    return [Spot(name, after) for name in failpoints.NAMES if fnmatch.fnmatch(name, pattern) for after in (False, True)]


class Killing:
    """One world: the victim `here`, `there` and a `witness` that only receives, all linked to one account of one server."""

    def __init__(self, root: Path, seed: int) -> None:
        self.world = World(root, ("here", "there", "witness"))
        self.here, self.there, self.witness = self.world.devices
        self._chance = random.Random(f"killing {seed}")
        self._tides = Tides(*(Side(device.folder, root / f"beside-{device.name}") for device in (self.here, self.there)), seed)
        self._judge: Judge | None = None
        self.judged = 0
        self.proved = 0

    def __enter__(self) -> Killing:
        self.world.__enter__()
        try:
            self._judge = Judge(self.world.root / "home-judge", self.world.server.url, EMAIL, PASSWORD)
            for device in (self.there, self.witness):
                device.start()
            self._do(self._tides.begin()["there"])
            ask(self.there, "wait", timeout=30)
            self._sync_here()
            self.judge()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._judge is not None:
            self._judge.close()
        self.world.close()

    # -- one kill ------------------------------------------------------------------------------------------------------------------

    def kill(self, spot: Spot, nth: int) -> bool:
        """A tide with the victim killed at the `nth` pass; whether it came so far. Raises AssertionError for a broken promise."""
        self._let_delete(self.there, self.witness)
        if spot.name in PLAIN:
            return self._kill_while_uploading(spot, nth)
        return self._kill_server(spot, nth) if spot.is_server else self._kill_device(spot, nth)

    def _kill_device(self, spot: Spot, nth: int) -> bool:
        if self.here.running:
            self.here.stop()
        acts = self._tide_for(spot)
        self._do(acts["there"])
        self._settle(self.there)
        self._do(acts["here"])
        if spot.name in NEEDS_GROWTH:
            for state in self.here.home.glob("state.db*"):
                state.unlink()
        if leftover := NEEDS_LEFTOVERS.get(spot.name):
            self._die_here(leftover)
        if spot.name in DAEMON_ONLY:
            hit = self._die_as_daemon(spot.at(nth))
        else:
            hit = self._die_here(spot.at(nth))
        if hit and self._chance.random() < SECOND_KILL_SHARE:
            self._die_here(self._chance.choice(spots("files.*") + spots("store.*")).at(self._chance.randint(1, 3)))
        self._sync_here()
        self._meet()
        self.judge()
        return hit

    def _tide_for(self, spot: Spot) -> dict[str, Acts]:
        if spot.name in NEEDS_GROWTH:
            return self._tides.grow()
        if spot.name == "files.settle":
            return self._tides.grow_long(40 * MIB)
        if spot.name == "files.open_write":
            return self._tides.grow_long(3 * MIB)
        return self._tides.rise()

    def _die_here(self, failpoint: str) -> bool:
        """A run of `sync --once` that may end by the failpoint; whether it did. It ends well otherwise."""
        done = sync_once(self.here, failpoint)
        assert done.returncode in (0, -signal.SIGKILL), f"sync with {failpoint} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.returncode == -signal.SIGKILL

    def _die_as_daemon(self, failpoint: str) -> bool:
        self.here.start(failpoint)
        return self._waited(self.here)

    def _waited(self, device: Device) -> bool:
        try:
            eventually(lambda: device.ended() is not None, 10, "the daemon dies")
        except AssertionError:
            device.stop()
            return False
        assert device.ended() == -signal.SIGKILL, device.log_tail()
        return True

    def _kill_server(self, spot: Spot, nth: int) -> bool:
        server = self.world.server
        if not self.here.running:
            self.here.start()
            self._meet()
        self._let_delete(self.here)
        for device in (self.here, self.there):
            ask(device, "pause")
        server.stop()
        acts = self._tides.rise()
        for side, device in (("there", self.there), ("here", self.here)):
            self._do(acts[side])
            ask(device, "refresh")
        server.start(spot.at(nth))
        for device in (self.here, self.there):
            ask(device, "resume")
        hit = self._server_died()
        if hit:
            server.start()
        self._meet()
        self.judge()
        return hit

    def _kill_while_uploading(self, spot: Spot, nth: int) -> bool:
        """Somebody uploads a file plainly, says everything again until it is answered, and devices get it like any other."""
        server, (path, data) = self.world.server, self._tides.plain(PLAIN_BYTES)
        if not self.here.running:
            self.here.start()
            self._meet()
        server.stop()
        server.start(spot.at(nth))
        curl = Curl(server)
        done, hit = None, False
        while done is None:
            try:
                done = curl.upload(f"/{path}", data, f"key of {path}")
            except (OSError, HTTPException):
                assert not hit, f"the server was lost twice, at {spot} and later"
                eventually(lambda: server.ended() is not None, 30, f"{spot} ends the server")
                assert server.ended() == -signal.SIGKILL, server.log.read_text(errors="replace")[-2000:]
                hit = True
                server.start()
        assert done["revision"] == 1, f"{path} was completed twice: {done}"
        if not hit and (hit := self._server_died()):
            # What was left to be lost is the taking in.
            server.start()
        eventually(lambda: not raw_files(curl), 60, f"{path} is taken in")
        self._meet()
        self.judge()
        return hit

    def _server_died(self) -> bool:
        """Whether the server went before the devices were in sync with it."""
        server, deadline = self.world.server, time.monotonic() + RUN_CAP_S
        while server.ended() is None:
            synced = [ask(device, "wait", timeout=0.2)["in_sync"] for device in (self.here, self.there)]
            if all(synced):
                # It may be dying still, for what comes after the answer.
                time.sleep(0.05)
                break
            assert time.monotonic() < deadline, f"in sync neither, nor dead: {[ask(d, 'status') for d in (self.here, self.there)]}"
        assert server.ended() in (None, -signal.SIGKILL), server.log.read_text(errors="replace")[-2000:]
        return server.ended() is not None

    # -- settling and judging ------------------------------------------------------------------------------------------------------

    def _let_delete(self, *devices: Device) -> None:
        """Tides delete more than the guard allows; what lifts it holds for ten minutes."""
        for device in devices:
            ask(device, "resume", confirm_deletes=True)

    def _do(self, acts: Acts) -> None:
        for act in acts:
            act()

    def _sync_here(self) -> None:
        done = sync_once(self.here)
        assert done.returncode == 0, f"sync --once → {done.returncode}\n{done.stdout}\n{done.stderr}"

    def _settle(self, device: Device) -> dict[str, Any]:
        answer = ask(device, "wait", timeout=RUN_CAP_S)
        assert answer["in_sync"], f"{device.name} does not settle: {answer['status']}\n{device.log_tail()}"
        problems = answer["status"]["problems"]
        assert not problems, f"{device.name} has problems: {problems}"
        return dict(answer["status"])

    def _meet(self) -> None:
        """Every device in sync with the server at one sequence. A device without a daemon is synced by a command."""
        for _ in range(5):
            heads = {
                device.name: self._settle(device)["namespaces"][0]["sequence"] for device in self.world.devices if running(device)
            }
            if not running(self.here):
                done = sync_once(self.here)
                assert done.returncode == 0, f"sync --once → {done.returncode}\n{done.stdout}\n{done.stderr}"
                heads["here"] = json.loads(done.stdout)["namespaces"][0]["sequence"]
            if len(set(heads.values())) == 1:
                return
        raise AssertionError(f"the devices do not meet: {heads}")

    def judge(self) -> None:
        """Raises AssertionError where a promise is broken."""
        assert self._judge is not None
        server = self._judge.tree()
        self._tides.check(server)
        for device in self.world.devices:
            found = tree(device.folder)
            assert found == server, f"{device.name} ≠ server: {sorted(found.items() ^ server.items())[:10]}"
            assert not strays(device.folder), f"visible on {device.name}: {strays(device.folder)}"
            for place in ("tmp", "stage"):
                left = list((device.folder / ".syncline" / place).glob("*"))
                assert not left, f"left behind on {device.name}: {left}"
            spooled = list((device.home / "spool").glob("*"))
            assert not spooled, f"left in the spool of {device.name}: {spooled}"
        lost = self._tides.written - self._judge.history
        if lost:
            # What never came to the server is on a disk, in a trash at least.
            lost = lost.difference(*(contents(device.folder) for device in self.world.devices))
        assert not lost, f"{len(lost)} contents are nowhere: {sorted(lost)[:3]}"
        self.judged += 1
        if self.judged % PROVE_EVERY == 0:
            self.prove_history()

    def prove_history(self) -> None:
        """Every revision there ever was can be had from the server, to the byte."""
        assert self._judge is not None
        self.proved += self._judge.prove_history()

    def logs(self) -> str:
        said = [f"--- {device.name}\n{device.log_tail()}" for device in self.world.devices if (device.home / "daemon.log").exists()]
        return "\n".join([*said, f"--- server\n{self.world.server.log.read_text(errors='replace')[-3000:]}"])


def ask(device: Device, op: str, **fields: Any) -> Any:
    patience_s = float(fields.get("timeout", 10.0)) + 20.0
    return ControlClient(Home(device.home).control_socket).ask(op, patience_s=patience_s, **fields)


def running(device: Device) -> bool:
    return device.running


def sync_once(device: Device, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SYNCLINE, "sync", "--once", "--yes", "--json"],
        env=environment(device.home, failpoint),
        capture_output=True,
        text=True,
        timeout=RUN_CAP_S,
        check=False,
    )


# -- the run -----------------------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What a run came to."""

    kills: int = 0
    misses: int = 0
    revisions: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    unhit: list[str] = field(default_factory=list)


def campaign(chosen: list[Spot], times: int, seed: int, *, say: bool, keep: bool) -> Tally:
    """Kills `times` at every spot, each at a pass of its own choosing; a fresh world after a failure."""
    tally, chance = Tally(), random.Random(f"campaign {seed}")
    work = [(spot, count) for spot in chosen for count in range(times)]
    world_number = 0
    while work:
        root = Path(tempfile.mkdtemp(prefix="syncline-kills-"))
        failed = False
        try:
            with Killing(root, seed * 1000 + world_number) as killing:
                reach: dict[Spot, int] = {}
                while work and not failed and killing.judged < SERIES:
                    spot, count = work.pop(0)
                    failed = not _one(killing, spot, count, reach, chance, tally, say)
                if not failed:
                    killing.prove_history()
                tally.revisions += killing.proved
        finally:
            if failed and keep:
                print(f"kept: {root}", flush=True)
            else:
                shutil.rmtree(root, ignore_errors=True)
        world_number += 1
    return tally


def _one(killing: Killing, spot: Spot, count: int, reach: dict[Spot, int], chance: random.Random, tally: Tally, say: bool) -> bool:
    """One kill at `spot`: the first pass the first time, later ones at random as far as they are known to come. False after a
    failure."""
    began = time.monotonic()
    nth = 1 if count == 0 else chance.randint(1, reach.get(spot, NTH_MAX))
    try:
        while not killing.kill(spot, nth):
            tally.misses += 1
            if nth == 1:
                tally.unhit.append(str(spot))
                return True
            reach[spot] = nth = max(1, nth // 2)
    except Exception as error:
        tally.failures.append({"point": spot.at(nth), "error": f"{type(error).__name__}: {error}"})
        print(f"FAILED {spot.at(nth)}: {type(error).__name__}: {error}\n{killing.logs()}", flush=True)
        return False
    tally.kills += 1
    if say:
        print(f"{spot.at(nth)} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="kills at each point, before and after")
    parser.add_argument("--points", default="*", metavar="PATTERN", help="only points whose name fits, such as 'files.*'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    parser.add_argument("--keep", action="store_true", help="keep the world of a failure")
    options = parser.parse_args()
    chosen = spots(options.points)
    if not chosen:
        parser.error(f"no failpoint is called {options.points}; there are {', '.join(failpoints.NAMES)}")
    began = time.monotonic()
    tally = campaign(chosen, options.times, options.seed, say=not options.json, keep=options.keep)
    seconds = time.monotonic() - began
    line = {
        "layer": "L4",
        "points": len(chosen),
        "kills": tally.kills,
        "misses": tally.misses,
        "revisions_proved": tally.revisions,
        "failures": tally.failures,
        "unhit": sorted(set(tally.unhit)),
        "seconds": round(seconds, 1),
        "seconds_per_kill": round(seconds / max(1, tally.kills), 2),
        "seed": options.seed,
        "commit": commit(),
    }
    print(json.dumps(line), flush=True)
    return 1 if tally.failures or tally.unhit else 0


def commit() -> str:
    """The commit this runs on, with `+` where the tree has changed since."""

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ":/src", ":/tests") else "")


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
