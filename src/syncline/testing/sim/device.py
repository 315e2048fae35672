"""A device of the simulated world: the real engine on a fake disk, restarted whenever it was killed.

Its disk and its store outlive it; everything else is made anew at each start, exactly as the daemon does.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from syncline.client.assemble import Grounds, Identity, assemble
from syncline.client.engine import Engine
from syncline.client.plan.steps import Report
from syncline.model.errors import DiskFull, LocalIo, NeedsDecision, SynclineError
from syncline.ports.clock import Ids
from syncline.ports.tree_store import Changes, SpoolRow
from syncline.server.caller import Caller
from syncline.testing.faulty import Crash
from syncline.testing.memory import MemoryTreeStore
from syncline.testing.sim.faults import Faults
from syncline.testing.sim.files import SimFiles
from syncline.testing.sim.ground import SimChance, SimClock
from syncline.testing.sim.loop import Actor, SimLoop
from syncline.testing.sim.network import SimRemote
from syncline.testing.sim.server import SimServer
from syncline.testing.sim.watcher import WatcherFaults

RESTART_MAX_S: Final = 4.0
_DEATHS: Final = ("crash before", "crash after", "power before", "power after", "act")
_ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "create": ("ENOSPC", "EACCES", "EMFILE", "EIO"),
    "write": ("ENOSPC", "EIO"),
    "sync_files": ("EIO", "ENOSPC"),
    "sync_folders": ("EIO",),
    "set_attributes": ("EIO",),
    "rename": ("EACCES", "EBUSY", "EIO"),
    "exchange": ("EACCES", "EIO"),
    "make_folder": ("ENOSPC", "EACCES"),
    "remove_folder": ("EBUSY", "EACCES"),
    "remove_file": ("EACCES", "EIO"),
    "set_executable": ("EACCES",),
    "list_folder": ("EACCES", "EIO", "EMFILE", "ESTALE"),
    "stat": ("EIO",),
    "open_read": ("EACCES", "EMFILE", "EIO"),
    "read": ("EIO", "short"),
    "root_stat": ("EIO",),
    "free_bytes": ("EIO",),
    "fstat_signature": ("EIO",),
    "read_once": ("EIO",),
    "copy_range": ("ENOSPC", "EIO"),
}
SITES: Final = {op: (*_DEATHS, *kinds) for op, kinds in _ERRORS.items()}
"""What may befall each system call; any other one only deaths."""
STORE: Final = (*_DEATHS, "store busy", "store full")
"""What may befall each transaction of the device's database."""


class DurableStore(MemoryTreeStore):
    """The device's database: a transaction that was made is durable; one may be refused, and the device may die around any."""

    def __init__(self) -> None:
        super().__init__()
        self.around: Callable[[str, Callable[[], None]], None] = lambda site, work: work()

    def write(self, changes: Changes) -> None:
        self.around("store.write", lambda: super(DurableStore, self).write(changes))

    def spool_put(self, rows: Any) -> None:
        self.around("store.spool_put", lambda: super(DurableStore, self).spool_put(rows))

    def spool_remove(self, file_names: Any) -> None:
        self.around("store.spool_remove", lambda: super(DurableStore, self).spool_remove(file_names))

    def twin(self) -> DurableStore:
        """What a copy of the file holds now."""
        copy = DurableStore()
        copy.remote, copy.local, copy.synced = dict(self.remote), dict(self.local), dict(self.synced)
        copy.cursors, copy.inflight, copy.meta = dict(self.cursors), dict(self.inflight), dict(self.meta)
        copy.conflicts = dict(self.conflicts)
        copy._manifests, copy._spool = dict(self._manifests), dict[str, SpoolRow](self._spool)
        return copy


class SimDevice:
    """`start`, then it runs by itself until killed. `acts` is called when an editor should act between two system calls."""

    def __init__(
        self,
        *,
        name: str,
        disk: Any,
        who: Identity,
        caller: Caller,
        server: SimServer,
        loop: SimLoop,
        world: Context,
        faults: Faults,
        rng: Random,
        spool: Path,
        clock: SimClock,
        page: int,
        watching: WatcherFaults,
        acts: Callable[[SimDevice], None],
    ) -> None:
        self.name = name
        self.disk = disk
        self.who = who
        self.caller = caller
        self.clock = clock
        self.store = disk.new_store()
        self.engine: Engine | None = None
        self.remote: SimRemote | None = None
        self.actor: Actor | None = None
        self.why: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.complaints: list[str] = []
        """What an engine must never do: faults in its own parts."""
        self.watcher: Any = None
        self.deaf = False
        self.online = True
        self.paused = False
        self.restarts = 0
        self._server = server
        self._loop = loop
        self._world = world
        self._faults = faults
        self._rng = rng
        self._chance = SimChance(rng)
        self._spool = spool
        self._page = page
        self._watching = watching
        self._acts = acts
        self._is_short = False
        self._after: tuple[str, str] | None = None
        self._acting = False

    # -- life and death ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.actor is not None and self.actor.alive:
            return
        self.actor = Actor(self.name)
        self.actor.on_crash = self.kill
        self.store.around = self._around_store
        self._loop.spawn(self.actor, self._run(self.actor))

    def kill(self, *, power: bool = False, restart: bool = True) -> None:
        """The process dies at once, and with `power` the machine; it starts again after a while."""
        if self.actor is None or not self.actor.alive:
            return
        self.actor.kill()
        self._collect_refusals()
        self.engine = None
        if self.watcher is not None:
            self.watcher.close()
            self.watcher = None
        self._after = None
        if power:
            self.disk.power_loss()
        else:
            self.disk.process_death()
        if restart:
            self.restarts += 1
            self._loop.call_later(self._rng.random() * RESTART_MAX_S, self.start, context=self._world)

    async def _run(self, actor: Actor) -> None:
        while actor.alive:
            self.remote = SimRemote(self._server, self.caller, self._faults, self.name, self._rng, self._die, page=self._page)
            self.remote.up = self.online
            try:
                files = self.disk.files(hook=self._hook)
                self._is_short = False
                if isinstance(files, SimFiles):
                    files.short_read = self._shortened
                watcher = self.disk.watcher(self._watching, self._rng)
            except OSError:
                await asyncio.sleep(3.0)
                continue
            watcher.is_deaf = self.deaf
            self.watcher = watcher
            on = Grounds(
                files=files,
                watcher=watcher,
                store=self.store,
                remote=self.remote,
                spool=self._spool,
                clock=self.clock,
                chance=self._chance,
            )
            try:
                parts = await asyncio.to_thread(assemble, on, self.who)
            except (NeedsDecision, LocalIo):
                watcher.close()
                await asyncio.sleep(3.0)
                continue
            engine = Engine(parts)
            engine.paused = self.paused
            self._count_plans(engine)
            self.engine = engine
            await engine.run()
            return

    def _count_plans(self, engine: Engine) -> None:
        run = engine.parts.executor.run

        async def counted(steps: Any, heads: Any, *, online: bool) -> Any:
            for step in steps:
                self.why[step.code if isinstance(step, Report) else step.why] += 1
            return await run(steps, heads, online=online)

        engine.parts.executor.run = counted  # type: ignore[method-assign]
        fault = engine._fault

        def noted(name: str, error: Exception | None) -> None:
            if error is not None:
                self.complaints.append(f"{self.name}: {name} failed by surprise: {type(error).__name__}: {error}")
                self.surprise = error
            fault(name, error)

        engine._fault = noted  # type: ignore[method-assign, assignment]
        engine._crew._fault = noted

    def _collect_refusals(self) -> None:
        if self.remote is not None:
            self.refusals.update(self.remote.refusals)
            self.remote.refusals.clear()

    # -- what goes wrong -----------------------------------------------------------------------------------------------------------

    def _die(self) -> None:
        self.kill()

    def _hook(self, op: str, path: str, phase: str) -> None:
        """Around every system call of the engine's. Asking for a birth changes nothing and strikes no site: what can befall it
        befalls the call before it or after, and tapes that count calls are older than this one."""
        if self._acting or op == "birth_ns":
            return
        if phase == "after":
            if self._after is not None and self._after[0] == op:
                late, self._after = self._after[1], None
                self._death(late)
            return
        kinds = SITES.get(op, _DEATHS)
        kind = self._faults.at(self.name, f"files.{op}", kinds)
        if kind is None:
            return
        if kind.endswith("after"):
            self._after = (op, kind)
        elif kind == "act":
            self._act()
        elif kind.endswith("before"):
            self._death(kind)
        elif kind == "short":
            self._is_short = True
        else:
            raise OSError(getattr(errno, kind), f"simulated {kind}", path)

    def _shortened(self, size: int) -> int:
        """How much of a read the disk gives at once."""
        short, self._is_short = self._is_short, False
        return size // 2 if short else size

    def _act(self) -> None:
        self._acting = True
        try:
            self._acts(self)
        finally:
            self._acting = False

    def _death(self, kind: str) -> None:
        self.kill(power=kind.startswith("power"))
        raise Crash

    def _around_store(self, site: str, work: Callable[[], None]) -> None:
        kind = self._faults.at(self.name, site, STORE)
        if kind == "store busy":
            raise LocalIo(path="state", reason="database is locked")
        if kind == "store full":
            raise DiskFull(path="state")
        if kind == "act":
            self._act()
        elif kind is not None and kind.endswith("before"):
            self._death(kind)
        work()
        if kind is not None and kind.endswith("after"):
            self._death(kind)

    # -- what a person does to it --------------------------------------------------------------------------------------------------

    def set_online(self, online: bool) -> None:
        self.online = online
        if self.remote is not None:
            self.remote.up = online

    def set_deaf(self, deaf: bool) -> None:
        """Whether the watcher hears nothing, as on a network share."""
        self.deaf = deaf
        if self.watcher is not None:
            self.watcher.is_deaf = deaf

    def overflow(self) -> None:
        """More happens at once than the kernel's queue holds."""
        if self.watcher is not None:
            self.watcher.lose()

    def link(self) -> str:
        """Makes the folder a root, as `syncline link` does; its id."""
        from syncline.client.receive.root import prepare_root

        root_id = prepare_root(self.disk.files(), Ids(self.clock, self._chance), None)
        self.who = replace(self.who, root_id=root_id)
        self.disk.process_death()
        return root_id

    async def settle(self, timeout_s: float) -> bool:
        """Whether the device says it is in sync as of now."""
        if self.engine is None:
            await asyncio.sleep(RESTART_MAX_S)
            if self.engine is None:
                return False
        try:
            return await self.engine.wait(timeout_s)
        except SynclineError:
            return False
