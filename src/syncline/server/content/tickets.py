"""Tickets: signed, expiring capabilities to read one revision through the content door.

A ticket names what may be read and who got it; it holds for minutes, and whether that one may still read is asked live when it is
shown (`Downloads.admit`). Its key serves nothing else, so nothing else that this server signs passes for a ticket.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

import msgspec
from msgspec import Struct

from syncline.model.errors import Forbidden
from syncline.model.ids import NamespaceId, NodeId, UserId
from syncline.model.limits import GRANT_TTL_S
from syncline.ports.clock import Clock

SECRET_MIN_BYTES: Final = 32
TOKEN_MAX_CHARS: Final = 512
_LABEL: Final = b"syncline content ticket 1\0"
_MAC_BYTES: Final = 32


class Holder(Struct, frozen=True, array_like=True):
    """Whom a ticket was given to: `kind` says who is asked about `id` when it is shown (`device`, `link`, …)."""

    kind: str
    id: str
    user: UserId | None = None


class Ticket(Struct, frozen=True, array_like=True):
    """One revision, for one holder, until `expires_s` (seconds since 1970)."""

    namespace: NamespaceId
    node_id: NodeId
    revision: int
    inline: bool
    expires_s: int
    holder: Holder


class Tickets:
    """Makes and reads tickets under one secret key."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        if len(secret) < SECRET_MIN_BYTES:
            raise ValueError(f"a ticket key takes at least {SECRET_MIN_BYTES} bytes")
        self._secret = secret
        self._clock = clock

    def expiry(self, ttl_s: int) -> int:
        """When a ticket made now for `ttl_s` seconds expires; none lives longer than `GRANT_TTL_S`."""
        return self._clock.now_us() // 1_000_000 + min(ttl_s, GRANT_TTL_S)

    def seal(self, ticket: Ticket) -> str:
        body = msgspec.msgpack.encode(ticket)
        return urlsafe_b64encode(body + self._mac(body)).rstrip(b"=").decode()

    def open(self, token: str) -> Ticket:
        """Raises `Forbidden` unless this server sealed it, unaltered, and it has not expired."""
        if len(token) > TOKEN_MAX_CHARS or not token.isascii():
            raise Forbidden(what="use this URL (it was altered)")
        try:
            sealed = b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (Base64Error, ValueError):
            raise Forbidden(what="use this URL (it was altered)") from None
        body, mac = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        # The last character of base64 may hold bits that are thrown away: only the one spelling we made is taken.
        spelled = urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if not hmac.compare_digest(mac, self._mac(body)) or spelled != token:
            raise Forbidden(what="use this URL (it was altered)")
        ticket = msgspec.msgpack.decode(body, type=Ticket)
        if ticket.expires_s <= self._clock.now_us() // 1_000_000:
            raise Forbidden(what="use this URL (it has expired)")
        return ticket

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, _LABEL + body, hashlib.sha256)
