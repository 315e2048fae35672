"""One bucket's requests: signed, bounded in time and size, made again where that can help.

Laws: every attempt has a time limit; an answer's body is never read beyond what was asked for; redirects are not followed and the
environment's proxies not used; what may pass is tried again, a bounded number of times, with jittered exponential pauses, and a
refusal is not. Whether a repeated request is harmless is its caller's to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp
from msgspec import Struct
from yarl import URL

from syncline.adapters.http.caller import network_errors
from syncline.adapters.http.retry import Backoff
from syncline.adapters.objects.s3.answers import BODY_MAX_BYTES, STORE, StoreRefused, failure
from syncline.adapters.objects.s3.signature import EMPTY_SHA256, Signer
from syncline.model.errors import Unavailable
from syncline.model.limits import MIB
from syncline.protocol.blocks import SignedRequest

CONNECT_TIMEOUT_S: Final = 5.0
SILENCE_TIMEOUT_S: Final = 20.0
REQUEST_TIMEOUT_S: Final = 120.0
CONNECTIONS_MAX: Final = 64
_KEEPALIVE_S: Final = 15.0


class Place(Struct, frozen=True, kw_only=True):
    """Where a bucket is: as the server reaches it and as clients do. Origins are `https://HOST[:PORT]`."""

    bucket: str
    origin: str
    public_origin: str
    virtual: bool = False
    """Whether the bucket is named by the host (`BUCKET.HOST`) instead of the path."""
    storage_class: str | None = None
    """What objects are stored as; the bucket's own choice without it."""

    @property
    def kept_as(self) -> dict[str, str]:
        """The headers by which an object is stored."""
        return {} if self.storage_class is None else {"x-amz-storage-class": self.storage_class}

    def at(self, key: str, *, public: bool = False) -> tuple[str, str]:
        """(origin, path) of an object; of the bucket itself for an empty key."""
        origin = self.public_origin if public else self.origin
        if not self.virtual:
            return origin, f"/{self.bucket}/{key}" if key else f"/{self.bucket}"
        scheme, _, host = origin.partition("://")
        return f"{scheme}://{self.bucket}.{host}", f"/{key}"


class Answer(Struct, frozen=True):
    """Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Bucket:
    def __init__(self, place: Place, signer: Signer, backoff: Backoff) -> None:
        self._place = place
        self.kept_as = place.kept_as
        """The headers that whatever stores an object bears."""
        self._signer = signer
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def presigned(
        self, method: str, key: str, *, ttl_s: int, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> SignedRequest:
        """A request that clients make at the public endpoint."""
        origin, path = self._place.at(key, public=True)
        bound = dict(headers or {})
        url = self._signer.presign(method, origin, path, query=query or {}, headers=bound, ttl_s=ttl_s)
        return SignedRequest(url=url, headers=bound)

    async def call(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limit_bytes: int = BODY_MAX_BYTES,
        repeatable: bool = True,
    ) -> Answer:
        """The answer, if it is a success, with at most `limit_bytes` of body. Raises as `answers.failure`, and `Unavailable`."""
        sha256 = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256

        async def attempt() -> Answer:
            origin, path = self._place.at(key)
            url, sent = self._signer.signed(method, origin, path, query=query or {}, headers=headers or {}, payload_sha256=sha256)
            return await self._exchange(method, url, sent, body, limit_bytes)

        return await self._answered(attempt, repeatable)

    async def put_presigned(self, key: str, headers: Mapping[str, str], body: bytes) -> None:
        """Makes the PUT that a client is given, from here. Raises as `call` does."""
        origin, path = self._place.at(key)
        url = self._signer.presign("PUT", origin, path, query={}, headers=headers, ttl_s=60)
        await self._answered(lambda: self._exchange("PUT", url, dict(headers), body, BODY_MAX_BYTES), True)

    async def _answered(self, attempt: Callable[[], Awaitable[Answer]], repeatable: bool) -> Answer:
        async def told() -> Answer | StoreRefused:
            try:
                return await attempt()
            except StoreRefused as error:
                return error

        answer = await self._backoff.run(told, repeatable=repeatable)
        if isinstance(answer, StoreRefused):
            raise answer
        return answer

    async def _exchange(self, method: str, url: str, headers: dict[str, str], body: bytes, limit_bytes: int) -> Answer:
        with network_errors(STORE):
            async with self._opened().request(
                method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False
            ) as response:
                content = await _bounded(response, limit_bytes if response.status < 300 else BODY_MAX_BYTES)
                answer = Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)
        if not 200 <= answer.status < 300:
            raise failure(answer.status, answer.body)
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=60),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=1 * MIB,
                skip_auto_headers=("Content-Type", "Accept-Encoding"),
                headers={"User-Agent": "syncline"},
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S),
            )
        return self._session


async def _bounded(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The body. Raises `Unavailable` where it is longer than `limit_bytes`."""
    if response.method == "HEAD":
        return b""
    pieces, size = list[bytes](), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > limit_bytes:
            response.close()
            raise Unavailable(what=STORE, reason="it answers more than was asked for")
        pieces.append(piece)
    return b"".join(pieces)
