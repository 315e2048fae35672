"""What waits, as the database counts it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.unit.server_metadata.world import START_US, World, fresh_database

from syncline.adapters.sql.backlog import SqlBacklog
from syncline.adapters.sql.schema import raw_contents
from syncline.adapters.sql.stores import Stores
from syncline.ports.backlog import Backlog


@pytest.fixture(params=["sql", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    where: Path | str = tmp_path / "metadata.db"
    if isinstance(where, Path) and request.param == "sql":
        await fresh_database(where, tmp_path_factory)
    else:
        where = request.getfixturevalue("postgres_url")
    async with World.opened(where) as opened:
        yield opened


async def test_the_outbox_is_counted_and_its_oldest_entry_is_known(world: World) -> None:
    assert isinstance(world.stores, Stores)
    backlog = SqlBacklog(world.stores.database)
    nothing = Backlog(uploads_open=0, ingest_waiting=0, ingest_oldest_us=None, relay_waiting=0, relay_oldest_us=None)
    assert await backlog.look(relay=True) == nothing
    ann, bob = await world.person("ann"), await world.person("bob")
    for member, name in ((ann, "a"), (ann, "b"), (bob, "c")):
        await member.commit(member.mkdir(name))
    rows = await ann.rows()
    seen = await backlog.look(relay=True)
    assert (seen.relay_waiting, seen.relay_oldest_us) == (2, rows[0].time_us)
    assert await backlog.look(relay=False) == nothing
    await world.stores.metadata.mark_published([(ann.namespace, 1), (bob.namespace, 1)])
    seen = await backlog.look(relay=True)
    assert (seen.relay_waiting, seen.relay_oldest_us) == (1, rows[1].time_us)
    await world.stores.metadata.mark_published([(ann.namespace, 2)])
    assert await backlog.look(relay=True) == nothing


async def test_contents_that_wait_are_counted(world: World) -> None:
    assert isinstance(world.stores, Stores)
    ann = await world.person("ann")
    rows = [
        {
            "namespace_id": ann.namespace,
            "node_id": world.id(str(number)),
            "revision": 1,
            "object_key": str(number),
            "size": 1,
            "packed_bytes": 0,
            "state": "settled" if number == 0 else "waiting",
            "attempts": 0,
            "due_us": START_US + number,
            "created_us": START_US,
        }
        for number in range(3)
    ]
    await world.stores.database.write(lambda connection: connection.execute(insert(raw_contents), rows))
    seen = await SqlBacklog(world.stores.database).look(relay=True)
    assert (seen.ingest_waiting, seen.ingest_oldest_us) == (2, START_US + 1)
