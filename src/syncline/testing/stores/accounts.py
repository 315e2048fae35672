"""`ports.account_store.AccountStore` in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists
from syncline.model.ids import DeviceId, UserId
from syncline.model.paths import NAME_KEY_VERSION
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.clock import Ids
from syncline.testing.stores.space import BrokenConstraint, Space
from syncline.testing.stores.state import Shared


class MemoryAccounts:
    def __init__(self, shared: Shared, server_id: str, ids: Ids) -> None:
        self._shared = shared
        self._server_id = server_id
        self._ids = ids

    async def server_id(self) -> str:
        return self._server_id

    async def add_user(self, user: User, *, name_keys: int = NAME_KEY_VERSION) -> None:
        def add() -> None:
            state = self._shared.state
            if any(one.email == user.email for one in state.users.values()):
                raise AlreadyExists(what=user.email)
            if user.id in state.users or user.root_namespace in state.spaces:
                raise BrokenConstraint(f"{user.id} or {user.root_namespace} is stored already")
            space = Space(user.root_namespace, user.id, "", is_root=True, epoch=self._ids.fresh(), name_keys=name_keys)
            space.members[user.id] = Access.OWNER
            state.users[user.id] = user
            state.spaces[space.id] = space

        await self._shared.publish(self._shared.life, add)

    async def user(self, user_id: UserId) -> User | None:
        await self._shared.reading()
        return self._shared.state.users.get(user_id)

    async def user_by_email(self, email: str) -> User | None:
        await self._shared.reading()
        return next((user for user in self._shared.state.users.values() if user.email == email.lower()), None)

    async def users(self) -> list[User]:
        await self._shared.reading()
        return sorted(self._shared.state.users.values(), key=lambda user: user.email)

    async def set_password(self, user_id: UserId, password_hash: str) -> None:
        await self._change_user(user_id, password_hash=password_hash)

    async def set_disabled(self, user_id: UserId, disabled: bool) -> None:
        await self._change_user(user_id, disabled=disabled)

    async def set_quota(self, user_id: UserId, quota_bytes: int | None) -> None:
        await self._change_user(user_id, quota_bytes=quota_bytes)

    async def add_device(self, device: DeviceRow) -> None:
        def add() -> None:
            state = self._shared.state
            if device.id in state.devices or device.user_id not in state.users:
                raise BrokenConstraint(f"device {device.id} is stored already, or belongs to nobody")
            state.devices[device.id] = device

        await self._shared.publish(self._shared.life, add)

    async def device(self, device_id: DeviceId) -> DeviceRow | None:
        await self._shared.reading()
        return self._shared.state.devices.get(device_id)

    async def devices(self, user_id: UserId) -> list[DeviceRow]:
        await self._shared.reading()
        own = [device for device in self._shared.state.devices.values() if device.user_id == user_id]
        return sorted(own, key=lambda device: device.id)

    async def rotate_refresh(self, device_id: DeviceId, old_hash: str, new_hash: str, *, now_us: int, grace_us: int) -> bool:
        def rotate() -> bool:
            device = self._shared.state.devices.get(device_id)
            if device is None:
                return False
            lately = device.rotated_us is not None and device.rotated_us > now_us - grace_us
            if old_hash != device.refresh_hash and not (lately and old_hash == device.previous_refresh_hash):
                return False
            self._shared.state.devices[device_id] = replace(
                device, refresh_hash=new_hash, previous_refresh_hash=device.refresh_hash, rotated_us=now_us
            )
            return True

        return await self._shared.publish(self._shared.life, rotate)

    async def remove_device(self, user_id: UserId, device_id: DeviceId) -> bool:
        def remove() -> bool:
            device = self._shared.state.devices.get(device_id)
            if device is None or device.user_id != user_id:
                return False
            del self._shared.state.devices[device_id]
            return True

        return await self._shared.publish(self._shared.life, remove)

    async def note_devices(self, seen_us: Mapping[DeviceId, int], synced_us: Mapping[DeviceId, int]) -> None:
        def note() -> None:
            devices = self._shared.state.devices
            for device, time_us in seen_us.items():
                if device in devices:
                    devices[device] = replace(devices[device], last_seen_us=time_us)
            for device, time_us in synced_us.items():
                if device in devices:
                    devices[device] = replace(devices[device], last_synced_us=time_us)

        await self._shared.publish(self._shared.life, note)

    async def _change_user(self, user_id: UserId, **values: Any) -> None:
        def change() -> None:
            user = self._shared.state.users.get(user_id)
            if user is not None:
                self._shared.state.users[user_id] = replace(user, **values)

        await self._shared.publish(self._shared.life, change)
