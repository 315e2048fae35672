"""What another role answers: a door that sends its callers there, with the same method, path and query (307); and that there are
no sockets here."""

from __future__ import annotations

from urllib.parse import quote

from syncline.model.errors import NotFound
from syncline.ports.clock import Chance
from syncline.server.gateway.edge import Receive, Scope, Send
from syncline.server.gateway.sockets import refuse


class Elsewhere:
    """`origin`: scheme, host and port of where the same path is answered."""

    def __init__(self, origin: str) -> None:
        self._origin = origin.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        query: bytes = scope.get("query_string", b"")
        location = self._origin.encode() + path + (b"?" + query if query else b"")
        headers = [(b"location", location), (b"content-length", b"0"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class NoSockets:
    """Refuses every WebSocket: clients cannot be sent elsewhere with one, and go on with long polls."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await refuse(send, NotFound(what="This address"), self._chance.token(8).hex())
