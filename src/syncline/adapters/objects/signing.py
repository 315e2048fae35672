"""Presigned URLs of the disk store: `/objects/KEY?expires=…&signed=…&signature=…`.

The signature is an HMAC-SHA256 over method, key, expiry and every signed header with its value, so only those may be sent and
none may be altered (parameters in the query would bind nothing). URLs are relative: whoever hands one out puts before it the
base its reader used.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from syncline.model.errors import Forbidden
from syncline.model.ids import Digest
from syncline.ports.clock import Clock
from syncline.protocol.blocks import SignedRequest

PREFIX: Final = "/objects/"
PUT_HEADERS: Final = ("content-length", "x-amz-checksum-sha256", "if-none-match")
QUERY_MAX_BYTES: Final = 1024


class UrlSigner:
    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def sign(self, method: str, key: str, headers: Mapping[str, str], ttl_s: int) -> SignedRequest:
        """A request for `method` on `key` that holds for `ttl_s` seconds. `headers` are lower-case and must be sent as given."""
        expires = self._clock.now_us() // 1_000_000 + ttl_s
        signature = self._signature(method, key, str(expires), headers)
        query = f"expires={expires}" + (f"&signed={';'.join(headers)}" if headers else "")
        return SignedRequest(url=f"{PREFIX}{key}?{query}&signature={signature}", headers=dict(headers))

    def verify(self, method: str, key: str, query: bytes, sent: Mapping[str, str]) -> None:
        """Raises `Forbidden` unless this very request was signed and has not expired. `sent` are the request's headers."""
        if len(query) > QUERY_MAX_BYTES:
            raise Forbidden(what="use this URL (it was altered)")
        fields = dict(parse_qsl(query.decode("latin-1"), max_num_fields=8))
        names = fields.get("signed", "").split(";") if fields.get("signed") else []
        if method == "PUT" and tuple(names) != PUT_HEADERS:
            raise Forbidden(what="use this URL (it was altered)")
        headers = {name: sent.get(name, "") for name in names}
        expected = self._signature(method, key, fields.get("expires", ""), headers)
        if not hmac.compare_digest(expected.encode(), fields.get("signature", "").encode(errors="replace")):
            raise Forbidden(what="use this URL (it, or a header it binds, was altered)")
        if int(fields["expires"]) <= self._clock.now_us() // 1_000_000:
            raise Forbidden(what="use this URL (it has expired)")

    def _signature(self, method: str, key: str, expires: str, headers: Mapping[str, str]) -> str:
        lines = [method, key, expires, *(f"{name}:{value}" for name, value in headers.items())]
        mac = hmac.digest(self._secret, "\n".join(lines).encode(errors="replace"), hashlib.sha256)
        return urlsafe_b64encode(mac).decode().rstrip("=")


def put_headers(size: int, sha256: Digest) -> dict[str, str]:
    """The headers a PUT of exactly these bytes binds."""
    checksum = b64encode(bytes.fromhex(sha256)).decode()
    return dict(zip(PUT_HEADERS, (str(size), checksum, "*"), strict=True))


def checksum_digest(header: str) -> Digest:
    """The SHA-256 of an `x-amz-checksum-sha256` header that the signature has proven to be ours."""
    return Digest(b64decode(header).hex())
