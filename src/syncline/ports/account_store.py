"""People and their devices, stored. Passwords and refresh tokens arrive here hashed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.paths import NAME_KEY_VERSION


class User(Struct, frozen=True, kw_only=True):
    id: UserId
    email: str
    """Lower-case; unique."""
    name: str
    password_hash: str
    root_namespace: NamespaceId
    created_us: int
    quota_bytes: int | None = None
    disabled: bool = False


class DeviceRow(Struct, frozen=True, kw_only=True):
    id: DeviceId
    user_id: UserId
    name: str
    created_us: int
    refresh_hash: str
    last_seen_us: int | None = None
    previous_refresh_hash: str | None = None
    rotated_us: int | None = None
    """When `refresh_hash` took the place of `previous_refresh_hash`."""
    last_synced_us: int | None = None
    """When its cursors last stood at the heads of all its namespaces."""


class AccountStore(Protocol):
    async def add_user(self, user: User, *, name_keys: int = NAME_KEY_VERSION) -> None:
        """Adds the user, their root namespace (fresh epoch, sequence 0, empty chain and root) and OWNER membership, in one
        transaction; `name_keys` is its rule for colliding names. Raises `AlreadyExists` when the e-mail address is taken."""
        ...

    async def user(self, user_id: UserId) -> User | None: ...

    async def user_by_email(self, email: str) -> User | None: ...

    async def users(self) -> list[User]: ...

    async def set_password(self, user_id: UserId, password_hash: str) -> None: ...

    async def set_disabled(self, user_id: UserId, disabled: bool) -> None: ...

    async def set_quota(self, user_id: UserId, quota_bytes: int | None) -> None: ...

    async def add_device(self, device: DeviceRow) -> None: ...

    async def device(self, device_id: DeviceId) -> DeviceRow | None: ...

    async def devices(self, user_id: UserId) -> list[DeviceRow]: ...

    async def rotate_refresh(self, device_id: DeviceId, old_hash: str, new_hash: str, *, now_us: int, grace_us: int) -> bool:
        """Puts `new_hash` in the refresh hash's place, and that in the previous one's, if `old_hash` is the present one, or the
        previous one that was replaced less than `grace_us` before `now_us`; whether it was."""
        ...

    async def remove_device(self, user_id: UserId, device_id: DeviceId) -> bool: ...

    async def note_devices(self, seen_us: Mapping[DeviceId, int], synced_us: Mapping[DeviceId, int]) -> None:
        """When each of these was last seen, and last had everything. Devices that are no more are passed over."""
        ...

    async def server_id(self) -> str:
        """A ULID drawn when the store was created; says which server this is."""
        ...
