"""Adding people and changing what they may: what `syncline admin user` does, beside a running server or without one."""

from __future__ import annotations

from syncline.model.errors import InvalidRequest, NotFound
from syncline.model.ids import NamespaceId, UserId
from syncline.model.paths import NAME_KEY_VERSION
from syncline.ports.account_store import AccountStore, User
from syncline.ports.clock import Clock, Ids
from syncline.server.accounts.passwords import Passwords
from syncline.server.accounts.sessions import normal_email

NAME_MAX_CHARS = 200


class People:
    """The accounts of one server."""

    def __init__(self, store: AccountStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._passwords = Passwords()

    async def add(
        self, email: str, password: str, *, name: str = "", quota_bytes: int | None = None, name_keys: int = NAME_KEY_VERSION
    ) -> User:
        """A new account with an empty root, in which names collide by the rule `name_keys`. Raises `AlreadyExists`,
        `InvalidRequest`, `LimitExceeded`."""
        address = normal_email(email)
        _check_quota(quota_bytes)
        user = User(
            id=UserId(self._ids.fresh()),
            email=address,
            name=name.strip()[:NAME_MAX_CHARS] or address.partition("@")[0],
            password_hash=await self._passwords.hash(password),
            root_namespace=NamespaceId(self._ids.fresh()),
            created_us=self._clock.now_us(),
            quota_bytes=quota_bytes,
        )
        await self._store.add_user(user, name_keys=name_keys)
        return user

    async def all(self) -> list[User]:
        return await self._store.users()

    async def disable(self, email: str, *, disabled: bool = True) -> User:
        """Ends (or gives back) a person's access; a running server notices within two seconds. Raises `NotFound`."""
        user = await self._find(email)
        await self._store.set_disabled(user.id, disabled)
        return user

    async def set_quota(self, email: str, quota_bytes: int | None) -> User:
        """What they may store, from the next upload on; None is no bound. Raises `NotFound`, `InvalidRequest`."""
        _check_quota(quota_bytes)
        user = await self._find(email)
        await self._store.set_quota(user.id, quota_bytes)
        return user

    async def set_password(self, email: str, password: str) -> User:
        """Raises `NotFound`, `InvalidRequest`. Linked devices stay linked."""
        user = await self._find(email)
        await self._store.set_password(user.id, await self._passwords.hash(password))
        return user

    async def _find(self, email: str) -> User:
        user = await self._store.user_by_email(normal_email(email))
        if user is None:
            raise NotFound(what=f"An account for {email}")
        return user


def _check_quota(quota_bytes: int | None) -> None:
    if quota_bytes is not None and quota_bytes < 0:
        raise InvalidRequest(message="A quota cannot be negative")
