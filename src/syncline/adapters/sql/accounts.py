"""`ports.account_store.AccountStore` on a SQL database. What changes an account leaves a row in `audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from syncline.adapters.sql.database import Database, Stored
from syncline.adapters.sql.rows import execute_many
from syncline.adapters.sql.schema import audit, devices, members, namespaces, users
from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.model.paths import NAME_KEY_VERSION
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.clock import Clock, Ids

_ZERO: Final = bytes(32)
_USER: Final = (
    users.c.user_id,
    users.c.email,
    users.c.name,
    users.c.password_hash,
    users.c.root_namespace,
    users.c.created_us,
    users.c.quota_bytes,
    users.c.disabled,
)
_DEVICE: Final = (
    devices.c.device_id,
    devices.c.user_id,
    devices.c.name,
    devices.c.created_us,
    devices.c.refresh_hash,
    devices.c.last_seen_us,
    devices.c.previous_refresh_hash,
    devices.c.rotated_us,
    devices.c.last_synced_us,
)

_THIS: Final = update(devices).where(devices.c.device_id == bindparam("device"))
_SEEN: Final = _THIS.values(last_seen_us=bindparam("time_us"))
_SYNCED: Final = _THIS.values(last_synced_us=bindparam("time_us"))


class SqlAccounts(Stored):
    def __init__(self, database: Database, server_id: str, clock: Clock, ids: Ids) -> None:
        super().__init__(database)
        self._server_id = server_id
        self._clock = clock
        self._ids = ids

    async def server_id(self) -> str:
        return self._server_id

    async def add_user(self, user: User, *, name_keys: int = NAME_KEY_VERSION) -> None:
        try:
            await self._database.write(lambda connection: self._add_user(connection, user, name_keys))
        except IntegrityError as error:
            if "email" not in str(error.orig):
                raise
            raise AlreadyExists(what=user.email) from error

    def _add_user(self, connection: Connection, user: User, name_keys: int) -> None:
        connection.execute(
            insert(users).values(
                user_id=user.id,
                email=user.email,
                name=user.name,
                password_hash=user.password_hash,
                root_namespace=user.root_namespace,
                quota_bytes=user.quota_bytes,
                disabled=user.disabled,
                created_us=user.created_us,
            )
        )
        connection.execute(
            insert(namespaces).values(
                namespace_id=user.root_namespace,
                owner_id=user.id,
                name="",
                is_root=True,
                epoch=self._ids.fresh(),
                head_sequence=0,
                published_sequence=0,
                pruned_sequence=0,
                chain=_ZERO,
                root=_ZERO,
                name_key_version=name_keys,
                used_bytes=0,
                created_us=user.created_us,
            )
        )
        connection.execute(
            insert(members).values(
                namespace_id=user.root_namespace, user_id=user.id, access=Access.OWNER.value, since_us=user.created_us
            )
        )
        self._audit(connection, "user.added", user.id)

    async def user(self, user_id: UserId) -> User | None:
        return await self._one_user(users.c.user_id == user_id)

    async def user_by_email(self, email: str) -> User | None:
        return await self._one_user(users.c.email == email.lower())

    async def users(self) -> list[User]:
        return [_user(row) for row in await self._rows(select(*_USER).order_by(users.c.email))]

    async def set_password(self, user_id: UserId, password_hash: str) -> None:
        await self._change_user(user_id, "user.password_set", password_hash=password_hash)

    async def set_disabled(self, user_id: UserId, disabled: bool) -> None:
        await self._change_user(user_id, "user.disabled" if disabled else "user.enabled", disabled=disabled)

    async def set_quota(self, user_id: UserId, quota_bytes: int | None) -> None:
        await self._change_user(user_id, "user.quota", quota_bytes=quota_bytes)

    async def add_device(self, device: DeviceRow) -> None:
        def add(connection: Connection) -> None:
            connection.execute(
                insert(devices).values(
                    device_id=device.id,
                    user_id=device.user_id,
                    name=device.name,
                    created_us=device.created_us,
                    refresh_hash=device.refresh_hash,
                    last_seen_us=device.last_seen_us,
                    previous_refresh_hash=device.previous_refresh_hash,
                    rotated_us=device.rotated_us,
                    last_synced_us=device.last_synced_us,
                )
            )
            self._audit(connection, "device.added", device.user_id, device.id)

        await self._database.write(add)

    async def device(self, device_id: DeviceId) -> DeviceRow | None:
        rows = await self._rows(select(*_DEVICE).where(devices.c.device_id == device_id))
        return _device(rows[0]) if rows else None

    async def devices(self, user_id: UserId) -> list[DeviceRow]:
        rows = await self._rows(select(*_DEVICE).where(devices.c.user_id == user_id).order_by(devices.c.device_id))
        return [_device(row) for row in rows]

    async def rotate_refresh(self, device_id: DeviceId, old_hash: str, new_hash: str, *, now_us: int, grace_us: int) -> bool:
        table = devices.c
        lately = and_(table.previous_refresh_hash == old_hash, table.rotated_us > now_us - grace_us)
        rotated = (
            update(devices)
            .where(table.device_id == device_id, or_(table.refresh_hash == old_hash, lately))
            .values(refresh_hash=new_hash, previous_refresh_hash=table.refresh_hash, rotated_us=now_us)
        )
        return await self._database.write(lambda connection: connection.execute(rotated).rowcount == 1)

    async def remove_device(self, user_id: UserId, device_id: DeviceId) -> bool:
        def remove(connection: Connection) -> bool:
            own = (devices.c.device_id == device_id, devices.c.user_id == user_id)
            removed = connection.execute(delete(devices).where(*own)).rowcount == 1
            if removed:
                self._audit(connection, "device.removed", user_id, device_id)
            return removed

        return await self._database.write(remove)

    async def note_devices(self, seen_us: Mapping[DeviceId, int], synced_us: Mapping[DeviceId, int]) -> None:
        # In order, so that two who write the same devices never wait for each other.
        seen, synced = ([(time, device) for device, time in sorted(times.items())] for times in (seen_us, synced_us))

        def note(connection: Connection) -> None:
            execute_many(connection, _SEEN, ("time_us", "device"), seen)
            execute_many(connection, _SYNCED, ("time_us", "device"), synced)

        await self._database.write(note)

    async def _change_user(self, user_id: UserId, action: str, **values: Any) -> None:
        def change(connection: Connection) -> None:
            connection.execute(update(users).where(users.c.user_id == user_id).values(**values))
            self._audit(connection, action, user_id)

        await self._database.write(change)

    def _audit(self, connection: Connection, action: str, user: UserId, device: DeviceId | None = None) -> None:
        connection.execute(insert(audit).values(time_us=self._clock.now_us(), action=action, user_id=user, device_id=device))

    async def _one_user(self, condition: Any) -> User | None:
        rows = await self._rows(select(*_USER).where(condition))
        return _user(rows[0]) if rows else None

    async def _rows(self, statement: Any) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(statement).all())


def _user(row: Any) -> User:
    return User(
        id=UserId(row[0]),
        email=row[1],
        name=row[2],
        password_hash=row[3],
        root_namespace=NamespaceId(row[4]),
        created_us=row[5],
        quota_bytes=row[6],
        disabled=row[7],
    )


def _device(row: Any) -> DeviceRow:
    return DeviceRow(
        id=DeviceId(row[0]),
        user_id=UserId(row[1]),
        name=row[2],
        created_us=row[3],
        refresh_hash=row[4],
        last_seen_us=row[5],
        previous_refresh_hash=row[6],
        rotated_us=row[7],
        last_synced_us=row[8],
    )
