"""The object store's own door, `POST /store-events/`: it says which objects have arrived, and nobody waits for a client to say so.

Laws: only who holds the token is heard, and what they say is believed in nothing but the key: size and checksum are asked of the
store. An event may come twice, late, out of order or never (sweeps find what it was about); one that could not be seen to is
answered 503, so that the store says it again.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from syncline.model.errors import LimitExceeded, NotFound, Refused, SynclineError, Unauthenticated
from syncline.model.limits import MIB
from syncline.protocol.problems import problem_answer
from syncline.protocol.store_events import arrivals

PREFIX: Final = "/store-events/"
EVENTS_MAX_BYTES: Final = 1 * MIB

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Heard: TypeAlias = Callable[[str], Awaitable[bool]]
"""Told the key of an object that the store has; whether it knows of it. Idempotent."""


class StoreEvents:
    def __init__(self, token: str, buckets: Collection[str], heard: Sequence[Heard]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._buckets = frozenset(buckets)
        self._heard = heard

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """`scope["syncline.request_id"]` names the request in problem documents."""
        try:
            if scope["path"] != PREFIX or scope["method"] != "POST":
                raise NotFound(what="This address")
            said = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(said, self._expected):
                raise Unauthenticated(reason="this is not the token of objects.events_token_file")
            for key in arrivals(await _whole(receive), self._buckets):
                await self._hear(key)
        except SynclineError as error:
            status, headers, body = problem_answer(error, scope["syncline.request_id"])
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _hear(self, key: str) -> None:
        for heard in self._heard:
            try:
                if await heard(key):
                    return
            except Refused:
                # Said again it would be refused again; its client is told why.
                return


async def _whole(receive: Receive) -> bytes:
    pieces, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > EVENTS_MAX_BYTES:
            raise LimitExceeded(what="The body", limit=EVENTS_MAX_BYTES)
        more = message.get("more_body", False)
    return b"".join(pieces)
