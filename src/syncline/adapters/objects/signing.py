"""Presigned URLs of the disk store: `/objects/KEY?expires=…&signed=…&signature=…`.

The signature is an HMAC-SHA256 over method, key, expiry, every signed header with its value and every other parameter of the
query, so only those may be sent and none may be altered. URLs are relative: whoever hands one out puts before it the
base its reader used.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from syncline.model.errors import Forbidden
from syncline.model.ids import Digest
from syncline.ports.clock import Clock
from syncline.protocol.blocks import SignedRequest

PREFIX: Final = "/objects/"
PART_NUMBER: Final = "partNumber"
PART_HEADERS: Final = ("content-length",)
PUT_HEADERS: Final = ("content-length", "x-amz-checksum-sha256", "if-none-match")
ANSWER_HEADERS: Final = ("content-type", "content-disposition")
"""What a URL may have its answer bear; in the query they are `response-…`, as S3 has them."""
QUERY_MAX_BYTES: Final = 4096
_FIELDS_MAX: Final = 16
_OWN: Final = ("expires", "signed", "signature")


class UrlSigner:
    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def sign(
        self, method: str, key: str, headers: Mapping[str, str], ttl_s: int, parameters: Mapping[str, str] | None = None
    ) -> SignedRequest:
        """A request for `method` on `key` that holds for `ttl_s` seconds. `headers` are lower-case and must be sent as given;
        `parameters` stand in the query, and are bound with it."""
        expires = self._clock.now_us() // 1_000_000 + ttl_s
        signature = self._signature(method, key, str(expires), headers, parameters or {})
        fields = dict(parameters or {}) | {"expires": str(expires)} | ({"signed": ";".join(headers)} if headers else {})
        query = urlencode(fields, safe=";")
        return SignedRequest(url=f"{PREFIX}{key}?{query}&signature={signature}", headers=dict(headers))

    def verify(self, method: str, key: str, query: bytes, sent: Mapping[str, str]) -> dict[str, str]:
        """The request's own parameters. Raises `Forbidden` unless this very request was signed and has not expired. `sent` are the
        request's headers."""
        if len(query) > QUERY_MAX_BYTES or query.count(b"&") >= _FIELDS_MAX:
            raise Forbidden(what="use this URL (it was altered)")
        fields = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        names = fields.get("signed", "").split(";") if fields.get("signed") else []
        if method == "PUT" and tuple(names) != (PART_HEADERS if PART_NUMBER in fields else PUT_HEADERS):
            raise Forbidden(what="use this URL (it was altered)")
        headers = {name: sent.get(name, "") for name in names}
        parameters = {name: value for name, value in fields.items() if name not in _OWN}
        expected = self._signature(method, key, fields.get("expires", ""), headers, parameters)
        if not hmac.compare_digest(expected.encode(), fields.get("signature", "").encode(errors="replace")):
            raise Forbidden(what="use this URL (it, or a header it binds, was altered)")
        if int(fields["expires"]) <= self._clock.now_us() // 1_000_000:
            raise Forbidden(what="use this URL (it has expired)")
        return parameters

    def _signature(self, method: str, key: str, expires: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> str:
        lines = [method, key, expires, *(f"{name}:{value}" for name, value in headers.items())]
        lines += [f"{quote(name)}={quote(value)}" for name, value in sorted(parameters.items())]
        mac = hmac.digest(self._secret, "\n".join(lines).encode(errors="replace"), hashlib.sha256)
        return urlsafe_b64encode(mac).decode().rstrip("=")


def put_headers(size: int, sha256: Digest) -> dict[str, str]:
    """The headers a PUT of exactly these bytes binds."""
    checksum = b64encode(bytes.fromhex(sha256)).decode()
    return dict(zip(PUT_HEADERS, (str(size), checksum, "*"), strict=True))


def answer_parameters(answer: Mapping[str, str] | None) -> dict[str, str]:
    """The query's parameters that ask for these headers in the answer."""
    return {f"response-{name}": value for name, value in (answer or {}).items() if name in ANSWER_HEADERS}


def part_headers(size: int) -> dict[str, str]:
    """The headers a PUT of one part binds: every client sends them by itself."""
    return dict(zip(PART_HEADERS, (str(size),), strict=True))


def checksum_digest(header: str) -> Digest:
    """The SHA-256 of an `x-amz-checksum-sha256` header that the signature has proven to be ours."""
    return Digest(b64decode(header).hex())
