"""How a request reaches a route: its body as the very struct the route declares, its caller as the guard found it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import State

from syncline.model.errors import InvalidRequest
from syncline.server.accounts.sessions import Session
from syncline.server.caller import Caller

_HOST: Final = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")
_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
"""One per body struct: as many as there are routes with bodies."""


class Asked(Request[Caller, Session, State]):
    """A request. `user` is the `Caller`, `auth` the live `Session`, where the route asks for a sign-in."""

    async def json(self) -> Any:
        """The body, decoded straight into the struct that the route's `data` declares. Raises `InvalidRequest`."""
        field = self.route_handler.parsed_data_field
        wanted = field.annotation if field is not None else Any
        decoder = _decoders.get(wanted)
        if decoder is None:
            decoder = _decoders[wanted] = msgspec.json.Decoder(wanted)
        try:
            return decoder.decode(await self.body())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidRequest(message=str(error)) from error

    @property
    def address(self) -> str:
        """The peer's network address, for limits only."""
        return self.client.host if self.client else ""

    def base(self, public_url: str | None) -> str:
        """What goes before a path to make the URL this client can use: the configured one, else the one it used itself."""
        if public_url is not None:
            return public_url.rstrip("/")
        host = self.headers.get("host", "")
        if not _HOST.fullmatch(host):
            server = self.scope.get("server") or ("localhost", None)
            host = server[0] if server[1] is None else f"{server[0]}:{server[1]}"
        return f"{self.scope['scheme']}://{host}"


def whole(url: str, base: str) -> str:
    """A URL as a client can use it: those behind this same server are relative, and `base` goes before them."""
    return base + url if url.startswith("/") else url
