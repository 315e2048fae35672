"""Cursors: opaque, signed positions in one namespace's journal, bound to the user they were given to.

Byte tables are in `docs/format/cursor.md`. A signature says only that this server once said so: whether the position is still part
of the history is checked against the journal at every reading, and membership is never stored in a cursor. Page tokens of
snapshots are a cursor and the last node listed, signed under a label of their own, so neither passes for the other.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

from msgspec import Struct

from syncline.model.errors import CorruptCursor
from syncline.model.ids import Digest, NamespaceId, NodeId, UserId, is_ulid

CURSOR_VERSION: Final = 1
SECRET_MIN_BYTES: Final = 32
_LAYOUT: Final = struct.Struct(">B26s26sQ32s")
_MAC_BYTES: Final = 32
_NODE_BYTES: Final = 26
_CURSOR_LABEL: Final = b"syncline cursor\0"
_PAGE_LABEL: Final = b"syncline snapshot page\0"
TEXT_MAX_CHARS: Final = 256
"""No cursor or page token is longer; longer texts are not even decoded."""


class Cursor(Struct, frozen=True):
    """The position after the row `sequence`, with the chain as it stood there."""

    namespace: NamespaceId
    epoch: str
    sequence: int
    chain: Digest


class CursorCodec:
    """Makes and reads cursors under one secret key."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_MIN_BYTES:
            raise ValueError(f"a cursor key takes at least {SECRET_MIN_BYTES} bytes")
        self._secret = secret

    def encode(self, cursor: Cursor, user: UserId) -> str:
        return self._sign(_CURSOR_LABEL, user, _pack(cursor))

    def decode(self, text: str, user: UserId) -> Cursor:
        """Raises `CorruptCursor` for a text this server did not give this user as a cursor."""
        return _unpack(self._open(_CURSOR_LABEL, user, text, _LAYOUT.size))

    def encode_page(self, cursor: Cursor, last: NodeId, user: UserId) -> str:
        return self._sign(_PAGE_LABEL, user, _pack(cursor) + last.encode())

    def decode_page(self, text: str, user: UserId) -> tuple[Cursor, NodeId]:
        """Raises `CorruptCursor` for a text this server did not give this user as a page token."""
        body = self._open(_PAGE_LABEL, user, text, _LAYOUT.size + _NODE_BYTES)
        return _unpack(body[: _LAYOUT.size]), NodeId(body[_LAYOUT.size :].decode())

    def _sign(self, label: bytes, user: UserId, body: bytes) -> str:
        return urlsafe_b64encode(body + self._mac(label, user, body)).rstrip(b"=").decode()

    def _open(self, label: bytes, user: UserId, text: str, size: int) -> bytes:
        if len(text) > TEXT_MAX_CHARS or not text.isascii():
            raise CorruptCursor
        try:
            signed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (Base64Error, ValueError):
            raise CorruptCursor from None
        body, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        if len(body) != size or not hmac.compare_digest(mac, self._mac(label, user, body)) or body[0] != CURSOR_VERSION:
            raise CorruptCursor
        return body

    def _mac(self, label: bytes, user: UserId, body: bytes) -> bytes:
        """Over label, user and body: each label ends in NUL, and the body's length is fixed for its label."""
        return hmac.digest(self._secret, label + user.encode() + body, hashlib.sha256)


def _pack(cursor: Cursor) -> bytes:
    assert is_ulid(cursor.namespace)
    assert is_ulid(cursor.epoch)
    chain = bytes.fromhex(cursor.chain)
    return _LAYOUT.pack(CURSOR_VERSION, cursor.namespace.encode(), cursor.epoch.encode(), cursor.sequence, chain)


def _unpack(body: bytes) -> Cursor:
    _version, namespace, epoch, sequence, chain = _LAYOUT.unpack(body)
    return Cursor(NamespaceId(namespace.decode()), epoch.decode(), sequence, Digest(chain.hex()))
