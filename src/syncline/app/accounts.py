"""Accounts beside a server's data: what `syncline admin user` opens, works with and closes again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from syncline.adapters.machine import MachineChance, MachineClock
from syncline.adapters.sql.stores import open_stores
from syncline.app.data import DataDirectory
from syncline.ports.clock import Ids
from syncline.server.accounts.people import People

Result = TypeVar("Result")


async def with_people(path: Path | None, work: Callable[[People], Awaitable[Result]], *, database: str | None = None) -> Result:
    """`work` on the accounts of the PostgreSQL `database`; without one, of the data directory at `path`, which is made where there
    is none. Also while a server runs."""
    clock, chance = MachineClock(), MachineChance()
    ids = Ids(clock, chance)
    if database is None:
        assert path is not None
        stores = await open_stores(DataDirectory.open(path.resolve(), chance, ids).database)
    else:
        stores = await open_stores(database)
    try:
        return await work(People(stores.accounts, clock, ids))
    finally:
        await stores.close()
