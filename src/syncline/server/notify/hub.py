"""The hub: who waits for which namespaces, in this process, and stirring them.

It hears of commits after they are in the journal and hands out hints, never data. `user → device → connection`: a wait is a long
poll or a socket of one device. Laws: a waiter is registered before the heads are read, so no commit falls between; a device holds
at most `WAITERS_PER_DEVICE_MAX` waits, and a new one ends its oldest; nobody fills a server alone; ends of devices and of the
server stir their waiters at once. Nothing here asks the database: whoever is stirred asks whether it may still hear (`standings`)
before it tells.

A commit that stirs very many spreads what they will ask next: beyond the first, each is hinted a little longer delay.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Final

from syncline.model.errors import NotFound, TooBusy, Unauthenticated
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.server.caller import Caller

WAITERS_PER_DEVICE_MAX: Final = 8
WAITERS_PER_USER_MAX: Final = 2_048
"""Two for each device a user may have, and no more than an eighth of what a server holds: nobody fills it alone."""
WAITERS_MAX: Final = 16_384
AT_ONCE: Final = 100
"""So many may ask at once after one commit, or one end of the server …"""
READS_PER_S: Final = 1000
"""… and the others at this pace."""


class End(Enum):
    """Why a wait ends that nothing moved for."""

    REPLACED = "replaced"
    """The device has opened too many others."""
    CLOSING = "closing"
    """The server is going."""
    UNLINKED = "unlinked"


class Waiter:
    """One open question: has any of these namespaces moved past its position?"""

    __slots__ = ("_moved", "_stir", "_woken", "caller", "delay_s", "ended", "lost", "positions")

    def __init__(self, caller: Caller, positions: Mapping[NamespaceId, int], stir: Callable[[], None] | None = None) -> None:
        """`stir` is called when there is something to tell, on the event loop, perhaps more than once; without it, `wait`."""
        self.caller = caller
        self.positions = dict(positions)
        self.delay_s = 0.0
        """So long should pass before what is told is acted upon."""
        self.ended: End | None = None
        self.lost = False
        """A namespace is not the caller's to see any more."""
        self._moved: dict[NamespaceId, int] = {}
        self._woken: asyncio.Event | None = None
        if stir is None:
            self._woken = asyncio.Event()
            stir = self._woken.set
        self._stir = stir

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was woken before the timeout."""
        assert self._woken is not None
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def moved(self) -> dict[NamespaceId, int]:
        """Head sequences of the namespaces that moved so far. Raises `Unauthenticated` once the device was unlinked, `NotFound`
        once a namespace was lost."""
        if self.ended is End.UNLINKED:
            raise Unauthenticated(reason="this device is not linked any more")
        if self.lost:
            raise NotFound(what="The namespace")
        return self._moved

    @property
    def has_moved(self) -> bool:
        return bool(self._moved)

    def pending(self) -> dict[NamespaceId, int]:
        """What moved and was not told yet."""
        return dict(self._moved)

    def told(self, heads: Mapping[NamespaceId, int]) -> None:
        """The caller knows of these heads by now."""
        for namespace, sequence in heads.items():
            if namespace in self.positions:
                self.positions[namespace] = max(sequence, self.positions[namespace])
            if self._moved.get(namespace, sequence + 1) <= sequence:
                del self._moved[namespace]

    def attend(self, positions: Mapping[NamespaceId, int]) -> None:
        """It waits for these instead; what moved of others is nothing to tell any more."""
        self.positions = dict(positions)
        self._moved = {namespace: head for namespace, head in self._moved.items() if head > positions.get(namespace, head)}

    def hear(self, namespace: NamespaceId, sequence: int, delay_s: float = 0.0) -> None:
        if sequence > self.positions.get(namespace, sequence):
            self._moved[namespace] = max(sequence, self._moved.get(namespace, 0))
            self.delay_s = max(delay_s, self.delay_s)
            self._stir()

    def lose(self) -> None:
        """Lets it know that a namespace is gone for it."""
        self.lost = True
        self._stir()

    def end(self, why: End, delay_s: float = 0.0) -> None:
        """Lets it go with nothing to tell."""
        if self.ended is not End.UNLINKED:
            self.ended = why
        self.delay_s = max(delay_s, self.delay_s)
        self._stir()


class Hub:
    def __init__(self) -> None:
        self._by_namespace: dict[NamespaceId, dict[Waiter, None]] = {}
        self._by_device: dict[DeviceId, dict[Waiter, None]] = {}
        self._by_user: Counter[UserId] = Counter()
        self._count = 0
        self._closed = False
        self.doubted = asyncio.Event()
        """Set when commits may have been missed; whoever looks at all heads clears it."""

    def publish(self, namespace: NamespaceId, sequence: int) -> None:
        """`namespace`'s head is at `sequence` now, or further. Called on the event loop, after the commit."""
        for rank, waiter in enumerate(self._by_namespace.get(namespace, ())):
            waiter.hear(namespace, sequence, spread_s(rank))

    def doubt(self) -> None:
        """Any namespace may have moved unheard."""
        self.doubted.set()

    def drop_device(self, device: DeviceId) -> None:
        """Ends every wait of an unlinked device."""
        for waiter in self._by_device.get(device, ()):
            waiter.end(End.UNLINKED)

    def close(self) -> None:
        """Answers every wait, and every later one at once: the server is going. They are told to come back one after another."""
        self._closed = True
        for rank, waiter in enumerate(self.waiters()):
            waiter.end(End.CLOSING, spread_s(rank))

    def waiters(self) -> list[Waiter]:
        """Everyone who waits now."""
        return [waiter for mine in self._by_device.values() for waiter in mine]

    @property
    def waiting(self) -> int:
        """Open waits."""
        return self._count

    @contextmanager
    def listen(
        self, caller: Caller, positions: Mapping[NamespaceId, int], stir: Callable[[], None] | None = None
    ) -> Iterator[Waiter]:
        """A registered waiter. Raises `TooBusy` when the server holds too many, be it of this user."""
        if self._count >= WAITERS_MAX or self._by_user[caller.user_id] >= WAITERS_PER_USER_MAX:
            raise TooBusy(retry_after=30)
        waiter = Waiter(caller, positions, stir)
        mine = self._by_device.setdefault(caller.device_id, {})
        if len(mine) >= WAITERS_PER_DEVICE_MAX:
            oldest = next(iter(mine))
            del mine[oldest]
            oldest.end(End.REPLACED)
        mine[waiter] = None
        self._count += 1
        self._by_user[caller.user_id] += 1
        self._enter(waiter)
        if self._closed:
            waiter.end(End.CLOSING)
        try:
            yield waiter
        finally:
            self._forget(waiter)

    def retune(self, waiter: Waiter, positions: Mapping[NamespaceId, int]) -> None:
        """From now on it waits for these instead."""
        self._leave(waiter)
        waiter.attend(positions)
        self._enter(waiter)

    def _enter(self, waiter: Waiter) -> None:
        for namespace in waiter.positions:
            self._by_namespace.setdefault(namespace, {})[waiter] = None

    def _leave(self, waiter: Waiter) -> None:
        for namespace in waiter.positions:
            waiters = self._by_namespace[namespace]
            waiters.pop(waiter, None)
            if not waiters:
                del self._by_namespace[namespace]

    def _forget(self, waiter: Waiter) -> None:
        self._count -= 1
        device, user = waiter.caller.device_id, waiter.caller.user_id
        self._by_user[user] -= 1
        if not self._by_user[user]:
            del self._by_user[user]
        mine = self._by_device.get(device, {})
        mine.pop(waiter, None)
        if not mine:
            self._by_device.pop(device, None)
        self._leave(waiter)


def spread_s(rank: int) -> float:
    """The delay of the one of this rank among many that are stirred together."""
    return max(0, rank - AT_ONCE) / READS_PER_S
