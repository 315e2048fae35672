"""The relay: from the outbox in the database to the bus, at least once, one leader at a time.

On the river it stands between the journal and whoever waits. Any number of processes may run one; who holds the lease works, the
others stand by, and a leader that died is followed when its lease runs out. A round reads the namespaces whose head moved past what
was published, publishes their heads, and marks them; a crash between the two publishes them again, which is harmless: a hint says
"at least so far". Marks are written some rounds together, since each is a write to a row that commits lock; what waits for its mark
is remembered here. A bus that cannot be reached stops nothing else: the outbox keeps everything in one row a namespace, and the
leader steps down, since another process may reach it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from syncline.model.errors import SynclineError
from syncline.model.ids import NamespaceId
from syncline.ports.bus import PUBLISHED_MAX, Bus, Hint
from syncline.ports.clock import Chance, Clock
from syncline.ports.leases import Leases
from syncline.ports.metadata_store import MetadataStore

LEASE: Final = "relay"
LEASE_TTL_S: Final = 5.0
LEASE_RENEW_S: Final = 1.5
POLL_S: Final = 0.03
"""So often a leader looks for commits of other processes; its own wake it."""
REST_S: Final = 0.01
"""The least time between two rounds: what is committed meanwhile goes in one."""
MARK_S: Final = 0.5
"""So long a published head may wait for its mark."""
UNMARKED_MAX: Final = 5 * PUBLISHED_MAX
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0


class Relayed(Struct):
    """What a relay did so far, for whoever measures it."""

    leading: bool = False
    rounds: int = 0
    published: int = 0
    failures: int = 0
    """In a row."""
    published_s: float = 0.0
    """The monotonic instant at which nothing was left to publish, last."""


class Relay:
    """`holder` names this process among all. `told` hears of every failure, which is tried again."""

    def __init__(
        self,
        outbox: MetadataStore,
        leases: Leases,
        bus: Bus,
        clock: Clock,
        chance: Chance,
        holder: str,
        told: Callable[[SynclineError], None],
    ) -> None:
        self._outbox = outbox
        self._leases = leases
        self._bus = bus
        self._clock = clock
        self._chance = chance
        self._holder = holder
        self._told = told
        self._stirred = asyncio.Event()
        self._unmarked: dict[NamespaceId, int] = {}
        """Heads that were published and not marked yet."""
        self._marked_s = 0.0
        self._renewed_s = 0.0
        self.relayed = Relayed()

    def wake(self, _namespace: NamespaceId | None = None, _head: int = 0) -> None:
        """Something was committed in this process. Called on the event loop, after the commit."""
        self._stirred.set()

    async def run(self) -> None:
        """For ever; ends by cancellation, and lets go of the lease then."""
        try:
            while True:
                try:
                    led = await self._lead()
                except SynclineError as error:
                    await self._step_down(error)
                else:
                    self.relayed.failures = 0
                    if not led:
                        await asyncio.sleep(LEASE_RENEW_S * (0.5 + self._chance.fraction()))
        finally:
            await self._let_go()

    async def _lead(self) -> bool:
        """Works while it holds the lease; whether it ever did."""
        if not await self._hold():
            return False
        # Another may have led meanwhile, and published more.
        self._unmarked.clear()
        self._marked_s = self._clock.monotonic_s()
        self.relayed.leading = True
        try:
            while await self._hold():
                self._stirred.clear()
                await self.round()
                self.relayed.failures = 0
                await asyncio.sleep(REST_S)
                try:
                    async with asyncio.timeout(POLL_S * (0.5 + self._chance.fraction())):
                        await self._stirred.wait()
                except TimeoutError:
                    continue
            return True
        finally:
            self.relayed.leading = False

    async def round(self) -> None:
        """Publishes everything that is not published yet, and marks it when that is due. Raises `Unavailable`."""
        while True:
            page = await self._outbox.unpublished(PUBLISHED_MAX)
            fresh = [Hint(namespace, head) for namespace, head in page if self._unmarked.get(namespace, 0) < head]
            if fresh:
                await self._bus.publish(fresh)
                self.relayed.published += len(fresh)
                self._unmarked |= {hint.namespace: hint.sequence for hint in fresh}
            full = len(page) >= PUBLISHED_MAX or len(self._unmarked) >= UNMARKED_MAX
            if full or (self._unmarked and self._clock.monotonic_s() - self._marked_s >= MARK_S):
                await self._mark()
            if not full:
                self.relayed.rounds += 1
                self.relayed.published_s = self._clock.monotonic_s()
                return
            if not await self._hold():
                return

    async def _mark(self) -> None:
        """Writes down what was published, each namespace's row in the same order as everybody's."""
        marked = sorted(self._unmarked.items())
        for first in range(0, len(marked), PUBLISHED_MAX):
            await self._outbox.mark_published(marked[first : first + PUBLISHED_MAX])
        self._unmarked.clear()
        self._marked_s = self._clock.monotonic_s()

    async def _hold(self) -> bool:
        """Whether the lease is this process's, renewed when that is due."""
        now_s = self._clock.monotonic_s()
        if self.relayed.leading and now_s - self._renewed_s < LEASE_RENEW_S:
            return True
        held = await self._leases.hold(LEASE, self._holder, LEASE_TTL_S)
        self._renewed_s = now_s
        return held

    async def _step_down(self, error: SynclineError) -> None:
        """After a failure: lets another try, and waits, longer each time."""
        self._told(error)
        self.relayed.failures += 1
        await self._let_go()
        pause_s = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(self.relayed.failures - 1, 20))
        await asyncio.sleep(pause_s * (0.5 + self._chance.fraction()))

    async def _let_go(self) -> None:
        try:
            await self._leases.release(LEASE, self._holder)
        except SynclineError as error:
            # It runs out by itself.
            self._told(error)
