"""What every `Leases` promises: one holder at a time, for a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncline.adapters.machine import MachineClock
from syncline.adapters.sql.stores import open_stores
from syncline.ports.leases import Leases
from syncline.testing.stores.leases import MemoryLeases

LONG_S = 3600.0


@pytest.fixture(params=["sql", "postgres", "memory"])
async def leases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Leases]:
    if request.param == "memory":
        yield MemoryLeases(MachineClock())
        return
    where = request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "metadata.db"
    stores = await open_stores(where)
    yield stores.leases
    await stores.close()


async def test_one_holds_it_until_it_lets_go(leases: Leases) -> None:
    assert await leases.hold("relay", "a", LONG_S)
    assert not await leases.hold("relay", "b", LONG_S)
    assert await leases.hold("relay", "a", LONG_S)
    await leases.release("relay", "b")
    assert not await leases.hold("relay", "b", LONG_S)
    await leases.release("relay", "a")
    assert await leases.hold("relay", "b", LONG_S)


async def test_names_are_apart(leases: Leases) -> None:
    assert await leases.hold("relay", "a", LONG_S)
    assert await leases.hold("sweep", "b", LONG_S)


async def test_what_ran_out_is_taken_over(leases: Leases) -> None:
    assert await leases.hold("relay", "a", -1.0)
    assert await leases.hold("relay", "b", LONG_S)
    assert not await leases.hold("relay", "a", LONG_S)


async def test_of_many_at_once_one_gets_it(leases: Leases) -> None:
    assert sum(await asyncio.gather(*(leases.hold("relay", f"h{number}", LONG_S) for number in range(20)))) == 1


async def test_a_clock_that_was_set_back_binds_nobody(tmp_path: Path) -> None:
    clock = Settable()
    stores = await open_stores(tmp_path / "metadata.db", clock=clock)
    try:
        assert await stores.leases.hold("relay", "a", 5)
        clock.behind_us = 3_600_000_000
        assert await stores.leases.hold("relay", "b", 5)
        assert not await stores.leases.hold("relay", "a", 5)
    finally:
        await stores.close()


class Settable(MachineClock):
    behind_us = 0

    def now_us(self) -> int:
        return super().now_us() - self.behind_us
