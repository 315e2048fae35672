"""One HTTP exchange with the server: connections, tokens, time limits, retries, errors.

Laws: every exchange has a time limit; tokens are renewed by one refresh at a time, and the rotated refresh token is kept before
the new session is used; redirects are not followed (a token goes to no other server); the environment's proxies are not used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import aiohttp
from msgspec import Struct
from yarl import URL

from syncline.adapters.http import wire
from syncline.adapters.http.retry import REFUSED, SILENT, UNTRUSTED, Backoff
from syncline.model.errors import Closed, LimitExceeded, Refused, Retryable, SynclineError, Unauthenticated, Unavailable
from syncline.model.limits import BODY_MAX_BYTES, MIB, REQUEST_TIMEOUT_S
from syncline.ports.clock import Clock
from syncline.ports.remote import Traffic
from syncline.protocol.sessions import RefreshRequest, TokenAnswer

CONNECT_TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 24
_KEEPALIVE_S: Final = 60.0
_RENEW_EARLY_S: Final = 30.0
_RENEWAL_ENDS_S: Final = 10.0

T = TypeVar("T")


class Tokens(Struct, frozen=True):
    """A device's session. Only the refresh token needs keeping; an empty access token is renewed before the first call."""

    refresh_token: str
    access_token: str = ""


Renewal = Callable[[Tokens], AbstractAsyncContextManager[Tokens]]
"""Takes the tokens in use; while it is entered no other process of this device renews them. It yields the tokens as kept now, which
another process may have renewed already."""


@asynccontextmanager
async def alone(tokens: Tokens) -> AsyncIterator[Tokens]:
    """The `Renewal` of a session that one process alone uses."""
    yield tokens


def new_session() -> aiohttp.ClientSession:
    """One pool of kept-alive connections; must be made inside a running loop."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=60)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=1 * MIB,
        headers={"Accept-Encoding": "zstd", "User-Agent": "syncline"},
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
    )


@contextmanager
def network_errors(what: str) -> Iterator[None]:
    """Turns what can go wrong between two machines into `Unavailable`."""
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
        raise Unavailable(what=what, reason=UNTRUSTED) from error
    except ConnectionRefusedError as error:
        raise Unavailable(what=what, reason=REFUSED) from error
    except aiohttp.InvalidURL as error:
        raise Refused(reason=f"not an address: {error}") from error
    except TimeoutError as error:
        raise Unavailable(what=what, reason=SILENT) from error
    except (aiohttp.ClientError, OSError) as error:
        refused = isinstance(getattr(error, "os_error", None), ConnectionRefusedError)
        raise Unavailable(what=what, reason=REFUSED if refused else str(error) or type(error).__name__) from error


class Caller:
    """JSON calls to one server in one device's session."""

    def __init__(
        self,
        url: str,
        tokens: Tokens | None,
        on_tokens: Callable[[Tokens], None],
        clock: Clock,
        backoff: Backoff,
        traffic: Traffic,
        renewal: Renewal = alone,
    ) -> None:
        self.base = URL(url if "://" in url else f"http://{url}")
        self._prefix = str(self.base).rstrip("/")
        self._tokens = tokens
        self._on_tokens = on_tokens
        self._clock = clock
        self._backoff = backoff
        self._traffic = traffic
        self._exclusive = renewal
        self._renewal: asyncio.Task[None] | None = None
        self._renew_at_s = float("inf")
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._closed = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """Raises `Closed`."""
        if self._closed:
            raise Closed
        if self._session is None:
            self._session = new_session()
        return self._session

    @property
    def tokens(self) -> Tokens:
        """Those in use now."""
        return self._tokens or Tokens(refresh_token="")

    async def close(self) -> None:
        """Ends the calls under way, with `Closed`, and the connections; but first a renewal, or the token that it brings would be
        lost, and the session with it."""
        if self._renewal is not None and not self._renewal.done():
            await asyncio.wait((self._renewal,), timeout=_RENEWAL_ENDS_S)
        self._closed = True
        # Closing its connections does not wake a call that waits for an answer on each version of Python: it is told.
        for call in self._under_way:
            call.reschedule(0)
        self._under_way.clear()
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: object = None,
        *,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        repeatable: bool = True,
    ) -> T:
        """The answer as `kind`. `repeatable` says that making the call twice does no harm. Raises errors of `model.errors` only,
        `Closed` as soon as this is closed."""
        payload, encoding = await _packed(body)
        base = (headers or {}) | encoding

        async def attempt() -> T:
            access = await self._access_token()
            try:
                raw = await self._exchange(method, path, payload, params, base | _bearer(access), timeout_s)
            except Unauthenticated:
                if self._tokens is None:
                    raise
                access = await self._access_token(refused=access)
                raw = await self._exchange(method, path, payload, params, base | _bearer(access), timeout_s)
            return wire.decode(raw, kind)

        async with self.until_closed():
            return await self._backoff.run(attempt, repeatable=repeatable)

    async def open_socket(self, path: str, message_max_bytes: int) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket in this session, open. Raises `Unauthenticated`, `Closed`, and `Unavailable` also where there is none to be
        had."""

        async def attempt(access: str) -> aiohttp.ClientWebSocketResponse:
            self._traffic.requests += 1
            with network_errors("the server"):
                try:
                    return await self.session.ws_connect(
                        self._prefix + path, headers=_bearer(access), max_msg_size=message_max_bytes, compress=0
                    )
                except aiohttp.WSServerHandshakeError as error:
                    if error.status == 401:
                        raise Unauthenticated(reason="the session of this device has ended") from error
                    raise

        access = await self._access_token()
        try:
            return await attempt(access)
        except Unauthenticated:
            return await attempt(await self._access_token(refused=access))

    @asynccontextmanager
    async def until_closed(self) -> AsyncIterator[None]:
        """Whatever waits in the block ends with `Closed` as soon as this is closed."""
        if self._closed:
            raise Closed
        try:
            async with asyncio.timeout(None) as call:
                self._under_way.add(call)
                try:
                    yield
                finally:
                    self._under_way.discard(call)
        except TimeoutError as error:
            if call.expired():
                raise Closed from error
            raise

    async def _exchange(
        self,
        method: str,
        path: str,
        payload: bytes | None,
        params: dict[str, str] | None,
        headers: dict[str, str],
        timeout_s: float,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._traffic.requests += 1
        with network_errors("the server"):
            async with self.session.request(
                method, self._prefix + path, data=payload, params=params, headers=headers, timeout=limits, allow_redirects=False
            ) as answer:
                self._traffic.sent_bytes += len(payload or b"")
                raw = await _read_capped(answer)
                self._traffic.received_bytes += len(raw)
        encoding = answer.headers.get("Content-Encoding", "")
        plain = wire.expand(raw, encoding) if len(raw) < wire.INLINE_BYTES else await asyncio.to_thread(wire.expand, raw, encoding)
        if 200 <= answer.status < 300:
            return plain
        raise _refusal(answer, plain)

    async def _access_token(self, *, refused: str | None = None) -> str:
        """A usable access token. `refused` is one that the server turned down: unless renewed since, it is renewed now."""
        if self._tokens is None:
            return ""
        stale = not self._tokens.access_token or self._tokens.access_token == refused
        if stale or self._clock.monotonic_s() >= self._renew_at_s:
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew())
            # Shielded: whoever gives up waiting must not lose the rotated token for the others.
            await asyncio.shield(self._renewal)
        return self._tokens.access_token

    async def _renew(self) -> None:
        assert self._tokens is not None
        async with self._exclusive(self._tokens) as kept:
            if kept.access_token and kept.access_token != self._tokens.access_token:
                # Renewed by another process; should it have expired since, the server's refusal leads back here.
                self._tokens, self._renew_at_s = kept, float("inf")
                return
            payload, encoding = await _packed(RefreshRequest(refresh_token=kept.refresh_token))

            async def attempt() -> bytes:
                return await self._exchange("POST", "/v1/auth/refresh", payload, None, encoding, REQUEST_TIMEOUT_S)

            try:
                answer = wire.decode(await self._backoff.run(attempt), TokenAnswer)
            except (Unauthenticated, Closed):
                raise
            except Refused as error:
                raise Unauthenticated(reason="the session of this device has ended") from error
            self.adopt(answer)

    def adopt(self, answer: TokenAnswer) -> None:
        """Goes on in the session of `answer`, once its refresh token is kept."""
        tokens = Tokens(refresh_token=answer.refresh_token, access_token=answer.access_token)
        self._on_tokens(tokens)
        self._tokens = tokens
        self._renew_at_s = self._clock.monotonic_s() + max(answer.expires_in - _RENEW_EARLY_S, 1.0)


def _bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"} if access else {}


async def _packed(body: object) -> tuple[bytes | None, dict[str, str]]:
    """A request body and the headers that describe it."""
    if body is None:
        return None, {}
    plain = wire.encode(body)
    headers = {"Content-Type": "application/json"}
    if len(plain) <= wire.COMPRESS_ABOVE_BYTES:
        return plain, headers
    packed = wire.compress(plain) if len(plain) < wire.INLINE_BYTES else await asyncio.to_thread(wire.compress, plain)
    return packed, headers | {"Content-Encoding": "zstd"}


async def _read_capped(answer: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > BODY_MAX_BYTES:
            raise LimitExceeded(what="an answer of the server", limit=BODY_MAX_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> SynclineError:
    error = wire.problem(answer.status, body)
    if answer.status == 401 and not isinstance(error, Unauthenticated):
        return Unauthenticated(reason="the session of this device has ended")
    if isinstance(error, Retryable) and "retry_after" not in error.fields:
        error.fields |= _retry_after(answer.headers.get("Retry-After", ""))
    return error


def _retry_after(header: str) -> dict[str, Any]:
    return {"retry_after": int(header)} if header.isascii() and header.isdigit() else {}
