"""One very large file through the block pipeline: from one device to the other, with a kill of each part half-way.

`python -m tests.e2e.huge --gib 50` is the long run (a few minutes, some 4 GiB of disk); `make test` has a short one. The file holds
a unique stamp in every smallest block, and zeros between, which are holes at both ends; so every block is another one, and neither
disk need hold what it weighs. Shown at the end: how long each half took, how much the memory of each process grew at most while it
worked, and how many bytes were sent again because of the kills.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncline.model.limits import BLOCK_MIN_BYTES, GIB, KIB, LARGE_BLOCK_MIN_BYTES, LARGE_FILE_BYTES, MIB
from tests.e2e.world import Device, World, eventually

STAMP_BYTES = 8 * KIB
NAME = "huge.img"
GROWTH_MAX_MIB = 200
SENT_AGAIN_MAX_BYTES = 64 * MIB


def make(path: Path, size: int, seed: int) -> None:
    """Sparse, with a stamp at the start of every stretch that could be a block of its own."""
    chance = random.Random(seed)
    stride = LARGE_BLOCK_MIN_BYTES if size > LARGE_FILE_BYTES else BLOCK_MIN_BYTES
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size - STAMP_BYTES, stride):
            file.seek(at)
            file.write(chance.randbytes(STAMP_BYTES))


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def on_disk(path: Path) -> int:
    """Bytes that a file, or everything in a folder, takes of the disk."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_blocks * 512 for each in files)


def resident_mib(pid: int) -> float:
    """What is resident and this process's own (not pages of files it has mapped), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Memory:
    """Watches processes: how far above where it was found each came to be."""

    def __init__(self) -> None:
        self.growth: dict[str, float] = {}
        self._first: dict[tuple[str, int], float] = {}
        self._watched: dict[str, Callable[[], int]] = {}
        self._ended = threading.Event()

    def watch(self, name: str, pid: Callable[[], int]) -> None:
        self._watched[name] = pid

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            for name, pid in list(self._watched.items()):
                try:
                    number = pid()
                    now = resident_mib(number)
                except (OSError, AssertionError, IndexError):
                    continue  # It is just being killed, or was.
                if now:
                    first = self._first.setdefault((name, number), now)
                    self.growth[name] = max(self.growth.get(name, 0.0), now - first)


def sent(device: Device) -> int:
    return int(device.status()["traffic"]["sent_bytes"])


def run(root: Path, size: int, *, kills: bool, cap_s: float, seed: int = 1) -> dict[str, Any]:
    """What was measured; raises `AssertionError` where bytes, memory or what was sent again are not as promised."""
    with World(root) as world:
        one, two = world.devices
        objects = world.server.data / "objects"
        memory = Memory()
        memory.watch("server", lambda: world.server.pid)
        memory.watch("sender", lambda: one.pid)
        memory.watch("receiver", lambda: two.pid)
        make(one.folder / NAME, size, seed)
        stamped = on_disk(one.folder / NAME)
        figures: dict[str, Any] = {"gib": size / GIB}
        with memory.running():
            one.start()
            began, carried = time.monotonic(), 0
            if kills:
                eventually(lambda: on_disk(objects) > stamped / 3, cap_s, "a third is at the server", every_s=0.2)
                carried += sent(one)
                one.kill()
                one.start()
                eventually(lambda: on_disk(objects) > 2 * stamped / 3, cap_s, "two thirds are at the server", every_s=0.2)
                world.server.kill()
                world.server.start()
            one.wait(cap_s)
            figures["up_s"] = round(time.monotonic() - began, 1)
            total = sum(each.stat().st_size for each in objects.rglob("*") if each.is_file())
            figures["stored_mib"] = round(total / MIB)
            figures["sent_again_mib"] = round(max(0, carried + sent(one) - total) / MIB, 1)
            two.start()
            began = time.monotonic()
            if kills:
                temporary = two.folder / ".syncline"
                eventually(lambda: on_disk(temporary) > stamped / 3, cap_s, "a third is at the other device", every_s=0.2)
                two.kill()
                two.start()
                eventually(lambda: on_disk(temporary) > 2 * stamped / 3, cap_s, "two thirds are there", every_s=0.2)
                world.server.kill()
                world.server.start()
            two.wait(cap_s)
            figures["down_s"] = round(time.monotonic() - began, 1)
        figures["growth_mib"] = {name: round(grown) for name, grown in memory.growth.items()}
        figures["disk_mib"] = {
            "sender": round(on_disk(one.folder) / MIB),
            "server": round(on_disk(world.server.data) / MIB),
            "receiver": round(on_disk(two.folder) / MIB),
        }
        assert digest_of(one.folder / NAME) == digest_of(two.folder / NAME)
        assert max(memory.growth.values()) < GROWTH_MAX_MIB, figures
        assert figures["sent_again_mib"] * MIB <= SENT_AGAIN_MAX_BYTES, figures
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=50)
    parser.add_argument("--no-kills", action="store_true")
    parser.add_argument("--minutes", type=float, default=25, help="what each half may take")
    parser.add_argument("--folder", type=Path, help="where; a temporary folder by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        figures = run(Path(folder), int(given.gib * GIB), kills=not given.no_kills, cap_s=given.minutes * 60)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
