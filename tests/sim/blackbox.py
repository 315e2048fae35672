"""The built product as a black box: `python -m tests.sim.blackbox --scripts 100 [--seed 1]`, or `--replay TAPE`.

Scripts of `write, delete, move, mkdir, pause, resume, kill, start, freeze, thaw, settle` on three devices, each a real daemon
driven by the command line, judged by `tests.sim.model` at every `settle`. One server and its devices serve many scripts in turn,
each of which ends with everything deleted. A script that fails is tried alone, shrunk while it fails, printed, and saved as a
tape. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.world import EMAIL, PASSWORD, Device, World, contents, strays, tree
from tests.sim.judge import Judge
from tests.sim.model import Model
from tests.sim.script import DEVICES, Step, draw
from tests.sim.user import User

TAPES = Path(__file__).parent / "tapes" / "blackbox"
SERIES = 10
"""Scripts that one set of processes serves."""
SETTLE_CAP_S = 60.0
SHRINK_TRIES = 40
TRIES = 2
"""A script that fails once in so many plays is still called failing while it is shrunk."""


class Box:
    """A server and three devices, and one script after the other."""

    def __init__(self, root: Path) -> None:
        self.world = World(root, DEVICES)
        self._devices = {device.name: device for device in self.world.devices}
        self._judge: Judge | None = None
        self._scripts = 0
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Box:
        self.world.server.start()
        try:
            self.world.server.add_user()
            self._judge = Judge(self.world.root / "home-judge", self.world.server.url, EMAIL, PASSWORD)
            with ThreadPoolExecutor(len(DEVICES)) as together:
                list(together.map(_begin, self.world.devices))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._judge is not None:
            self._judge.close()
        self.world.close()

    def play(self, steps: Sequence[Step]) -> None:
        """Raises AssertionError at the first `settle` where something cannot be."""
        self._scripts += 1
        aside = self.world.root / f"aside-{self._scripts}"
        aside.mkdir()
        users = {device.name: User(device.name, device.folder, aside / device.name) for device in self.world.devices}
        play = _Play(self._devices, users)
        ever: set[str] = set()
        for number, step in enumerate(steps):
            if step.op == "settle":
                try:
                    found = self._settle(play)
                    play.model.settled(found)
                    ever |= {sha for _, sha, _ in found.values() if sha}
                except AssertionError as error:
                    raise AssertionError(f"step {number} ({step}): {error}") from error
            else:
                play.step(step)
            time.sleep(step.rest_s)
        self._check_kept(ever)
        self.seen += play.model.seen

    def clear(self) -> None:
        """Everything is deleted on one device; nothing of this script is left for the next."""
        play = _Play(self._devices, {})
        play.all_up()
        for path in self._devices[DEVICES[0]].folder.iterdir():
            if path.name != ".syncline":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        found = self._settle(play)
        assert not found, f"what was deleted came again: {sorted(found)}"

    def _settle(self, play: _Play) -> Any:
        play.all_up()
        self.world.settle(SETTLE_CAP_S)
        assert self._judge is not None
        server = self._judge.tree()
        for device in self.world.devices:
            found = tree(device.folder)
            differing = sorted(found.items() ^ server.items(), key=str)
            assert found == server, f"{device.name} says it is in sync, and differs from the server: {differing[:8]}"
            assert not strays(device.folder), f"visible on {device.name}: {strays(device.folder)}"
            assert not device.problem_codes(), f"{device.name}: {device.status()['problems']}"
        return server

    def _check_kept(self, ever: set[str]) -> None:
        """What all had once is still to be had: on a disk, in a trash, or from the server's history, byte by byte."""
        assert self._judge is not None
        self._judge.prove_history()
        kept = self._judge.history.union(*(contents(device.folder) for device in self.world.devices))
        assert ever <= kept, f"{len(ever - kept)} contents that all had are nowhere"

    def logs(self) -> str:
        return "\n".join(f"--- {device.name}\n{device.log_tail()[-1500:]}" for device in self.world.devices)


class _Play:
    """One script under way: who is up, and what users did."""

    def __init__(self, devices: dict[str, Device], users: dict[str, User]) -> None:
        self.model = Model()
        self._devices = devices
        self._users = users
        self._frozen: set[str] = set()
        self._paused: set[str] = set()

    def step(self, step: Step) -> None:
        device = self._devices[step.device]
        if step.op in ("write", "delete", "move", "mkdir"):
            user = self._users[step.device]
            act = {
                "write": lambda: user.write(step.path, step.size),
                "delete": lambda: user.delete(step.path),
                "move": lambda: user.move(step.path, step.target),
                "mkdir": lambda: user.mkdir(step.path),
            }[step.op]()
            if act is not None:
                self.model.act(act)
            return
        answers = device.running and step.device not in self._frozen
        if step.op in ("pause", "resume") and answers:
            device.run(step.op)
            (self._paused.add if step.op == "pause" else self._paused.discard)(step.device)
        elif step.op == "freeze" and answers:
            device.freeze(True)
            self._frozen.add(step.device)
        elif step.op == "thaw" and step.device in self._frozen:
            device.freeze(False)
            self._frozen.discard(step.device)
        elif step.op == "kill" and device.running:
            device.kill()
            self._frozen.discard(step.device)
        elif step.op == "start" and not device.running:
            device.start()

    def all_up(self) -> None:
        """Every daemon runs and is not paused."""
        for name in sorted(self._frozen):
            self._devices[name].freeze(False)
        self._frozen.clear()
        for device in self._devices.values():
            if not device.running:
                device.start()
        for name in sorted(self._paused):
            self._devices[name].run("resume")
        self._paused.clear()


def _begin(device: Device) -> None:
    device.set_up()
    device.start()
    device.run("resume", "--yes")


# -- failures ----------------------------------------------------------------------------------------------------------------------


def fails(scripts: Sequence[Sequence[Step]], tries: int = 1) -> str:
    """Plays scripts in a box of their own; the complaint, or "" where there is none in all tries."""
    for _ in range(tries):
        root = Path(tempfile.mkdtemp(prefix="syncline-box-"))
        try:
            with Box(root) as box:
                for number, steps in enumerate(scripts):
                    if number:
                        box.clear()
                    box.play(steps)
        except AssertionError as error:
            return str(error)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return ""


def shrunk(steps: Sequence[Step], budget: int = SHRINK_TRIES) -> list[Step]:
    """Ever fewer steps that still fail: halves first, then single ones."""
    best = list(steps)
    size = max(1, len(best) // 2)
    while size:
        start = 0
        while start < len(best) and budget > 0:
            fewer = best[:start] + best[start + size :]
            budget -= 1
            if any(step.op == "settle" for step in fewer) and fails([fewer], TRIES):
                best = fewer
            else:
                start += size
        size = size // 2 if budget > 0 else 0
    return best


def save(scripts: Sequence[Sequence[Step]], seed: int, complaint: str) -> Path:
    TAPES.mkdir(parents=True, exist_ok=True)
    tape = TAPES / f"seed-{seed}.json"
    plain = [[{name: value for name, value in asdict(step).items() if value} for step in steps] for steps in scripts]
    tape.write_text(json.dumps({"seed": seed, "complaint": complaint, "scripts": plain}, indent=1, ensure_ascii=False) + "\n")
    return tape


def load(tape: Path) -> list[list[Step]]:
    return [[Step(**step) for step in steps] for steps in json.loads(tape.read_text())["scripts"]]


# -- the run -----------------------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    scripts: int = 0
    steps: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)


def campaign(first_seed: int, count: int, *, say: bool, shrink: bool) -> Tally:
    """Plays `count` scripts, in series; a failure ends its series."""
    tally, seed, end = Tally(), first_seed, first_seed + count
    while seed < end:
        root = Path(tempfile.mkdtemp(prefix="syncline-box-"))
        played: list[list[Step]] = []
        try:
            with Box(root) as box:
                while seed < end and len(played) < SERIES:
                    began = time.monotonic()
                    steps = draw(seed)
                    played.append(steps)
                    try:
                        box.play(steps)
                        box.clear()
                    except Exception as error:
                        print(f"FAILED seed {seed}: {error}\n{box.logs()}", flush=True)
                        tally.failures.append({"seed": seed, "error": str(error)})
                        break
                    finally:
                        tally.scripts += 1
                        tally.steps += len(steps)
                        seed += 1
                        tally.seen += box.seen
                        box.seen.clear()
                    if say:
                        print(f"seed {seed - 1}: {len(steps)} steps ({time.monotonic() - began:.1f} s)", flush=True)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        if tally.failures and tally.failures[-1]["seed"] == seed - 1:
            tally.failures[-1]["tape"] = str(_keep(played, seed - 1, str(tally.failures[-1]["error"]), shrink=shrink))
    return tally


def _keep(played: list[list[Step]], seed: int, complaint: str, *, shrink: bool) -> Path:
    """The failing script alone where it fails alone, shrunk; else the whole series."""
    alone = fails([played[-1]], 3) if shrink else ""
    steps = shrunk(played[-1]) if alone else played[-1]
    print("\n".join(f"  {step}" for step in steps), flush=True)
    tape = save([steps] if alone else played, seed, alone or complaint)
    print(f"{'fails alone too' if alone else 'does not fail alone'}; kept as {tape}", flush=True)
    return tape


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="the first script's")
    parser.add_argument("--json", action="store_true", help="nothing but failures and the last line")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--show", action="store_true", help="print the scripts, play none")
    parser.add_argument("--replay", type=Path, metavar="TAPE", help="play a tape")
    options = parser.parse_args()
    if options.show:
        for seed in range(options.seed, options.seed + options.scripts):
            print(f"seed {seed}", *draw(seed), sep="\n  ")
        return 0
    if options.replay:
        complaint = fails(load(options.replay))
        print(complaint or "It does not fail.")
        return 1 if complaint else 0
    from tests.sim.kills import commit

    began = time.monotonic()
    tally = campaign(options.seed, options.scripts, say=not options.json, shrink=not options.no_shrink)
    seconds = time.monotonic() - began
    line = {
        "layer": "L5",
        "scripts": tally.scripts,
        "steps": tally.steps,
        "seen": dict(tally.seen),
        "failures": tally.failures,
        "seconds": round(seconds, 1),
        "seconds_per_script": round(seconds / max(1, tally.scripts), 2),
        "seed": options.seed,
        "commit": commit(),
    }
    print(json.dumps(line), flush=True)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
