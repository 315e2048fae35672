"""The sweep: every few seconds everybody who waits is looked at, many in one question.

It ends waits of devices that another process unlinked or disabled, and of namespaces that were lost; and it reads all heads on the
way, so that a hint that never came (a bus that is down, a process that died between commit and word) costs seconds, not minutes.
A gap on the bus has it look at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from syncline.model.errors import SynclineError
from syncline.model.ids import NamespaceId
from syncline.ports.audience import EARS_MAX, Audience, Ear
from syncline.server.notify.hub import End, Hub, Waiter, spread_s

EVERY_S: Final = 4.0
REST_S: Final = 0.02
"""Between two questions: those who read and write come first."""

NOTHING: Final = NamespaceId("")
"""In the place of a namespace, where a device alone is asked about."""


class Sweep:
    """`seen` is told of everybody who is found waiting, `counted` of how many; `told` of what failed, which the next sweep makes up
    for."""

    def __init__(
        self,
        audience: Audience,
        hub: Hub,
        told: Callable[[SynclineError], None],
        seen: Callable[[Sequence[Waiter]], None],
        counted: Callable[[int], None],
    ) -> None:
        self._audience = audience
        self._hub = hub
        self._told = told
        self._seen = seen
        self._counted = counted

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._hub.doubted.wait()
            except TimeoutError:
                self._hub.doubted.clear()
            self._hub.doubted.clear()
            try:
                await self.sweep()
            except SynclineError as error:
                self._told(error)
                await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Looks at everybody who waits now. Raises `Unavailable`."""
        rank = 0
        self._counted(self._hub.waiting)
        for part in _parted(self._hub.waiters()):
            ears = [(waiter.caller.device_id, namespace) for waiter, namespaces in part for namespace in namespaces]
            heads = await self._audience.may_hear(ears)
            for waiter, namespaces in part:
                rank += _settle(waiter, namespaces, heads, spread_s(rank))
            self._seen([waiter for waiter, _ in part])
            await asyncio.sleep(REST_S)


def _settle(waiter: Waiter, namespaces: Sequence[NamespaceId], heads: dict[Ear, int | None], delay_s: float) -> bool:
    """Tells a waiter what was found; whether there was anything."""
    device, stirred = waiter.caller.device_id, False
    for namespace in namespaces:
        if (device, namespace) not in heads:
            waiter.end(End.UNLINKED)
            return True
        head = heads[device, namespace]
        position = waiter.positions.get(namespace)
        if head is None:
            if position is not None:
                waiter.lose()
                stirred = True
        elif position is not None and head > position:
            waiter.hear(namespace, head, delay_s)
            stirred = True
    return stirred


def _parted(waiters: Sequence[Waiter]) -> Iterator[list[tuple[Waiter, list[NamespaceId]]]]:
    """Waiters with what they wait for, so many together as one question takes."""
    part: list[tuple[Waiter, list[NamespaceId]]] = []
    size = 0
    for waiter in waiters:
        # Who waits for nothing is looked at all the same.
        for namespaces in _pages(list(waiter.positions) or [NOTHING]):
            if size + len(namespaces) > EARS_MAX:
                yield part
                part, size = [], 0
            part.append((waiter, namespaces))
            size += len(namespaces)
    if part:
        yield part


def _pages(namespaces: list[NamespaceId]) -> Iterator[list[NamespaceId]]:
    for first in range(0, len(namespaces), EARS_MAX):
        yield namespaces[first : first + EARS_MAX]
