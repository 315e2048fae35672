"""Sessions: signing in, renewing, and the live check behind every request.

Laws: a request counts only while its device exists and its user is enabled, looked up at most `LIVE_S` ago; unlinking forgets
the look-up at once and tells whoever holds open connections. A refresh token works once, and once more for a short while after
it was replaced: the answer that brought the next one may have been lost on its way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Final

from msgspec import Struct

from syncline.model.errors import InvalidRequest, LimitExceeded, NotFound, Retryable, Unauthenticated, WrongPassword
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.limits import ACCESS_TOKEN_TTL_S
from syncline.ports import freshness
from syncline.ports.account_store import AccountStore, DeviceRow, User
from syncline.ports.clock import Chance, Clock, Ids
from syncline.ports.presence import Presence
from syncline.protocol.changes import to_time
from syncline.protocol.sessions import Device, Devices, TokenAnswer, TokenRequest
from syncline.server.accounts.attempts import Attempts
from syncline.server.accounts.limits import CallLimits
from syncline.server.accounts.notes import DeviceNotes
from syncline.server.accounts.passwords import Passwords
from syncline.server.accounts.shared import SharedSessions
from syncline.server.accounts.tokens import AccessTokens, fresh_refresh_token, refresh_device, refresh_hash, same_hash
from syncline.server.caller import Caller

LIVE_S: Final = 2.0
REFRESH_GRACE_US: Final = 60_000_000
"""For so long a refresh token that was just replaced still gets a new pair."""
SEEN_EVERY_US: Final = 60_000_000
DEVICES_MAX: Final = 1000
DEVICE_NAME_MAX_CHARS: Final = 100
EMAIL_MAX_BYTES: Final = 254
_LIVE_MAX: Final = 10_000


class Session(Struct, frozen=True):
    """Whom a checked request is from, as stored at most `LIVE_S` ago. It bears no secret, since it goes to gateways."""

    caller: Caller
    email: str
    name: str
    root_namespace: NamespaceId
    device_name: str


class Accounts:
    """The one door to who is who."""

    def __init__(
        self,
        store: AccountStore,
        tokens: AccessTokens,
        clock: Clock,
        chance: Chance,
        *,
        on_unlink: Callable[[DeviceId], None],
        shared: SharedSessions | None = None,
        limits: CallLimits | None = None,
        presence: Presence | None = None,
    ) -> None:
        """`shared` are sessions that other processes looked up; `limits` are how often users and devices may ask; `presence` knows
        who is connected."""
        self.tokens = tokens
        self.notes = DeviceNotes(store)
        self._store = store
        self._clock = clock
        self._chance = chance
        self._ids = Ids(clock, chance)
        self._on_unlink = on_unlink
        self._passwords = Passwords()
        self._attempts = Attempts(clock)
        self._shared = shared
        self._limits = limits
        self._presence = presence
        self._live: OrderedDict[DeviceId, tuple[float, Session]] = OrderedDict()

    async def sign_in(self, request: TokenRequest, address: str) -> TokenAnswer:
        """Links a new device. Raises `WrongPassword`, `TooBusy`, `LimitExceeded`."""
        email = normal_email(request.email)
        self._attempts.take(email, address)
        if self._limits is not None:
            await self._limits.sign_in(email, address)
        user = await self._store.user_by_email(email)
        right = await self._passwords.verify(user.password_hash if user else None, request.password)
        if user is None or not right or user.disabled:
            raise WrongPassword()
        self._attempts.forgive(email, address)
        if self._limits is not None:
            await self._limits.signed_in(email, address)
        if self._passwords.is_outdated(user.password_hash):
            await self._store.set_password(user.id, await self._passwords.hash(request.password))
        if len(await self._store.devices(user.id)) >= DEVICES_MAX:
            raise LimitExceeded(what="The number of devices", limit=DEVICES_MAX)
        device_id = DeviceId(self._ids.fresh())
        refresh = fresh_refresh_token(device_id, self._chance)
        now_us = self._clock.now_us()
        await self._store.add_device(
            DeviceRow(
                id=device_id,
                user_id=user.id,
                name=_device_name(request.device_name),
                created_us=now_us,
                refresh_hash=refresh_hash(refresh),
                last_seen_us=now_us,
            )
        )
        return self._answer(user, device_id, refresh)

    async def refresh(self, token: str) -> TokenAnswer:
        """A fresh pair for a refresh token, which ends with it but for `REFRESH_GRACE_US`. Raises `Unauthenticated`."""
        device_id, old = refresh_device(token), refresh_hash(token)
        device = await self._store.device(device_id)
        user = await self._store.user(device.user_id) if device else None
        if device is None or user is None or user.disabled or not _may_refresh(device, old):
            raise Unauthenticated(reason="the refresh token is not valid any more")
        fresh, now_us = fresh_refresh_token(device_id, self._chance), self._clock.now_us()
        if not await self._store.rotate_refresh(device_id, old, refresh_hash(fresh), now_us=now_us, grace_us=REFRESH_GRACE_US):
            raise Unauthenticated(reason="the refresh token is not valid any more")
        return self._answer(user, device_id, fresh)

    async def authenticate(self, token: str) -> Session:
        """The live session behind an access token. Raises `Unauthenticated`, `TooBusy` for one that asks too often."""
        claims = self.tokens.check(token)
        session = await self.live(claims.device_id)
        if session.caller.user_id != claims.user_id:
            raise Unauthenticated(reason="the access token is not valid or has expired")
        if self._limits is not None:
            await self._limits.call(session.caller)
        return session

    async def live(self, device_id: DeviceId) -> Session:
        """The session of a device that is linked and whose user is enabled, no older than `LIVE_S`. Raises `Unauthenticated`."""
        now = self._clock.monotonic_s()
        known = self._live.get(device_id)
        if known is not None and now - known[0] < LIVE_S:
            return known[1]
        if self._shared is not None and (told := await self._shared.get(device_id)) is not None:
            age_s, user_then, device_then = told
            return self._lives(_session(user_then, device_then), now - age_s)
        asked_us = self._clock.now_us()
        device = await self._store.device(device_id)
        user = await self._store.user(device.user_id) if device else None
        if device is None or user is None or user.disabled:
            self._live.pop(device_id, None)
            # It may have been linked, or let in again, since.
            freshness.check_newest("Who is linked")
            raise Unauthenticated(reason="this device is not linked any more")
        now_us = self._clock.now_us()
        if now_us - (device.last_seen_us or 0) >= SEEN_EVERY_US and not freshness.is_behind():
            self.notes.seen(device_id, now_us)
        if self._shared is not None and not freshness.is_behind():
            await self._shared.put(user, device, asked_us)
        return self._lives(_session(user, device), now)

    def _lives(self, session: Session, since_s: float) -> Session:
        self._live[session.caller.device_id] = (since_s, session)
        while len(self._live) > _LIVE_MAX:
            self._live.popitem(last=False)
        return session

    async def devices(self, caller: Caller) -> Devices:
        await self.notes.flush()
        rows = await self._store.devices(caller.user_id)
        connected = await self._connected(caller.user_id)
        return Devices(
            devices=[
                Device(
                    id=row.id,
                    name=row.name,
                    created=to_time(row.created_us),
                    last_seen=None if row.last_seen_us is None else to_time(row.last_seen_us),
                    last_synced=None if row.last_synced_us is None else to_time(row.last_synced_us),
                    current=row.id == caller.device_id,
                    connected=row.id in connected,
                )
                for row in rows
            ]
        )

    async def _connected(self, user: UserId) -> Collection[DeviceId]:
        """As far as that is known now: nothing waits for it, and nothing rests on it."""
        if self._presence is None:
            return ()
        try:
            return await self._presence.who(user)
        except Retryable:
            return ()

    async def unlink(self, caller: Caller, device_id: DeviceId) -> None:
        """Ends a device of the caller: its tokens and its open connections. Raises `NotFound`, for others' devices too."""
        if not await self._store.remove_device(caller.user_id, device_id):
            raise NotFound(what="This device")
        self._live.pop(device_id, None)
        if self._shared is not None:
            await self._shared.forget(device_id)
        self._on_unlink(device_id)

    async def jwks(self) -> dict[str, Any]:
        """The public keys that access tokens are signed with."""
        return self.tokens.jwks()

    async def server_id(self) -> str:
        return await self._store.server_id()

    def _answer(self, user: User, device_id: DeviceId, refresh: str) -> TokenAnswer:
        return TokenAnswer(
            access_token=self.tokens.issue(user.id, device_id),
            expires_in=ACCESS_TOKEN_TTL_S,
            refresh_token=refresh,
            device_id=device_id,
            user_id=user.id,
        )


def _session(user: User, device: DeviceRow) -> Session:
    return Session(Caller(user.id, device.id), user.email, user.name, user.root_namespace, device.name)


def normal_email(text: str) -> str:
    """An e-mail address as it is stored and compared. Raises `InvalidRequest`."""
    email = text.strip().lower()
    local, at, domain = email.rpartition("@")
    clean = email.isprintable() and not any(char.isspace() for char in email)
    if not (local and at and domain) or not clean or len(email.encode(errors="replace")) > EMAIL_MAX_BYTES:
        raise InvalidRequest(message="This is not an e-mail address")
    return email


def _may_refresh(device: DeviceRow, token_hash: str) -> bool:
    """Whether the token is the device's last or the one before it; how old that may be, the store knows."""
    return any(same_hash(known, token_hash) for known in (device.refresh_hash, device.previous_refresh_hash) if known)


def _device_name(text: str) -> str:
    cleaned = "".join(char for char in text if char.isprintable()).strip()
    return cleaned[:DEVICE_NAME_MAX_CHARS] or "device"
