"""The connections: callers that go away, closing, and a database that somebody else holds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError
from tests.unit.server_metadata.world import Member, World, fresh_database

from syncline.adapters.sql import sqlite
from syncline.adapters.sql.metadata import _page
from syncline.adapters.sql.schema import members
from syncline.model.errors import TooBusy, Unavailable
from syncline.ports.metadata_store import JournalPage


@pytest.fixture
async def world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as opened:
        yield opened


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")


async def test_callers_that_go_away_cost_no_connection(ada: Member) -> None:
    accounts = ada.world.stores.accounts
    for round_ in range(20):
        tasks = [asyncio.create_task(accounts.set_password(ada.caller.user_id, f"{round_} {number}")) for number in range(10)]
        for _ in range(round_):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
    await accounts.set_password(ada.caller.user_id, "last")
    stored = await accounts.user(ada.caller.user_id)
    assert stored is not None
    assert stored.password_hash == "last"


async def test_too_many_waiting_writers_are_told_to_come_back(ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "WRITERS_WAITING_MAX", 3)
    ends = await asyncio.gather(*(ada.commit(ada.mkdir(f"d{number}")) for number in range(8)), return_exceptions=True)
    assert sum(isinstance(end, TooBusy) for end in ends) == 5
    assert len(await ada.tree()) == 3
    await ada.commit(ada.mkdir("after"))


async def test_a_database_held_by_another_is_unavailable_for_now(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        other = sqlite3.connect(tmp_path / "metadata.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await ada.commit(ada.mkdir("a"))
        assert await ada.tree() == {}
        other.execute("ROLLBACK")
        other.close()
        await ada.commit(ada.mkdir("a"))


async def test_a_closed_store_is_unavailable(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        await ada.commit(ada.mkdir("a"))
    with pytest.raises(Unavailable):
        await ada.commit(ada.mkdir("b"))
    with pytest.raises(Unavailable):
        await ada.tree()


async def test_a_commit_that_fails_stands_in_nobodys_way(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    opened = sqlite.SqliteDatabase(tmp_path / "metadata.db")

    def break_a_promise(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.execute(insert(members).values(namespace_id="none", user_id="u", access="read", since_us=1))

    with pytest.raises(IntegrityError):
        await opened.write(break_a_promise)
    with pytest.raises(IntegrityError):
        async with opened.transaction() as transaction:
            await transaction.run(break_a_promise)
    assert await opened.write(lambda connection: connection.scalar(select(func.count()).select_from(members))) == 0
    await opened.close()


class Between:
    """A connection on which something happens after the first statement."""

    def __init__(self, connection: Connection, happens: Callable[[], None]) -> None:
        self.dialect = connection.dialect
        self._connection = connection
        self._happens = happens
        self._statements = 0

    def exec_driver_sql(self, *statement: Any) -> Any:
        if self._statements == 1:
            self._happens()
        self._statements += 1
        return self._connection.exec_driver_sql(*statement)


async def test_a_page_never_splits_a_changeset_that_is_pruned_meanwhile(ada: Member, tmp_path: Path) -> None:
    await ada.commit(*(ada.mkdir(f"a{number}") for number in range(4)))
    await ada.commit(ada.mkdir("b"))

    def prune() -> None:
        other = sqlite3.connect(tmp_path / "metadata.db")
        with other:
            other.execute("DELETE FROM journal WHERE sequence <= 4")
        other.close()

    def page(connection: Connection) -> JournalPage:
        between: Any = Between(connection, prune)
        return _page(between, ada.namespace, 0, 2)

    store = ada.world.stores.metadata
    assert [entry.sequence for entry in (await store.journal(ada.namespace, 0, 2)).entries] == [1, 2, 3, 4]
    assert await store._database.read(page) == JournalPage([], None, None, False)


async def test_each_transaction_is_synced_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`synchronous=FULL`, and a log that is not written back in the middle of a burst."""
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as world:
        ada = await world.person("ada")
        before = (tmp_path / "metadata.db").read_bytes()
        for batch in range(3):
            await ada.commit(*(ada.mkdir(f"{batch} {number}") for number in range(1000)))
        assert (tmp_path / "metadata.db").read_bytes() == before
        settings = await world.stores.metadata._database.write(
            lambda connection: [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        )
    assert settings == ["wal", 2]
