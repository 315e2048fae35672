"""The teller: tells many sockets of one change in one go, since a task for each would cost more than telling it.

It asks for all of them together whether they may still hear, and says the hint to each that can be told without waiting. Whoever
needs more than that (an end, a lost folder, a rest after the last hint, a peer that is slow) tells itself, in a task of its own.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Protocol

from syncline.model.errors import Retryable
from syncline.model.ids import DeviceId, NamespaceId
from syncline.ports.audience import EARS_MAX, Audience, Ear


class Listener(Protocol):
    @property
    def device(self) -> DeviceId: ...

    def due(self) -> dict[NamespaceId, int] | None:
        """What can be told at once; None where there is more to do, or nothing."""
        ...

    async def tell(self, moved: dict[NamespaceId, int]) -> None:
        """Says so, without waiting for anything."""
        ...

    def tell_itself(self) -> None:
        """Whatever there is to tell, whenever that can be."""
        ...


class Teller:
    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._stirred: dict[Listener, None] = {}
        self._task: asyncio.Task[None] | None = None

    def stir(self, listener: Listener) -> None:
        """There may be something to tell. Called on the event loop."""
        self._stirred[listener] = None
        if self._task is None:
            self._task = asyncio.create_task(self._tell_all(), context=Context())

    async def _tell_all(self) -> None:
        try:
            while self._stirred:
                await self._tell(self._taken())
        finally:
            self._task = None

    def _taken(self) -> list[tuple[Listener, dict[NamespaceId, int]]]:
        """Some who can be told at once; those on the way who cannot are on their own."""
        taken: list[tuple[Listener, dict[NamespaceId, int]]] = []
        size = 0
        while self._stirred and size < EARS_MAX:
            listener = next(iter(self._stirred))
            moved = listener.due()
            if moved is None or len(moved) > EARS_MAX:
                listener.tell_itself()
            elif size + len(moved) > EARS_MAX:
                break
            else:
                taken.append((listener, moved))
                size += len(moved)
            del self._stirred[listener]
        return taken

    async def _tell(self, taken: list[tuple[Listener, dict[NamespaceId, int]]]) -> None:
        ears: list[Ear] = [(listener.device, namespace) for listener, moved in taken for namespace in moved]
        try:
            heads = await self._audience.may_hear(ears)
        except Retryable:
            heads = {}
        for listener, moved in taken:
            device = listener.device
            allowed = all(heads.get((device, namespace)) is not None for namespace in moved)
            # A subscription may have said some of it meanwhile, and something may have come.
            due = listener.due()
            if allowed and due is not None and due.keys() <= moved.keys():
                await listener.tell(due)
            else:
                listener.tell_itself()
