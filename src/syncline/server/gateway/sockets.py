"""The door of the notification socket: bare ASGI, since it stands open for hours and must be light.

Who asks is settled before the socket is accepted, as at every other door, by the access token in `Authorization`; a refusal is an
HTTP answer with a problem document. Later the device is looked at whenever it is told something, and every few seconds besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from syncline.model.errors import InvalidRequest, NotFound, SynclineError, Unauthenticated
from syncline.ports.clock import Chance
from syncline.protocol.notifications import INVALID, SOCKET_PATH, TOO_LATE, UNLINKED
from syncline.protocol.problems import problem_answer
from syncline.server.accounts.sessions import Accounts
from syncline.server.caller import Caller
from syncline.server.gateway.edge import Admit, App, Receive, Scope, Send
from syncline.server.gateway.failures import log_defect
from syncline.server.notify.conversation import Conversation, Desk
from syncline.server.notify.presence import Presences

SUBSCRIBE_S: Final = 10.0
READY: Final = "syncline.ready"
"""An extension of the scope: a function that says whether what is sent now need not wait for the peer."""


def admitted(sockets: App, admit: Admit, chance: Chance) -> App:
    """`sockets` for those network addresses that `admit` does not raise for."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await admit((scope.get("client") or ("",))[0])
        except SynclineError as error:
            await receive()
            await refuse(send, error, chance.token(8).hex())
            return
        await sockets(scope, receive, send)

    return door


class SocketDoor:
    def __init__(self, accounts: Accounts, desk: Desk, presences: Presences, chance: Chance) -> None:
        self._accounts = accounts
        self._desk = desk
        self._presences = presences
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            caller = await self._admitted(scope)
            # A socket keeps its scope for as long as it stands.
            scope["headers"] = ()
            await self._talk(caller, scope["extensions"].get(READY, _never), receive, send)
        except SynclineError as error:
            await refuse(send, error, self._chance.token(8).hex())
        except OSError:
            # The peer is gone.
            return
        except Exception as error:
            # Nobody else would say it; the connection is broken off.
            log_defect(error, self._chance.token(8).hex(), SOCKET_PATH)
            raise

    async def _admitted(self, scope: Scope) -> Caller:
        """Raises `NotFound`, `Unauthenticated`, `Unavailable`."""
        if scope["path"] != SOCKET_PATH:
            raise NotFound(what="This address")
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = header.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(reason="this needs an access token")
        return (await self._accounts.authenticate(token.strip())).caller

    async def _talk(self, caller: Caller, ready: Callable[[], bool], receive: Receive, send: Send) -> None:
        """Raises `TooBusy` before the socket is accepted, and nothing after."""
        connection = _Connection(send)
        conversation = Conversation(self._desk, caller, connection.say, connection.close, ready)
        with self._desk.hub.listen(caller, {}, conversation.stir) as waiter:
            conversation.waiter = waiter
            await send({"type": "websocket.accept"})
            self._presences.came(caller)
            try:
                await _listen(conversation, connection, receive)
            except OSError:
                # The peer is gone.
                return
            finally:
                await conversation.end()


async def _listen(conversation: Conversation, connection: _Connection, receive: Receive) -> None:
    try:
        async with asyncio.timeout(SUBSCRIBE_S):
            message = await receive()
    except TimeoutError:
        await connection.close(TOO_LATE, "nothing was subscribed to")
        return
    while message["type"] == "websocket.receive":
        try:
            await conversation.hear(message.get("text") or b"")
        except InvalidRequest as error:
            await connection.close(INVALID, str(error))
            return
        except Unauthenticated:
            await connection.close(UNLINKED, "unlinked")
            return
        message = await receive()


def _never() -> bool:
    """Of a server that does not tell."""
    return False


class _Connection:
    """`send` in the words of a conversation."""

    __slots__ = ("_closed", "_send")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._closed = False

    async def say(self, text: str) -> None:
        if not self._closed:
            await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def refuse(send: Send, error: SynclineError, request_id: str) -> None:
    """An HTTP answer in the place of a socket."""
    status, headers, body = problem_answer(error, request_id)
    headers += [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
    start: MutableMapping[str, Any] = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    try:
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body})
    except OSError:
        return
