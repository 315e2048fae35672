"""Page tokens of views: what an answer needs to go on, packed and signed, bound to the user and to the door it came from.

A token says where a reading stood; whether the reader may still read there is asked at every page. The bodies are MessagePack of
the structs the views define, so an older server's token that no longer fits is refused like a forged one.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final, TypeVar

import msgspec

from syncline.model.errors import CorruptCursor
from syncline.model.ids import UserId

SECRET_MIN_BYTES: Final = 32
TOKEN_MAX_CHARS: Final = 24 * 1024
"""Above this no token is made or read: it has to fit into an address."""
_MAC_BYTES: Final = 32

T = TypeVar("T", bound=msgspec.Struct)


class TokenCodec:
    """Makes and reads page tokens under one secret key."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_MIN_BYTES:
            raise ValueError(f"a token key takes at least {SECRET_MIN_BYTES} bytes")
        self._secret = secret

    def encode(self, user: UserId, body: msgspec.Struct) -> str:
        packed = msgspec.msgpack.encode(body)
        return urlsafe_b64encode(self._mac(type(body), user, packed) + packed).rstrip(b"=").decode()

    def decode(self, user: UserId, text: str, kind: type[T]) -> T:
        """Raises `CorruptCursor` for a text this server did not give this user as a token of this kind."""
        if len(text) > TOKEN_MAX_CHARS or not text.isascii():
            raise CorruptCursor
        try:
            signed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (Base64Error, ValueError):
            raise CorruptCursor from None
        mac, packed = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(kind, user, packed)):
            raise CorruptCursor
        try:
            return msgspec.msgpack.decode(packed, type=kind)
        except msgspec.MsgspecError:
            raise CorruptCursor from None

    def _mac(self, kind: type[msgspec.Struct], user: UserId, packed: bytes) -> bytes:
        """Over the kind's name, the user and the body: names end in NUL, and user ids have one length."""
        return hmac.digest(self._secret, f"syncline {kind.__name__}\0{user}".encode() + packed, hashlib.sha256)
