"""Link tokens: 36 bytes in base64url, the namespace's id and 160 random bits. Only their SHA-256 is stored, so a stolen database
opens no link; the namespace in front says where to look."""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

from syncline.model.errors import NotFound
from syncline.model.ids import Digest, NamespaceId, ulid_bytes, ulid_of
from syncline.ports.clock import Chance

TOKEN_CHARS: Final = 48
_NAMESPACE_BYTES: Final = 16
_SECRET_BYTES: Final = 20


def fresh_token(namespace: NamespaceId, chance: Chance) -> str:
    return urlsafe_b64encode(ulid_bytes(namespace) + chance.token(_SECRET_BYTES)).decode()


def token_hash(token: str) -> Digest:
    return Digest(hashlib.sha256(token.encode()).hexdigest())


def read_token(token: str) -> tuple[NamespaceId, Digest]:
    """Where to look for the link, and by what. Raises `no_such_link()` for what is no token."""
    if len(token) != TOKEN_CHARS or not token.isascii():
        raise no_such_link()
    try:
        data = b64decode(token, altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        raise no_such_link() from None
    if len(data) != _NAMESPACE_BYTES + _SECRET_BYTES:
        raise no_such_link()
    return NamespaceId(ulid_of(data[:_NAMESPACE_BYTES])), token_hash(token)


def no_such_link() -> NotFound:
    """The one answer to tokens that are wrong, revoked, expired or used up, and to links whose node or maker's access is gone."""
    return NotFound(what="This link")
