"""AWS Signature Version 4 for S3: presigned URLs that bind headers, and signed requests of the server's own.

Source: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference. Written here because signing is asked
for by the thousand on the event loop, and this takes a tenth of the time that the usual library does; the tests compare the two.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from syncline.ports.clock import Clock

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")


class Credentials(Struct, frozen=True, kw_only=True):
    access_key: str
    secret_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"


class Signer:
    """Signs for one region with one set of credentials."""

    def __init__(self, credentials: Credentials, region: str, clock: Clock) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock
        self._key: tuple[str, bytes] = ("", b"")
        self._second: tuple[int, tuple[str, str, str]] = (-1, ("", "", ""))

    def presign(
        self, method: str, origin: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str], ttl_s: int
    ) -> str:
        """A URL for `method` on `path` (decoded) of `origin` (`https://HOST[:PORT]`), good for `ttl_s` seconds. `headers`
        (lower-case names) must be sent as given; whatever else is sent does not count."""
        time, date, scope = self._now()
        signed = {"host": _host(origin)} | dict(headers)
        names = ";".join(sorted(signed))
        token = self._credentials.session_token
        parameters = dict(query) | {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self._credentials.access_key}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": str(ttl_s),
            "X-Amz-SignedHeaders": names,
            **({} if token is None else {"X-Amz-Security-Token": token}),
        }
        text = _query(parameters)
        quoted = _quoted(path, "/")
        signature = self._signature(_canonical(method, quoted, text, signed, names, _UNSIGNED), time, date, scope)
        return f"{origin}{quoted}?{text}&X-Amz-Signature={signature}"

    def signed(
        self,
        method: str,
        origin: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        payload_sha256: str = EMPTY_SHA256,
    ) -> tuple[str, dict[str, str]]:
        """The URL of a request to make now, and all headers to make it with."""
        time, date, scope = self._now()
        token = self._credentials.session_token
        own = {"x-amz-date": time, "x-amz-content-sha256": payload_sha256}
        sent = dict(headers) | own | ({} if token is None else {"x-amz-security-token": token})
        signed = {"host": _host(origin)} | sent
        names = ";".join(sorted(signed))
        text, quoted = _query(query), _quoted(path, "/")
        signature = self._signature(_canonical(method, quoted, text, signed, names, payload_sha256), time, date, scope)
        credential = f"Credential={self._credentials.access_key}/{scope}"
        sent["authorization"] = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        return f"{origin}{quoted}{'?' if text else ''}{text}", sent

    def _now(self) -> tuple[str, str, str]:
        """Time, date and scope of a signature made now; the same all through a second."""
        second = self._clock.now_us() // 1_000_000
        if second != self._second[0]:
            time = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
            self._second = second, (time, time[:8], f"{time[:8]}/{self._region}/s3/aws4_request")
        return self._second[1]

    def _signature(self, request: str, time: str, date: str, scope: str) -> str:
        digest = hashlib.sha256(request.encode()).hexdigest()
        return hmac.digest(self._signing_key(date), f"{_ALGORITHM}\n{time}\n{scope}\n{digest}".encode(), "sha256").hex()

    def _signing_key(self, date: str) -> bytes:
        """A key holds for a day and a region; deriving it is most of the work."""
        if self._key[0] != date:
            key = f"AWS4{self._credentials.secret_key}".encode()
            for part in (date, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (date, key)
        return self._key[1]


def _canonical(method: str, path: str, query: str, headers: Mapping[str, str], names: str, payload_sha256: str) -> str:
    lines = "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers)])
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_sha256}"


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(sorted([f"{_quoted(name)}={_quoted(value)}" for name, value in parameters.items()]))


def _quoted(text: str, safe: str = "") -> str:
    """RFC 3986, upper-case; most texts here need none of it."""
    if _UNRESERVED.fullmatch(text if not safe else text.replace(safe, "")):
        return text
    return quote(text, safe=safe + "~")


def _host(origin: str) -> str:
    """The Host header that clients send to `origin`: without the port that its scheme implies."""
    scheme, _, host = origin.partition("://")
    return host.removesuffix(":443" if scheme == "https" else ":80")
