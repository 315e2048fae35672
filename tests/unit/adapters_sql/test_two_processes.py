"""What two processes do to one PostgreSQL database at the same time: it comes out as if one had waited for the other."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, text
from tests.unit.server_metadata.world import World

from syncline.adapters.sql.postgres import engine_at
from syncline.adapters.sql.prune import prune_journals
from syncline.adapters.sql.schema import journal, namespaces
from syncline.adapters.sql.stores import open_stores
from syncline.testing.services import postgres

pytestmark = pytest.mark.real
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def test_two_that_prune_one_journal_do_not_take_its_beginning_back(postgres_url: str) -> None:
    async with World.opened(postgres_url) as world:
        ada = await world.person("ada")
        times = []
        for number in range(6):
            await ada.commit(ada.mkdir(f"{number}"))
            times.append(world.machine.now_us() + 1)
            world.machine.time_us += 10_000_000
        engine = engine_at(postgres_url)
        autocommitted = engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as first, engine.connect() as second, autocommitted.connect() as watching:
            assert prune_journals(first, times[3], 1000) == 4
            other = asyncio.ensure_future(asyncio.to_thread(prune_journals, second, times[1], 1000))
            async with asyncio.timeout(20):
                while not await asyncio.to_thread(watching.scalar, WAITING):
                    await asyncio.sleep(0.01)
            first.commit()
            assert await other == 0
            second.commit()
            kept = watching.scalar(select(func.min(journal.c.sequence)).where(journal.c.namespace_id == ada.namespace))
            pruned = watching.scalar(select(namespaces.c.pruned_sequence).where(namespaces.c.namespace_id == ada.namespace))
        engine.dispose()
    assert (pruned, kept) == (4, 5)


async def test_processes_that_start_on_an_empty_database_are_of_one_server(postgres_server: postgres.Postgres) -> None:
    url = postgres_server.create("starting")
    try:
        opened = await asyncio.gather(*(open_stores(url) for _ in range(4)))
        ids = {await stores.accounts.server_id() for stores in opened}
        for stores in opened:
            await stores.close()
        assert len(ids) == 1
    finally:
        postgres_server.drop("starting")
