"""What `ports.link_store.LinkStore` promises, of the one on a SQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.server_metadata.world import World, fresh_database

from syncline.adapters.sql.stores import Stores
from syncline.model.ids import Digest, LinkId, NamespaceId, NodeId, UserId
from syncline.ports.link_store import LinkRow, LinkStore
from syncline.protocol.links import LinkKind

IDS = [LinkId(f"01J9ZK3V8Q6W1M2N3P4R5S6T{number:02}") for number in range(10)]
NODE = NodeId("01J9ZK3V8Q6W1M2N3P4R5S6T7V")


class Shelf:
    def __init__(self, store: LinkStore, namespace: NamespaceId, user: UserId) -> None:
        self.store = store
        self.namespace = namespace
        self.user = user

    def row(self, number: int, **more: object) -> LinkRow:
        row = LinkRow(
            id=IDS[number],
            namespace=self.namespace,
            token_hash=Digest(f"{number:02}" * 32),
            node=NODE,
            kind=LinkKind.DOWNLOAD,
            created_by=self.user,
            created_us=7,
        )
        return replace(row, **more)

    async def added(self, number: int, **more: object) -> LinkRow:
        row = self.row(number, **more)
        await self.store.add(row)
        return row


@pytest.fixture
async def shelf(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        assert isinstance(world.stores, Stores)
        yield Shelf(world.stores.links, ada.namespace, ada.caller.user_id)


async def test_a_link_is_found_by_token_and_by_id(shelf: Shelf) -> None:
    row = await shelf.added(0, kind=LinkKind.DROP, password_hash="h", expires_us=9, downloads_max=3)
    assert await shelf.store.by_token(shelf.namespace, row.token_hash) == row
    assert await shelf.store.link(row.id) == row
    assert await shelf.store.by_token(shelf.namespace, Digest("ff" * 32)) is None
    assert await shelf.store.by_token(NamespaceId(NODE), row.token_hash) is None
    assert await shelf.store.link(IDS[1]) is None


async def test_lists_come_in_pages(shelf: Shelf) -> None:
    rows = [await shelf.added(number, node=NODE if number % 2 else NodeId(shelf.namespace)) for number in range(6)]
    assert await shelf.store.of_person(shelf.user, None, 4) == rows[:4]
    assert await shelf.store.of_person(shelf.user, rows[3].id, 4) == rows[4:]
    assert await shelf.store.of_person(UserId(NODE), None, 4) == []
    assert await shelf.store.of_node(NODE, None, 2) == [rows[1], rows[3]]
    assert await shelf.store.of_node(NODE, rows[3].id, 2) == [rows[5]]
    assert await shelf.store.count_of(shelf.user) == 6


async def test_what_may_change_changes_and_what_counts_stays(shelf: Shelf) -> None:
    row = await shelf.added(0, password_hash="h", expires_us=9, downloads_max=3)
    assert await shelf.store.begin(shelf.namespace, row.id)
    assert await shelf.store.change(replace(row, password_hash=None, expires_us=None, downloads_max=5))
    assert await shelf.store.link(row.id) == replace(row, password_hash=None, expires_us=None, downloads_max=5, downloads=1)
    assert not await shelf.store.change(shelf.row(1))


async def test_what_is_removed_is_gone(shelf: Shelf) -> None:
    row = await shelf.added(0)
    assert not await shelf.store.remove(NamespaceId(NODE), row.id)
    assert await shelf.store.remove(shelf.namespace, row.id)
    assert not await shelf.store.remove(shelf.namespace, row.id)
    assert not await shelf.store.begin(shelf.namespace, row.id)


async def test_starts_are_counted_one_by_one(shelf: Shelf) -> None:
    limited, free = await shelf.added(0, downloads_max=5), await shelf.added(1)
    begun = await asyncio.gather(*(shelf.store.begin(shelf.namespace, limited.id) for _ in range(20)))
    assert sum(begun) == 5
    assert (await shelf.store.link(limited.id)) == replace(limited, downloads=5)
    assert limited.is_exhausted is False
    assert replace(limited, downloads=5).is_exhausted
    assert all(await asyncio.gather(*(shelf.store.begin(shelf.namespace, free.id) for _ in range(5))))
