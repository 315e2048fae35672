"""The bell: long polls answered over a notification socket that stays open, where server and way allow one.

For whoever polls nothing changes but the cost. Laws: an answer says no more than a poll's would; the socket is subscribed to just
the cursors that were asked with; at the end of a quiet wait the server is asked over it once more where its heads stand, so that
"nothing moved" is its word and not the silence of a dead connection. Where no socket can be had, polls go on as requests, and a
socket is tried again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from syncline.adapters.http.caller import Caller, network_errors
from syncline.model.errors import Closed, SynclineError, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId
from syncline.ports.clock import Clock
from syncline.protocol.changes import PollAnswer
from syncline.protocol.notifications import SOCKET_PATH, Bye, Hint, Refusal, Subscribe, Subscribed
from syncline.protocol.problems import from_problem

ANSWER_S: Final = 20.0
"""So long the server may take to say where its heads stand."""
AGAIN_S: Final = 300.0
"""After a socket was refused or its handshake failed, polls are requests for so long."""
LOOK_EVERY_S: Final = 600.0
"""Once in so long a quiet wait ends with "look anyway", as every poll's does."""
MESSAGE_MAX_BYTES: Final = 256 * 1024

_MESSAGES: Final = msgspec.json.Decoder(Subscribed | Hint | Refusal | Bye)


class NoSocket(Exception):
    """None is to be had now: ask as a request."""


class Bell:
    """One socket, for one who waits at a time."""

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self._caller = caller
        self._clock = clock
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._busy = False
        self._subscribed: tuple[str, ...] = ()
        self._again_s = float("-inf")
        self._looked_s = clock.monotonic_s()

    async def poll(self, cursors: Sequence[str], timeout_s: int) -> PollAnswer:
        """As `Remote.poll`. Raises `NoSocket` where that should be asked as a request."""
        if self._busy or self._clock.monotonic_s() < self._again_s:
            raise NoSocket
        self._busy = True
        kept = False
        try:
            async with self._caller.until_closed():
                with network_errors("the server"):
                    answer = await self._wait(tuple(cursors), timeout_s)
            kept = True
            return answer
        finally:
            self._busy = False
            if not kept:
                # What was on its way when somebody gave up or something failed would be taken for the next answer.
                await self.close()

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        self._subscribed = ()
        if socket is not None:
            # Nobody waits for the other side's word.
            await asyncio.shield(asyncio.create_task(_ended(socket)))

    async def _wait(self, cursors: tuple[str, ...], timeout_s: int) -> PollAnswer:
        if cursors != self._subscribed or self._socket is None:
            answer = await self._subscribe(cursors)
            if answer.changed:
                return PollAnswer(changed=True, namespaces=answer.namespaces)
        message = await self._next(timeout_s)
        if message is None:
            return await self._confirmed(cursors)
        if isinstance(message, Hint):
            # The next poll says anew where it stands.
            self._subscribed = ()
            return PollAnswer(changed=message.changed, namespaces=message.namespaces, sync=message.sync, delay=message.delay)
        if isinstance(message, Bye):
            await self.close()
            self._again_s = self._clock.monotonic_s() + message.reconnect_after
            return PollAnswer(changed=False, sync=True, delay=message.reconnect_after)
        raise Unavailable(what="the server", reason="it spoke out of turn")

    async def _confirmed(self, cursors: tuple[str, ...]) -> PollAnswer:
        """After a quiet wait: whether really nothing moved."""
        answer = await self._subscribe(cursors)
        if answer.changed:
            return PollAnswer(changed=True, namespaces=answer.namespaces)
        now_s = self._clock.monotonic_s()
        sync = now_s - self._looked_s >= LOOK_EVERY_S
        if sync:
            self._looked_s = now_s
        return PollAnswer(changed=False, sync=sync)

    async def _subscribe(self, cursors: tuple[str, ...]) -> Subscribed:
        """Raises what the server refuses the cursors with."""
        socket = await self._opened()
        self._subscribed = ()
        await socket.send_str(msgspec.json.encode(Subscribe(cursors=list(cursors))).decode())
        namespaces: dict[NamespaceId, int] = {}
        while True:
            message = await self._next(ANSWER_S)
            if isinstance(message, Subscribed):
                namespaces |= message.namespaces
                # What was told is not told again: who asks once more with the same cursors must subscribe once more.
                self._subscribed = () if namespaces else cursors
                return Subscribed(changed=bool(namespaces), namespaces=namespaces)
            if isinstance(message, Refusal):
                raise from_problem(message.problem)
            if not isinstance(message, Hint):
                raise Unavailable(what="the server", reason="it did not answer on its socket")
            # On its way when this was asked: it counts, whatever the cursors are.
            namespaces |= message.namespaces

    async def _next(self, timeout_s: float) -> Subscribed | Hint | Refusal | Bye | None:
        """The next message, None when none came in time. Raises `Unavailable` when the socket has ended: why, the next request
        tells."""
        assert self._socket is not None
        try:
            async with asyncio.timeout(timeout_s):
                message = await self._socket.receive()
        except TimeoutError:
            return None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Unavailable(what="the server", reason="its socket has ended")
        try:
            decoded: Subscribed | Hint | Refusal | Bye = _MESSAGES.decode(message.data)
            return decoded
        except msgspec.DecodeError as error:
            raise Unavailable(what="the server", reason="what its socket says is not understood") from error

    async def _opened(self) -> aiohttp.ClientWebSocketResponse:
        if self._socket is None or self._socket.closed:
            try:
                self._socket = await self._caller.open_socket(SOCKET_PATH, MESSAGE_MAX_BYTES)
            except (Unauthenticated, Closed):
                raise
            except SynclineError as error:
                self._again_s = self._clock.monotonic_s() + AGAIN_S
                raise NoSocket from error
        return self._socket


async def _ended(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async with asyncio.timeout(1):
            await socket.close()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return
