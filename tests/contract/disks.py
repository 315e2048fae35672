"""A root that the engine works on, somebody who works on it too, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from syncline.model.entries import Signature
from syncline.ports.local_files import LocalFiles
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.user import UserDisk

HOUR_US = 3_600_000_000


class Hands:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def now_us(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1e6


class Subject:
    """A root, its user, and a way to let time pass."""

    def __init__(self, files: LocalFiles, user: UserDisk, tick: Callable[[], None]) -> None:
        self.files = files
        self.user = user
        self.tick = tick

    def signature(self, path: str) -> Signature:
        return self.files.stat(path).signature

    def put(self, path: str, data: bytes = b"x") -> None:
        """A file of the engine's."""
        with self.files.create(path) as file:
            file.write(data)


def simulated(profile: DiskProfile | None = None) -> tuple[SimDisk, Subject]:
    clock = Hands()
    disk = SimDisk(Random(1), clock, profile)

    def tick() -> None:
        clock.now += 10_000

    return disk, Subject(disk.files(), disk.user, tick)
