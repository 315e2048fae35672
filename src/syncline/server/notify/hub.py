"""The hub: who waits for which namespaces, in this process, and waking them.

It hears of commits after they are in the journal and hands out hints, never data. Laws: a waiter is registered before the heads
are read, so no commit falls between; a device holds at most `WAITERS_PER_DEVICE_MAX` waits, and a new one ends its oldest; ends
of devices and of the server wake their waiters at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from syncline.model.errors import TooBusy, Unauthenticated
from syncline.model.ids import DeviceId, NamespaceId
from syncline.server.caller import Caller

WAITERS_PER_DEVICE_MAX: Final = 8
WAITERS_MAX: Final = 10_000


class Waiter:
    """One open question: has any of these namespaces moved past its position?"""

    def __init__(self, device: DeviceId, positions: Mapping[NamespaceId, int]) -> None:
        self.device = device
        self.positions = positions
        self._moved: dict[NamespaceId, int] = {}
        self._woken = asyncio.Event()
        self._unlinked = False

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was woken before the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def moved(self) -> dict[NamespaceId, int]:
        """Head sequences of the namespaces that moved so far. Raises `Unauthenticated` once the device was unlinked."""
        if self._unlinked:
            raise Unauthenticated(reason="this device is not linked any more")
        return self._moved

    def hear(self, namespace: NamespaceId, sequence: int) -> None:
        if sequence > self.positions[namespace]:
            self._moved[namespace] = max(sequence, self._moved.get(namespace, 0))
            self._woken.set()

    def end(self, *, unlinked: bool = False) -> None:
        """Lets it go with nothing to tell."""
        self._unlinked = self._unlinked or unlinked
        self._woken.set()


class Hub:
    def __init__(self) -> None:
        self._by_namespace: dict[NamespaceId, dict[Waiter, None]] = {}
        self._by_device: dict[DeviceId, dict[Waiter, None]] = {}
        self._count = 0
        self._closed = False

    def publish(self, namespace: NamespaceId, sequence: int) -> None:
        """`namespace`'s head is at `sequence` now. Called on the event loop, after the commit."""
        for waiter in self._by_namespace.get(namespace, ()):
            waiter.hear(namespace, sequence)

    def drop_device(self, device: DeviceId) -> None:
        """Ends every wait of an unlinked device."""
        for waiter in self._by_device.get(device, ()):
            waiter.end(unlinked=True)

    def close(self) -> None:
        """Answers every wait, and every later one at once: the server is going."""
        self._closed = True
        for waiters in self._by_device.values():
            for waiter in waiters:
                waiter.end()

    @property
    def waiting(self) -> int:
        """Open waits."""
        return self._count

    @contextmanager
    def listen(self, caller: Caller, positions: Mapping[NamespaceId, int]) -> Iterator[Waiter]:
        """A registered waiter. Raises `TooBusy` when the whole server holds too many."""
        if self._count >= WAITERS_MAX:
            raise TooBusy(retry_after=30)
        waiter = Waiter(caller.device_id, positions)
        mine = self._by_device.setdefault(caller.device_id, {})
        if len(mine) >= WAITERS_PER_DEVICE_MAX:
            oldest = next(iter(mine))
            del mine[oldest]
            oldest.end()
        mine[waiter] = None
        self._count += 1
        for namespace in positions:
            self._by_namespace.setdefault(namespace, {})[waiter] = None
        if self._closed:
            waiter.end()
        try:
            yield waiter
        finally:
            self._forget(waiter)

    def _forget(self, waiter: Waiter) -> None:
        self._count -= 1
        mine = self._by_device.get(waiter.device, {})
        mine.pop(waiter, None)
        if not mine:
            self._by_device.pop(waiter.device, None)
        for namespace in waiter.positions:
            waiters = self._by_namespace[namespace]
            waiters.pop(waiter, None)
            if not waiters:
                del self._by_namespace[namespace]
