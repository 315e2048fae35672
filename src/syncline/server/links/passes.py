"""Passes: short signed texts a browser keeps as cookies, so that a password is not asked for at every click, nor a download that
was begun counted again when it is gone on with.

A pass holds for one purpose, one link and one subject (the stored password hash, or a revision), until it expires; changing the
password ends all that were given for the old one. Their key serves nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

from syncline.model.ids import LinkId
from syncline.model.limits import LINK_PASS_TTL_S
from syncline.ports.clock import Clock

PASSWORD: Final = "password"
DOWNLOAD: Final = "download"
_LABEL: Final = b"syncline link pass 1"
_EXPIRY_DIGITS_MAX: Final = 12


class Passes:
    """Makes and checks passes under one secret key."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def give(self, purpose: str, link: LinkId, subject: str) -> str:
        expires_s = self._clock.now_us() // 1_000_000 + LINK_PASS_TTL_S
        return f"{expires_s}.{self._mac(purpose, link, subject, expires_s)}"

    def holds(self, given: str | None, purpose: str, link: LinkId, subject: str) -> bool:
        expiry, _, mac = (given or "").partition(".")
        if not expiry.isdecimal() or not expiry.isascii() or len(expiry) > _EXPIRY_DIGITS_MAX:
            return False
        expires_s = int(expiry)
        right = hmac.compare_digest(mac.encode(), self._mac(purpose, link, subject, expires_s).encode())
        return right and self._clock.now_us() // 1_000_000 < expires_s

    def _mac(self, purpose: str, link: LinkId, subject: str, expires_s: int) -> str:
        parts = (_LABEL, purpose.encode(), link.encode(), subject.encode(), str(expires_s).encode())
        body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return urlsafe_b64encode(hmac.digest(self._secret, body, hashlib.sha256)).rstrip(b"=").decode()
