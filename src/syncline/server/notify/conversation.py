"""One device's socket: what it subscribes to, and the hints it is told.

While nothing moves it is one task that waits to be spoken to. The teller tells it together with others what is plain; for
everything else it has a task of its own, which lives while there is something to tell. Laws: nothing is told before it is known
that the device may still hear it; each hint is told once, and not more often than every `REST_S`, so what moves faster is told
together; a new mount of the person's begins to be heard with the hint that brings it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final

import msgspec

from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound, Retryable, SynclineError, Unauthenticated
from syncline.model.ids import DeviceId, NamespaceId
from syncline.model.limits import POLL_CURSORS_MAX
from syncline.ports.clock import Chance, Clock
from syncline.protocol.notifications import (
    GOING,
    REPLACED,
    UNLINKED,
    Bye,
    Hint,
    Refusal,
    Subscribe,
    Subscribed,
)
from syncline.protocol.problems import to_problem
from syncline.server.caller import Caller
from syncline.server.metadata.service import Metadata
from syncline.server.notify.hub import End, Hub, Waiter
from syncline.server.notify.standings import Standings
from syncline.server.notify.synced import LastSynced
from syncline.server.notify.teller import Teller

REST_S: Final = 0.2
RETRY_S: Final = 1.0
SUBSCRIBE_EVERY_S: Final = 0.1

Say = Callable[[str], Awaitable[None]]
Close = Callable[[int, str], Awaitable[None]]

_ENCODER: Final = msgspec.json.Encoder()
_SUBSCRIBE: Final = msgspec.json.Decoder(Subscribe)


@dataclass(frozen=True, slots=True)
class Desk:
    """What all conversations share."""

    metadata: Metadata
    hub: Hub
    standings: Standings
    clock: Clock
    chance: Chance
    synced: LastSynced
    teller: Teller


class Conversation:
    __slots__ = (
        "_asked_s",
        "_caller",
        "_close",
        "_closed",
        "_desk",
        "_others",
        "_ready",
        "_root",
        "_say",
        "_task",
        "_told_s",
        "waiter",
    )

    def __init__(self, desk: Desk, caller: Caller, say: Say, close: Close, ready: Callable[[], bool]) -> None:
        """`ready`: whether something can be said without waiting for the peer."""
        self._desk = desk
        self._caller = caller
        self._say = say
        self._ready = ready
        self._close = close
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._told_s = 0.0
        self._asked_s = 0.0
        self._root: NamespaceId | None = None
        """The person's own root, where it was subscribed to: mounts come and go in its journal."""
        self._others: frozenset[NamespaceId] = frozenset()
        """Namespaces that the device knows of and did not subscribe to."""
        self.waiter: Waiter | None = None

    # -- what the device says ------------------------------------------------------------------------------------------------------

    async def hear(self, text: str | bytes) -> None:
        """One message. Raises `InvalidRequest` for what is none; a subscription that is refused is told, not raised."""
        try:
            request = _SUBSCRIBE.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(message="This is no message of this socket") from error
        now_s = self._desk.clock.monotonic_s()
        if (rest_s := self._asked_s + SUBSCRIBE_EVERY_S - now_s) > 0:
            await asyncio.sleep(rest_s)
        self._asked_s = now_s + max(0.0, rest_s)
        try:
            answer = await self._subscribe(request.cursors)
        except Unauthenticated:
            raise
        except SynclineError as error:
            await self._tell(Refusal(problem=to_problem(error, self._desk.chance.token(8).hex())))
        else:
            await self._tell(answer)

    async def _subscribe(self, cursors: Sequence[str]) -> Subscribed:
        if not cursors:
            raise InvalidRequest(message="A subscription needs at least one cursor")
        if len(cursors) > POLL_CURSORS_MAX:
            raise LimitExceeded(what="The number of cursors", limit=POLL_CURSORS_MAX)
        desk, caller = self._desk, self._caller
        positions = await desk.metadata.positions(caller, cursors)
        # The device was looked at when the socket opened, which may be long ago.
        await desk.standings.check(caller, list(positions))
        assert self.waiter is not None
        desk.hub.retune(self.waiter, positions)
        heads = (await desk.metadata.namespaces(caller)).namespaces
        self._root = next((head.id for head in heads if head.is_root and head.id in positions), None)
        self._others = frozenset(head.id for head in heads if head.id not in positions)
        ahead = {head.id: head.sequence for head in heads if head.sequence > positions.get(head.id, head.sequence)}
        self.waiter.told(ahead)
        if not ahead:
            desk.synced.found_at(caller, positions, heads, polled=True)
        return Subscribed(changed=bool(ahead), namespaces=ahead)

    # -- what the device is told ---------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """There may be something to tell. Called on the event loop."""
        if self._task is None and not self._closed:
            self._desk.teller.stir(self)

    @property
    def device(self) -> DeviceId:
        return self._caller.device_id

    def due(self) -> dict[NamespaceId, int] | None:
        """As `teller.Listener` has it."""
        waiter = self.waiter
        if waiter is None or self._closed or self._task is not None or waiter.ended is not None or waiter.lost:
            return None
        if not waiter.has_moved or self._told_s + REST_S > self._desk.clock.monotonic_s() or not self._ready():
            return None
        moved = waiter.pending()
        return None if self._root in moved else moved

    async def tell(self, moved: dict[NamespaceId, int]) -> None:
        """As `teller.Listener` has it."""
        waiter = self.waiter
        assert waiter is not None
        delay_s, waiter.delay_s = waiter.delay_s, 0.0
        waiter.told(moved)
        self._told_s = self._desk.clock.monotonic_s()
        try:
            await self._tell(Hint(changed=True, namespaces=moved, delay=delay_s or None))
        except OSError:
            # The peer is gone; its connection says so to whoever listens to it.
            return

    def tell_itself(self) -> None:
        """As `teller.Listener` has it."""
        if self._task is None and not self._closed and self._pending():
            self._task = asyncio.create_task(self._tell_all(), context=Context())

    async def end(self) -> None:
        """The connection is gone."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell_all(self) -> None:
        """Everything there is to tell now."""
        try:
            while not self._closed and self._pending():
                rest_s = self._told_s + REST_S - self._desk.clock.monotonic_s()
                # An end waits for nothing: the connection may be gone in a moment.
                if rest_s > 0 and not self._ends():
                    await asyncio.sleep(rest_s)
                try:
                    await self._tell_next()
                except Retryable:
                    # Whether it may hear is not known: it is told later, not unasked.
                    await asyncio.sleep(RETRY_S * (0.5 + self._desk.chance.fraction()))
        except OSError:
            # The peer is gone.
            await self._hang_up(GOING, "")
        finally:
            self._task = None

    def _ends(self) -> bool:
        return self.waiter is not None and self.waiter.ended is not None

    def _pending(self) -> bool:
        waiter = self.waiter
        return waiter is not None and (waiter.ended is not None or waiter.lost or waiter.has_moved)

    async def _tell_next(self) -> None:
        waiter = self.waiter
        assert waiter is not None
        if waiter.ended is not None:
            await self._part(waiter.ended, waiter.delay_s)
            return
        moved = waiter.pending()
        try:
            await self._desk.standings.check(self._caller, list(moved))
        except Unauthenticated:
            await self._part(End.UNLINKED, 0.0)
            return
        except NotFound:
            waiter.lose()
        delay_s, waiter.delay_s = waiter.delay_s, 0.0
        self._told_s = self._desk.clock.monotonic_s()
        if waiter.lost:
            await self._keep_what_is_left(waiter)
            await self._tell(Hint(changed=False, sync=True, delay=delay_s or None))
            return
        # Asked first: where it cannot be said, what moved is still to be told.
        fresh = await self._newly_mounted(waiter) if self._root in moved else {}
        # A subscription may have said some of it meanwhile.
        moved = {namespace: head for namespace, head in waiter.pending().items() if namespace in moved}
        waiter.told(moved)
        moved |= fresh
        if not moved:
            return
        await self._tell(Hint(changed=True, namespaces=moved, delay=delay_s or None))

    async def _newly_mounted(self, waiter: Waiter) -> dict[NamespaceId, int]:
        """Namespaces that this person may see since lately; they are heard of from now on."""
        heads = {head.id: head.sequence for head in (await self._desk.metadata.namespaces(self._caller)).namespaces}
        if any(namespace not in heads for namespace in waiter.positions):
            waiter.lose()
        fresh = {
            namespace: head
            for namespace, head in heads.items()
            if namespace not in waiter.positions and namespace not in self._others
        }
        if fresh:
            self._desk.hub.retune(waiter, waiter.positions | fresh)
        return fresh

    async def _keep_what_is_left(self, waiter: Waiter) -> None:
        heads = {head.id for head in (await self._desk.metadata.namespaces(self._caller)).namespaces}
        waiter.lost = False
        self._desk.hub.retune(waiter, {namespace: at for namespace, at in waiter.positions.items() if namespace in heads})

    async def _part(self, why: End, delay_s: float) -> None:
        if why is End.CLOSING:
            await self._tell(Bye(reconnect_after=round(delay_s + self._desk.chance.fraction(), 3)))
        code = {End.CLOSING: GOING, End.REPLACED: REPLACED, End.UNLINKED: UNLINKED}[why]
        await self._hang_up(code, why.value)

    async def _hang_up(self, code: int, reason: str) -> None:
        self._closed = True
        try:
            await self._close(code, reason)
        except OSError:
            return

    async def _tell(self, message: Subscribed | Hint | Refusal | Bye) -> None:
        # A peer that takes nothing is broken off by whoever holds its connection.
        await self._say(_ENCODER.encode(message).decode())
