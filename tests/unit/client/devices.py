"""Whole devices on real folders, over one server in memory, that sync when a test says so. Their clock is ahead of the disk's, so
that every file has come to rest."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from syncline.adapters.disk.files import LinuxFiles
from syncline.adapters.machine import MachineChance, MachineClock
from syncline.client.assemble import Grounds, Identity, assemble
from syncline.client.engine import Engine
from syncline.client.inbox import Conflicted, inbox
from syncline.client.resolve import Keep, Resolved, resolve
from syncline.model.ids import DeviceId, UserId, ulid
from syncline.testing.faulty import Faulty
from syncline.testing.journal_remote import HOME, JournalRemote
from syncline.testing.memory import MemoryTreeStore

AHEAD_S = 30.0


class AheadClock:
    def __init__(self) -> None:
        self._real = MachineClock()

    def now_us(self) -> int:
        return self._real.now_us() + int(AHEAD_S * 1e6)

    def monotonic_s(self) -> float:
        return self._real.monotonic_s()


class Device:
    """A folder and what its engine remembers. Each `sync` is a new process over both."""

    def __init__(self, at: Path, name: str, remote: JournalRemote, *, merging: bool = False) -> None:
        self.name = name
        self.root = at / name
        self.root.mkdir(parents=True)
        self.remote = remote
        self.merging = merging
        self.store = MemoryTreeStore()
        self._spool = at / f"spool-{name}"
        self._root_id: str | None = None
        self.engine = self.start()

    def start(self) -> Engine:
        server: Any = self.remote
        files: Any = Faulty(LinuxFiles(self.root))
        self.files = files
        clock, chance = AheadClock(), MachineChance()
        on = Grounds(files=files, watcher=None, store=self.store, remote=server, spool=self._spool, clock=clock, chance=chance)
        if self._root_id is None:
            from syncline.client.receive.root import prepare_root
            from syncline.ports.clock import Ids

            self._root_id = prepare_root(files, Ids(clock, chance), None)
        who = Identity(
            namespace=HOME,
            user=UserId(ulid(1, bytes(10))),
            device=DeviceId(ulid(1, self.name.encode().ljust(10)[:10])),
            device_name=self.name,
            root_id=self._root_id,
        )
        parts = assemble(on, who)
        parts.merging = self.merging
        self.engine = Engine(parts, once=True)
        return self.engine

    async def sync(self) -> None:
        engine = self.start()
        await asyncio.wait_for(engine.run(), 30)
        assert engine.settled, (self.name, engine.problems())

    def conflicts(self) -> list[Conflicted]:
        return inbox(self.engine.parts.trees)

    async def resolve(self, path: str, keep: Keep) -> Resolved:
        self.start()
        return await resolve(self.engine, path, keep)

    def write(self, path: str, content: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def tree(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".syncline" not in path.parts
        }

    def held(self) -> set[str]:
        """Hashes of every file below the root, those in the trash too."""
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in self.root.rglob("*") if path.is_file()}


async def settle(*devices: Device) -> None:
    """Rounds of syncing until every device has seen what the others sent."""
    remote = devices[0].remote
    for _ in range(8):
        before = remote.head
        for device in devices:
            await device.sync()
        if remote.head == before:
            return
    raise AssertionError("the devices answer each other for ever")
