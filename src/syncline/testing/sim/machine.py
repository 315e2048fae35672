"""The machine that a device of the world runs on: its disk with a user at it, its watcher, and where its database lies."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Protocol

from syncline.ports.clock import Clock
from syncline.ports.local_files import LocalFiles
from syncline.ports.watcher import Watcher
from syncline.testing.sim.device import DurableStore
from syncline.testing.sim.disk import SimDisk
from syncline.testing.sim.files import Hook
from syncline.testing.sim.profile import DiskProfile
from syncline.testing.sim.user import UserDisk
from syncline.testing.sim.watcher import SimWatcher, WatcherFaults


class Machine(Protocol):
    @property
    def user(self) -> UserDisk: ...

    def files(self, *, hook: Hook | None = None) -> LocalFiles:
        """A process opens the folder. Raises `FileNotFoundError` when it is not there."""
        ...

    def watcher(self, faults: WatcherFaults, rng: Random) -> Watcher:
        """It also has `is_deaf`, and `lose` for more at once than the kernel's queue holds."""
        ...

    def new_store(self) -> Any:
        """An empty database: a `TreeStore` with `around`, `writes` and `twin`, as `DurableStore` has them."""
        ...

    def process_death(self) -> None: ...

    def power_loss(self) -> None: ...

    def unmount(self, *, empty: bool = False) -> None: ...

    @property
    def is_unmounted(self) -> bool: ...

    def mount(self) -> None: ...

    def close(self) -> None:
        """The world is over."""
        ...


class SimMachine(SimDisk):
    """All of it simulated. `home` is not used: nothing of it lies on a real disk."""

    def __init__(self, rng: Random, clock: Clock, profile: DiskProfile, home: Path) -> None:
        super().__init__(rng, clock, profile)

    def watcher(self, faults: WatcherFaults, rng: Random) -> SimWatcher:
        return SimWatcher(self, faults=faults, rng=rng)

    def new_store(self) -> DurableStore:
        return DurableStore()

    def close(self) -> None:
        """Nothing to give back."""
