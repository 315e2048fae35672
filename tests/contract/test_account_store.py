"""What every `AccountStore` promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.server_metadata.world import Machine, fresh_database

from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists
from syncline.model.ids import DeviceId, NamespaceId, UserId
from syncline.ports.account_store import DeviceRow, User
from syncline.ports.clock import Ids
from syncline.testing.server_store import MemoryStores

AnyStores = Stores | MemoryStores
_machine = Machine()
_ids = Ids(_machine, _machine)


@pytest.fixture(params=["sql", "postgres", "memory"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyStores]:
    if request.param == "memory":
        yield MemoryStores(_ids)
        return
    where: Path | str = tmp_path / "metadata.db"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    else:
        await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    opened = await open_stores(where)
    yield opened
    await opened.close()


def a_user(email: str) -> User:
    return User(
        id=UserId(_ids.fresh()),
        email=email,
        name="Somebody",
        password_hash="hash",
        root_namespace=NamespaceId(_ids.fresh()),
        created_us=7,
        quota_bytes=1 << 40,
    )


def a_device(user: User) -> DeviceRow:
    return DeviceRow(id=DeviceId(_ids.fresh()), user_id=user.id, name="laptop", created_us=8, refresh_hash="first")


async def test_a_user_comes_with_an_empty_root_of_their_own(stores: AnyStores) -> None:
    user = a_user("ada@example.org")
    await stores.accounts.add_user(user)
    assert await stores.accounts.user(user.id) == user
    assert await stores.accounts.user_by_email("ADA@example.org") == user
    assert await stores.accounts.user_by_email("eve@example.org") is None
    (head,) = await stores.metadata.heads(user.id)
    assert (head.namespace, head.access, head.owner, head.is_root) == (user.root_namespace, Access.OWNER, user.id, True)
    assert (head.sequence, head.chain, head.root) == (0, "0" * 64, "0" * 64)


async def test_each_root_has_an_epoch_of_its_own(stores: AnyStores) -> None:
    users = [a_user("a@x"), a_user("b@x")]
    for user in users:
        await stores.accounts.add_user(user)
    epochs = {(await stores.metadata.heads(user.id))[0].epoch for user in users}
    assert len(epochs) == 2
    assert await stores.accounts.users() == users


async def test_an_address_is_taken_once_and_nothing_is_left_of_the_second(stores: AnyStores) -> None:
    first, second = a_user("a@x"), a_user("a@x")
    await stores.accounts.add_user(first)
    with pytest.raises(AlreadyExists):
        await stores.accounts.add_user(second)
    assert await stores.accounts.users() == [first]
    assert await stores.metadata.heads(second.id) == []


async def test_passwords_and_disabling(stores: AnyStores) -> None:
    user = a_user("a@x")
    await stores.accounts.add_user(user)
    await stores.accounts.set_password(user.id, "other")
    await stores.accounts.set_disabled(user.id, True)
    assert await stores.accounts.user(user.id) == msgspec.structs.replace(user, password_hash="other", disabled=True)
    await stores.accounts.set_disabled(user.id, False)
    await stores.accounts.set_quota(user.id, 5)
    assert await stores.accounts.user(user.id) == msgspec.structs.replace(user, password_hash="other", quota_bytes=5)
    await stores.accounts.set_quota(user.id, user.quota_bytes)
    assert await stores.accounts.user(user.id) == msgspec.structs.replace(user, password_hash="other")


async def test_devices_come_and_go(stores: AnyStores) -> None:
    user, other = a_user("a@x"), a_user("b@x")
    await stores.accounts.add_user(user)
    await stores.accounts.add_user(other)
    device = a_device(user)
    await stores.accounts.add_device(device)
    assert await stores.accounts.device(device.id) == device
    await stores.accounts.note_devices({device.id: 99, DeviceId("gone"): 98}, {device.id: 100})
    await stores.accounts.note_devices({}, {})
    assert await stores.accounts.devices(user.id) == [msgspec.structs.replace(device, last_seen_us=99, last_synced_us=100)]
    assert await stores.accounts.devices(other.id) == []
    assert not await stores.accounts.remove_device(other.id, device.id)
    assert await stores.accounts.remove_device(user.id, device.id)
    assert not await stores.accounts.remove_device(user.id, device.id)
    assert await stores.accounts.device(device.id) is None


async def test_a_device_is_stored_whole(stores: AnyStores) -> None:
    user = a_user("a@x")
    await stores.accounts.add_user(user)
    device = msgspec.structs.replace(a_device(user), last_seen_us=9, previous_refresh_hash="before", rotated_us=10)
    await stores.accounts.add_device(device)
    assert await stores.accounts.device(device.id) == device


async def test_a_refresh_token_is_rotated_by_one_of_many(stores: AnyStores) -> None:
    user = a_user("a@x")
    await stores.accounts.add_user(user)
    device = a_device(user)
    await stores.accounts.add_device(device)
    won = await asyncio.gather(*(rotate(stores, device.id, "first", f"next {number}", grace_us=0) for number in range(5)))
    assert sum(won) == 1
    stored = await stores.accounts.device(device.id)
    assert stored is not None
    assert stored.refresh_hash == f"next {won.index(True)}"


async def rotate(stores: AnyStores, device: DeviceId, old: str, new: str, now_us: int = 100, grace_us: int = 60) -> bool:
    return await stores.accounts.rotate_refresh(device, old, new, now_us=now_us, grace_us=grace_us)


async def test_the_hash_that_was_just_replaced_counts_once_more(stores: AnyStores) -> None:
    user = a_user("a@x")
    await stores.accounts.add_user(user)
    device = a_device(user)
    await stores.accounts.add_device(device)
    assert await rotate(stores, device.id, "first", "second", now_us=100)
    assert not await rotate(stores, device.id, "first", "late", now_us=160)
    assert await rotate(stores, device.id, "first", "third", now_us=159)
    assert not await rotate(stores, device.id, "first", "fourth", now_us=159)
    stored = await stores.accounts.device(device.id)
    assert stored is not None
    assert (stored.refresh_hash, stored.previous_refresh_hash, stored.rotated_us) == ("third", "second", 159)


@pytest.mark.parametrize("stores", ["sql"], indirect=True)
async def test_the_server_id_outlives_the_process(stores: Stores, tmp_path: Path) -> None:
    again = await open_stores(tmp_path / "metadata.db")
    assert await again.accounts.server_id() == await stores.accounts.server_id() == await again.metadata.server_id()
    await again.close()


@pytest.mark.parametrize("stores", ["sql"], indirect=True)
async def test_another_process_may_add_a_user_meanwhile(stores: Stores, tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from syncline.adapters.sql.stores import open_stores
from syncline.ports.account_store import User
async def main():
    stores = await open_stores(Path({str(tmp_path / "metadata.db")!r}))
    await stores.accounts.add_user(User(id="u", email="late@x", name="", password_hash="", root_namespace="n", created_us=1))
    await stores.close()
asyncio.run(main())
"""
    await asyncio.gather(
        asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True, timeout=60),
        *(stores.accounts.add_user(a_user(f"{number}@x")) for number in range(20)),
    )
    assert len(await stores.accounts.users()) == 21
    assert await stores.accounts.user_by_email("late@x") is not None
