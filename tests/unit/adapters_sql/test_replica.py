"""A primary and a replica that really follows it: who is asked, what is believed, and what goes on while the primary is away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.unit.server_metadata.world import Machine, Member, World

from syncline.adapters.cache.memory import MemoryCache
from syncline.adapters.machine import MachineChance
from syncline.adapters.sql.replica import AWAY_S
from syncline.adapters.sql.stores import open_stores
from syncline.model.errors import NotFound, Unavailable
from syncline.ports import freshness
from syncline.ports.clock import Ids
from syncline.protocol.blocks import RevisionRef
from syncline.server.caching.hot import HotMetadata
from syncline.server.caching.sealed import SealedCache
from syncline.testing.services import postgres

pytestmark = pytest.mark.real


class Pair:
    """A primary and its replica, with a database of Syncline's."""

    def __init__(self, primary: postgres.Postgres, replica: postgres.Postgres) -> None:
        self.primary = primary
        self.replica = replica

    async def caught_up(self) -> None:
        """Waits until the replica shows everything that the primary has."""
        [(at,)] = self.primary.query("SELECT pg_current_wal_lsn()::text")
        async with asyncio.timeout(30):
            while not self.replica.query(f"SELECT pg_last_wal_replay_lsn() >= '{at}'")[0][0]:
                await asyncio.sleep(0.02)

    async def hold(self) -> None:
        """From now on the replica gets everything and shows none of it. It is only asked to; it says when it does."""
        self.replica.query("SELECT pg_wal_replay_pause()")
        async with asyncio.timeout(30):
            while self.replica.query("SELECT pg_get_wal_replay_pause_state()")[0][0] != "paused":
                await asyncio.sleep(0.02)

    def lose(self) -> None:
        self.primary.kill()

    def bring_back(self) -> None:
        self.primary.process = postgres.start(self.primary.data, self.primary.port).process

    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        machine = Machine()
        urls = self.primary.url("syncline"), self.replica.url("syncline")
        stores = await open_stores(urls[0], replica=urls[1], clock=machine, ids=Ids(machine, machine))
        try:
            yield World(stores, machine)
        finally:
            await stores.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder:
        Path(folder).chmod(0o711)
        with postgres.running(Path(folder) / "primary") as primary:
            primary.create("syncline")
            with postgres.following(primary, Path(folder) / "replica") as replica:
                yield Pair(primary, replica)


@contextmanager
def asked(port: int) -> Iterator[list[str]]:
    """The statements that go to the server at a port."""
    seen: list[str] = []

    def note(connection: object, _cursor: object, statement: str, *_: object) -> None:
        if connection.engine.url.port == port:  # type: ignore[attr-defined]
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def behind(call: Callable[[], object]) -> tuple[object, int | None]:
    """What a request that may be behind gets, and as of when."""

    async def request() -> tuple[object, int | None]:
        fresh = freshness.begin(may_be_behind=True)
        return await call(), fresh.as_of_us  # type: ignore[misc]

    return await asyncio.create_task(request())


async def names(ada: Member) -> set[str]:
    page = await ada.world.metadata.children(ada.caller, ada.namespace, ada.root)
    return {entry.name for entry in page.entries}


async def test_a_replica_answers_once_it_shows_what_was_committed_and_never_less(pair: Pair) -> None:
    async with pair.world() as world:
        ada = await world.person("ada")
        await ada.commit(ada.mkdir("a"))
        await pair.caught_up()
        with asked(pair.replica.port) as followed:
            assert await names(ada) == {"a"}
            assert any("FROM nodes" in statement for statement in followed)
        await pair.hold()
        await ada.commit(ada.mkdir("b"))
        with asked(pair.replica.port) as followed:
            assert await names(ada) == {"a", "b"}
            assert followed
            assert not any("FROM nodes" in statement for statement in followed)
            page = await world.metadata.changes(ada.caller, ada.namespace, None)
            assert [entry.name for entry in page.entries] == ["a", "b"]


async def test_while_the_primary_is_away_reads_go_on_and_commits_are_refused(pair: Pair) -> None:
    async with pair.world() as world:
        ada = await world.person("ada")
        await ada.put(b"x")
        await ada.commit(ada.mkdir("a"), ada.create("f", data=b"x"))
        cursor = (await world.metadata.latest(ada.caller)).cursor
        await pair.caught_up()
        pair.lose()
        with pytest.raises(Unavailable) as refused:
            await ada.commit(ada.mkdir("b"))
        assert refused.value.fields["retry_after"] > 0
        with pytest.raises(Unavailable):
            await names(ada)  # Of somebody who did not say that an older answer would do.
        listed, as_of_us = await behind(lambda: names(ada))
        assert listed == {"a", "f"}
        assert as_of_us is not None
        refs = [RevisionRef(node_id=world.id("f"), revision=1)]
        manifests, _ = await behind(lambda: world.metadata.revision_blocks(ada.caller, ada.namespace, refs))
        assert manifests[0].blocks  # type: ignore[index]
        page, as_of_us = await behind(lambda: world.metadata.changes(ada.caller, ada.namespace, cursor))
        assert page.entries == []  # type: ignore[attr-defined]
        assert as_of_us is not None
        pair.bring_back()
        world.machine.time_us += int(AWAY_S * 1e6)
        await ada.commit(ada.mkdir("b"))
        listed, as_of_us = await behind(lambda: names(ada))
        assert listed == {"a", "b", "f"}
        assert as_of_us is None


async def test_a_replica_that_lags_shows_no_older_tree_and_breaks_no_cursor(pair: Pair) -> None:
    async with pair.world() as world, pair.world() as other:
        ada = await world.person("ada")
        elsewhere = Member(other, ada.caller, ada.namespace)
        await ada.commit(ada.mkdir("a"))
        older = (await world.metadata.latest(ada.caller)).cursor
        await pair.caught_up()
        await pair.hold()
        await ada.commit(ada.mkdir("b"))
        bob = await world.person("bob")
        newer = (await world.metadata.latest(ada.caller)).cursor
        pair.lose()
        # This process has seen the newer head, so nobody is shown less by it.
        with pytest.raises(Unavailable):
            await behind(lambda: names(ada))
        # Another one has not: it says as of when its answer is, and takes no cursor for wrong that is only ahead.
        listed, as_of_us = await behind(lambda: names(elsewhere))
        assert listed == {"a"}
        assert as_of_us is not None
        page, _ = await behind(lambda: other.metadata.changes(ada.caller, ada.namespace, older))
        assert page.entries == []  # type: ignore[attr-defined]
        for call in (
            lambda: other.metadata.changes(ada.caller, ada.namespace, newer),
            lambda: other.metadata.positions(ada.caller, [newer]),
            lambda: other.metadata.head(bob.caller, bob.namespace),
        ):
            with pytest.raises(Unavailable):
                await behind(call)
        pair.bring_back()
        for each in (world, other):
            each.machine.time_us += int(AWAY_S * 1e6)
        assert (await other.metadata.changes(ada.caller, ada.namespace, older)).entries[0].name == "b"
        assert await names(elsewhere) == {"a", "b"}
        with pytest.raises(NotFound):
            await other.metadata.head(bob.caller, ada.namespace)


async def test_a_cache_of_pages_never_keeps_what_a_replica_that_lags_shows(pair: Pair) -> None:
    """The version is the primary's, the page the replica's: between the two nothing older is ever kept under something newer."""
    async with pair.world() as world:
        cache = MemoryCache(world.machine)
        ada = await world.person("ada")
        await ada.commit(ada.mkdir("old"))
        await pair.caught_up()
        hot = HotMetadata(world.stores.metadata, SealedCache(cache, bytes(32), MachineChance()), world.machine)
        hot.stand_before(world.stores.metadata)
        assert await names(ada) == {"old"}
        await pair.hold()
        await ada.commit(ada.mkdir("new"))
        for _ in range(3):
            assert await names(ada) == {"old", "new"}
        pair.lose()

        async def look() -> object:
            return await names(ada)

        with pytest.raises(Unavailable):
            await behind(look)
        pair.replica.query("SELECT pg_wal_replay_resume()")
        await eventually_shows(pair, 2)
        found, as_of_us = await behind(look)
        assert found == {"old", "new"}
        assert as_of_us is not None


async def eventually_shows(pair: Pair, sequence: int) -> None:
    async with asyncio.timeout(30):
        url = pair.replica.url("syncline")
        while True:
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute("SELECT max(head_sequence) FROM namespaces").fetchone()
            if row is not None and row[0] == sequence:
                return
            await asyncio.sleep(0.02)
