"""The server of the simulated world: the real rules over stores in memory, in a process that may die between any two of its steps.

What was committed survives; what was under way is gone, and whoever waited for an answer sees the connection break.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from random import Random
from typing import Any, Final, TypeVar

from syncline.model.errors import SynclineError, Unavailable
from syncline.model.ids import DeviceId
from syncline.ports.clock import Ids
from syncline.server.blocks.fetch import Fetching
from syncline.server.blocks.grant import Granting
from syncline.server.blocks.receive import Receiving
from syncline.server.metadata.cursors import CursorCodec
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import Hub
from syncline.server.notify.poll import Polling
from syncline.server.notify.standings import OneByOne
from syncline.server.sharing.access import NodeAccess
from syncline.server.sharing.folders import Stores as Shared
from syncline.server.sharing.service import Sharing
from syncline.testing.faulty import Crash
from syncline.testing.memory_objects import MemoryObjects
from syncline.testing.server_store import MemoryStores
from syncline.testing.sim.faults import Faults
from syncline.testing.sim.ground import SimChance, SimClock, SimKeys
from syncline.testing.sim.loop import Actor, SimLoop

REBOOT_MAX_S: Final = 6.0
TEND_EVERY_S: Final = 60.0
_SECRET: Final = b"the simulated server's own secret"
T = TypeVar("T")


class Rooms:
    """One run of the server process."""

    def __init__(self, stores: MemoryStores, objects: MemoryObjects, clock: SimClock, chance: SimChance, live: Any) -> None:
        self.actor = Actor("server")
        self.pending: dict[asyncio.Future[Any], None] = {}
        self.hub = Hub()
        keys = SimKeys()
        ids, access = Ids(clock, chance), NodeAccess(stores.shares)
        self.metadata = Metadata(stores.metadata, CursorCodec(_SECRET), clock, ids, self.hub.publish, access=access)
        shared = Shared(stores.shares, stores.accounts, stores.metadata)
        self.sharing = Sharing(shared, self.metadata, access, clock, ids, self.hub.publish)
        self.granting = Granting(self.metadata, stores.packs, objects, keys, clock, chance)
        self.receiving = Receiving(stores.packs, objects, clock)
        self.fetching = Fetching(self.metadata, stores.packs, objects, keys)
        self.polling = Polling(self.metadata, self.hub, clock, OneByOne(self.metadata, live))


class SimServer:
    """`serve` runs one request in the present process. `commits` counts what was committed."""

    def __init__(self, loop: SimLoop, world: Context, faults: Faults, rng: Random) -> None:
        self._loop = loop
        self._world = world
        self._faults = faults
        self._rng = rng
        self.clock = SimClock(loop)
        self._chance = SimChance(rng)
        self.stores = MemoryStores(Ids(self.clock, self._chance))
        self.objects = MemoryObjects(self.clock)
        self.unlinked: set[DeviceId] = set()
        self.rooms: Rooms | None = None
        self.crashes = 0
        self.on_commit: Callable[[], None] = lambda: None
        self.stores.step = self._step
        self._uninterrupted = 0

    # -- the process ---------------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        if self.rooms is not None:
            return
        rooms = self.rooms = Rooms(self.stores, self.objects, self.clock, self._chance, self._check_live)
        rooms.actor.on_crash = self.crash
        self._loop.spawn(rooms.actor, self._tend(rooms))

    def crash(self, *, reboot: bool = True) -> None:
        """The process dies at once."""
        rooms, self.rooms = self.rooms, None
        if rooms is None:
            return
        self.crashes += 1
        rooms.actor.kill()
        self.stores.abandon()
        for answer in list(rooms.pending):
            if not answer.done():
                answer.set_exception(Unavailable(what="The server", reason="the connection broke"))
        if reboot:
            self._loop.call_later(self._rng.random() * REBOOT_MAX_S, self.boot, context=self._world)

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Meanwhile nothing happens to the process between two steps of the store."""
        self._uninterrupted += 1
        self.stores.step = None
        try:
            yield
        finally:
            self._uninterrupted -= 1
            if not self._uninterrupted:
                self.stores.step = self._step

    async def _step(self, name: str) -> None:
        """The store is about to do something, or has done it."""
        kind = self._faults.at("server", f"server.{name}", ("crash", "delay"))
        if kind == "crash":
            self.crash()
            raise Crash
        if kind == "delay":
            await asyncio.sleep(self._rng.random() * 3.0)
        if name == "commit.after":
            self.on_commit()

    async def _tend(self, rooms: Rooms) -> None:
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            try:
                await rooms.receiving.sweep(100)
                await rooms.metadata.prune()
            except SynclineError:
                continue

    async def _check_live(self, device: DeviceId) -> object:
        return device in self.unlinked

    # -- requests ------------------------------------------------------------------------------------------------------------------

    async def serve(self, work: Callable[[Rooms], Awaitable[T]]) -> T:
        """One request's answer, or its error. Raises `Unavailable` when the process dies over it, or is not there."""
        rooms = self.rooms
        if rooms is None:
            raise Unavailable(what="The server", reason="the connection was refused")
        answer: asyncio.Future[T] = self._loop.create_future()
        rooms.pending[answer] = None
        self._loop.spawn(rooms.actor, _answer(work, rooms, answer))
        try:
            return await answer
        finally:
            rooms.pending.pop(answer, None)


async def _answer(work: Callable[[Rooms], Awaitable[T]], rooms: Rooms, answer: asyncio.Future[T]) -> None:
    try:
        result = await work(rooms)
    except Crash:
        return
    except Exception as error:  # noqa: BLE001 - an answer like any other; whoever asked judges it
        if not answer.done():
            answer.set_exception(error)
    else:
        if not answer.done():
            answer.set_result(result)
