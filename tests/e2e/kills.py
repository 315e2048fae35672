"""`kill -9` of server or devices at random moments of a scripted session: converges, loses no byte, leaves nothing visible.

`python -m tests.e2e.kills --kills 100 --seed 1` is the long run; `make test` has a short one. Every written content is remembered:
at the end each one must lie in some file, trash or conflict copy, or have been in sync before (then the server keeps it).
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.world import Device, World, contents


class Script:
    """What two users do to their folders, from one seed. They replace and delete only what was in sync before, so that whatever is
    missing at the end was lost by us."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._count = 0
        self.written: set[str] = set()
        self.settled: set[str] = set()

    def step(self) -> str:
        device = self._chance.choice(self._world.devices)
        act = self._chance.choices(
            (self._write, self._many, self._large, self._edit, self._move, self._delete, self._folder),
            weights=(4, 2, 2, 4, 3, 2, 1),
        )[0]
        return f"{device.name}.{act.__name__.strip('_')} {act(device)}"

    def _content(self, size: int, tail: bytes = b"") -> bytes:
        self._count += 1
        head = f"content {self._count} ".encode()
        data = head + self._chance.randbytes(max(0, size - len(head))) + tail
        self.written.add(hashlib.sha256(data).hexdigest())
        return data

    def _place(self, device: Device, path: Path, data: bytes) -> None:
        """As editors do: written beside, then renamed, so that a killed engine never sees half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = device.folder.parent / f"editing-{device.name}"
        beside.write_bytes(data)
        beside.replace(path)

    def _write(self, device: Device) -> str:
        path = self._new(device)
        self._place(device, path, self._content(self._chance.randint(0, 40_000)))
        return path.name

    def _many(self, device: Device) -> str:
        folder = self._new(device)
        for index in range(self._chance.randint(20, 120)):
            self._place(device, folder / f"f{index}", self._content(self._chance.randint(10, 4000)))
        return folder.name

    def _large(self, device: Device) -> str:
        path = self._new(device)
        self._place(device, path, self._content(self._chance.randint(2, 24) << 20))
        return path.name

    def _edit(self, device: Device) -> str:
        path = self._some(device, files=True)
        if path is None:
            return "-"
        old = path.read_bytes()
        if hashlib.sha256(old).hexdigest() not in self.settled:
            return "-"
        self._place(device, path, self._content(max(100, len(old) // 2), old[: len(old) // 2]))
        return path.name

    def _move(self, device: Device) -> str:
        path = self._some(device, files=self._chance.random() < 0.6)
        if path is None:
            return "-"
        target = self._new(device)
        if target.is_relative_to(path):
            return "-"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return f"{path.name} → {target.name}"

    def _delete(self, device: Device) -> str:
        path = self._some(device, files=True)
        if path is None or hashlib.sha256(path.read_bytes()).hexdigest() not in self.settled:
            return "-"
        path.unlink()
        return path.name

    def _folder(self, device: Device) -> str:
        path = self._new(device)
        path.mkdir(parents=True)
        return path.name

    def _new(self, device: Device) -> Path:
        self._count += 1
        folders = [device.folder, *(path for path in device.folder.rglob("*") if path.is_dir() and ".syncline" not in path.parts)]
        return self._chance.choice(sorted(folders)[:20]) / f"{device.name}{self._count}"

    def _some(self, device: Device, *, files: bool) -> Path | None:
        found = sorted(
            path
            for path in device.folder.rglob("*")
            if ".syncline" not in path.parts and (path.is_file() if files else path.is_dir())
        )
        return self._chance.choice(found) if found else None


def session(root: Path, seed: int, kills: int, *, say: bool = False) -> None:
    """A session with `kills` kills. Raises AssertionError, naming the seed, when a promise is broken."""
    chance = random.Random(f"kills {seed}")
    with World(root) as world:
        script = Script(world, seed)
        for device in world.devices:
            device.start()
        for number in range(kills):
            for _ in range(chance.randint(1, 4)):
                told = script.step()
                if say:
                    print(f"  {told}", flush=True)
            time.sleep(chance.choice((0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.3)))
            victim = chance.choice(["server", "A", "B"])
            if victim == "server":
                world.server.kill()
                time.sleep(chance.choice((0.0, 0.3)))
                world.server.start()
            else:
                device = next(device for device in world.devices if device.name == victim)
                device.kill()
                device.start()
            if say:
                print(f"kill {number + 1}/{kills} (seed {seed}): {victim}", flush=True)
            if number % 5 == 4 or number == kills - 1:
                check(world, script, seed)


def check(world: World, script: Script, seed: int) -> None:
    try:
        world.settle(120)
        world.assert_equal()
        for device in world.devices:
            assert not device.problem_codes() - {"skipped.special"}, device.status()["problems"]
        kept = set[str]().union(*(contents(device.folder) for device in world.devices))
        lost = script.written - kept - script.settled
        assert not lost, f"{len(lost)} contents are nowhere: {sorted(lost)[:3]}"
    except AssertionError as error:
        logs = "\n".join(f"--- {device.name}\n{device.log_tail()}" for device in world.devices)
        raise AssertionError(f"seed {seed}: {error}\n{logs}") from error
    # What both devices hold now was committed: from here on the server's history keeps it.
    script.settled |= kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-session", type=int, default=20, help="kills in one world before a fresh one is made")
    options = parser.parse_args()
    left, seed = options.kills, options.seed
    while left > 0:
        count = min(left, options.per_session)
        root = Path(tempfile.mkdtemp(prefix="syncline-kills-"))
        began = time.monotonic()
        try:
            session(root, seed, count)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        print(f"seed {seed}: {count} kills, converged, nothing lost ({time.monotonic() - began:.0f} s)", flush=True)
        left -= count
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
