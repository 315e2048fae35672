"""What every `MetadataStore` promises beyond the commit's own tests: all or nothing, one at a time, one namespace only."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.unit.server_metadata.world import Member, World, content, digest, fresh_database

from syncline.adapters.sql.stores import Stores, open_stores
from syncline.model.entries import Access
from syncline.model.errors import Forbidden, NotFound
from syncline.model.ids import DeviceId, Digest, NamespaceId, NodeId, UserId
from syncline.ports.metadata_store import ChainedRow, CommitTransaction, HeldBlock, JournalPage, StoredAnswer, Written
from syncline.protocol.blocks import RevisionRef


@pytest.fixture(params=["sql", "postgres", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if request.param == "memory":
        yield World.in_memory()
        return
    if request.param == "postgres":
        async with World.opened(request.getfixturevalue("postgres_url")) as opened:
            yield opened
        return
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as opened:
        yield opened


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")


async def test_a_transaction_that_raises_leaves_nothing(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    before = await ada.entries()
    store = ada.world.stores.metadata
    answer = StoredAnswer(body_hash=b"", answer=b"")

    async def write_and_fail() -> None:
        async with store.commit(ada.namespace, ada.caller.user_id) as transaction:
            await transaction.write(Written(device=DeviceId("d"), key="k", stored=answer, time_us=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    async with store.commit(ada.namespace, ada.caller.user_id) as transaction:
        assert await transaction.stored_answer(DeviceId("d"), "k") is None
    assert await ada.entries() == before


@pytest.mark.parametrize("world", ["sql"], indirect=True)
async def test_a_crash_before_the_end_leaves_nothing(ada: Member, tmp_path: Path) -> None:
    """The files as they lie on disk while a transaction is open are what a killed server leaves."""
    await ada.commit(ada.mkdir("a"))
    wrecks = []
    store = ada.world.stores.metadata
    real_decided = store.decided

    async def decided(namespace: NamespaceId, user: UserId, decide: Callable[[CommitTransaction], Awaitable[object]]) -> object:
        async def wrecked(transaction: CommitTransaction) -> object:
            result = await decide(transaction)
            wreck = tmp_path / "wreck"
            wreck.mkdir()
            for file in tmp_path.glob("metadata.db*"):
                shutil.copy(file, wreck / file.name)
            wrecks.append(wreck)
            return result

        return await real_decided(namespace, user, wrecked)

    store.decided = decided  # type: ignore[method-assign, assignment]
    await ada.commit(*[ada.mkdir(f"b{number}") for number in range(500)])
    assert len(await ada.entries()) == 501
    stores = await open_stores(wrecks[0] / "metadata.db")
    assert (await stores.metadata.journal(ada.namespace, 0, 1000)).entries == (await store.journal(ada.namespace, 0, 1)).entries
    assert len(await stores.metadata.live(ada.namespace, None, 1000)) == 1
    await stores.close()


async def test_many_nodes_change_in_one_changeset_each_in_its_own_way(ada: Member) -> None:
    """Names that need quoting somewhere, names that swap, new revisions with the bytes of the old, moves and deletes at once."""
    names = ["plain", 'a "quoted" one', "{braces}, and commas", "NULL", "ümlaut", "%s"]
    await ada.put(*(name.encode() for name in names))
    await ada.commit(ada.mkdir("d"), *(ada.create(name, data=name.encode()) for name in names))
    first, second, *others = names
    await ada.commit(
        ada.move(first, name=second),
        ada.move(second, name=first),
        *(ada.edit(name, 1, executable=True) for name in others[:3]),
        *(ada.move(name, parent="d", name=f"{name} moved") for name in others[1:]),
        ada.mkdir("e", parent="d"),
    )
    tree = await ada.tree()
    assert tree[second] == first
    assert tree[first] == second
    assert {node for path, node in tree.items() if path.startswith("d/")} == {*others[1:], "e"}
    await ada.commit(*(ada.edit(name, 2, executable=False) for name in others[:3]))
    refs = [RevisionRef(node_id=ada.world.id(name), revision=3) for name in others[:3]]
    found = await ada.world.stores.metadata.revision_blocks(ada.namespace, refs)
    assert [manifest.blocks for manifest in found] == [[(digest(name.encode()), len(name.encode()))] for name in others[:3]]
    await ada.check()


async def test_commits_to_one_namespace_take_turns(ada: Member) -> None:
    answers = await asyncio.gather(*(ada.commit(ada.mkdir(f"d{number}")) for number in range(30)))
    assert sorted(answer.sequence for answer in answers) == list(range(1, 31))
    await ada.check()


async def test_of_equal_names_at_the_same_time_one_wins(ada: Member) -> None:
    results = await asyncio.gather(*(ada.commit(ada.mkdir(f"d{number}", name="n")) for number in range(8)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert len(await ada.tree()) == 1


async def test_a_commit_goes_on_when_its_caller_goes_away(ada: Member) -> None:
    task = asyncio.create_task(ada.commit(ada.mkdir("a"), key="k"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ada.world.metadata.drain()
    assert await ada.tree() == {"a": "a"}
    assert ada.world.committed == [(ada.namespace, 1)]
    await ada.commit(ada.mkdir("a"), key="k")
    assert len(await ada.entries()) == 1


async def test_a_read_member_reads_and_does_not_write(ada: Member) -> None:
    bob = await ada.world.person("bob")
    await ada.commit(ada.mkdir("a"))
    await ada.world.join(bob.caller.user_id, ada.namespace)
    guest = Member(ada.world, bob.caller, ada.namespace)
    assert await guest.tree() == {"a": "a"}
    with pytest.raises(Forbidden):
        await guest.commit(guest.mkdir("b"))
    heads = await ada.world.stores.metadata.heads(bob.caller.user_id)
    assert [(head.namespace, head.access.value) for head in heads] == [(bob.namespace, "owner"), (ada.namespace, "read")]


async def test_strangers_learn_nothing(ada: Member) -> None:
    eve = await ada.world.person("eve")
    await ada.commit(ada.mkdir("a"), ada.mkdir("b"))
    store = ada.world.stores.metadata
    assert await store.head(eve.caller.user_id, ada.namespace) is None
    assert await store.chains(eve.caller.user_id, [(ada.namespace, 1)]) == {}
    assert len(await store.chains(ada.caller.user_id, [(ada.namespace, 1), (ada.namespace, 9), (eve.namespace, 1)])) == 1
    with pytest.raises(NotFound):
        async with store.commit(ada.namespace, eve.caller.user_id):
            raise AssertionError


async def test_condemned_blocks_revive_when_named(ada: Member) -> None:
    (block,) = await ada.put(b"x")
    await ada.world.condemn(ada.namespace, block)

    async def held() -> dict[Digest, HeldBlock]:
        async with ada.world.stores.metadata.commit(ada.namespace, ada.caller.user_id) as transaction:
            return await transaction.held([block])

    assert await held() == {block: HeldBlock(1, condemned=True)}
    await ada.commit(ada.create("f", data=b"x"))
    assert await held() == {block: HeldBlock(1)}


async def test_a_transaction_sees_what_it_wrote_and_nobody_else_does(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    store, user = ada.world.stores.metadata, ada.caller.user_id
    async with store.commit(ada.namespace, user) as transaction:
        (entry,) = await transaction.nodes([ada.world.id("a")])
        moved = replace(entry, sequence=2, name="b")
        row = ChainedRow(moved, Digest("1" * 64), "2" * 64)
        answer = StoredAnswer(body_hash=b"", answer=b"")
        await transaction.write(
            Written(rows=[row], keys=["b"], vacated=[moved.node_id], device=DeviceId("d"), key="k", stored=answer, time_us=1)
        )
        assert await transaction.nodes([moved.node_id]) == [moved]
        assert await transaction.holders([(ada.root, "a"), (ada.root, "b")]) == [moved]
        assert await transaction.stored_answer(DeviceId("d"), "k") == answer
        assert await store.nodes(ada.namespace, [moved.node_id]) == [entry]
        assert await store.child(ada.namespace, (ada.root, "a")) == entry
        assert (await store.journal(ada.namespace, 1, 10)).entries == []
    assert await store.nodes(ada.namespace, [moved.node_id]) == [moved]
    assert await store.children(ada.namespace, ada.root, None, 10) == [("b", moved)]
    assert await store.journal(ada.namespace, 1, 10) == JournalPage([moved], Digest("1" * 64), "2" * 64, False)


async def test_heads_past_what_was_published_are_the_outbox(ada: Member) -> None:
    store = ada.world.stores.metadata
    assert await store.unpublished(10) == []
    await ada.commit(ada.mkdir("a"))
    await ada.commit(ada.mkdir("b"))
    assert await store.unpublished(10) == [(ada.namespace, 2)]
    await store.mark_published([(ada.namespace, 2)])
    assert await store.unpublished(10) == []
    await store.mark_published([(ada.namespace, 1)])
    assert await store.unpublished(10) == []


async def test_recursion_is_bounded_by_the_limit_given(ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), *[ada.create(f"f{number}", "d") for number in range(10)])
    async with ada.world.stores.metadata.commit(ada.namespace, ada.caller.user_id) as transaction:
        assert len(await transaction.below([ada.world.id("d")], 4)) == 4
        assert len(await transaction.below([ada.world.id("d")], 100)) == 11
        assert await transaction.below([NodeId("none")], 100) == []


async def test_long_lists_of_hashes_and_ids(ada: Member) -> None:
    pieces = [b"%d" % number for number in range(4000)]
    await ada.put(*pieces)
    blocks = content(pieces)["blocks"]
    async with ada.world.stores.metadata.commit(ada.namespace, ada.caller.user_id) as transaction:
        assert len(await transaction.held(blocks * 10)) == 4000
        assert await transaction.nodes([NodeId(f"{number}") for number in range(50_000)]) == []


async def test_a_version_stands_for_what_is_read_under_it(ada: Member) -> None:
    """It moves with every journal row and every pruned one, and with nothing else."""
    store, seen = ada.world.stores.metadata, set[str]()

    async def fresh() -> None:
        version = await store.version_of(ada.namespace)
        assert version is not None
        assert version not in seen
        assert await store.version_of(ada.namespace) == version
        seen.add(version)

    assert await store.version_of(NamespaceId(ada.world.ids.fresh())) is None
    await fresh()
    for name in ("a", "b", "c"):
        await ada.commit(ada.mkdir(name))
        await fresh()
    await ada.refused(ada.mkdir("d", None, "a"))
    await ada.put(b"block")
    assert await store.version_of(ada.namespace) in seen
    pruned = await store.prune(journal_before_us=ada.world.machine.now_us(), answers_before_us=0, limit=1)
    assert pruned.journal_rows == 1
    await fresh()


async def test_revisions_are_told_without_their_blocks(ada: Member) -> None:
    await ada.put(b"one", b"two")
    await ada.commit(ada.create("a", data=b"one"), ada.create("b", data=b"two"))
    store = ada.world.stores.metadata
    refs = [RevisionRef(node_id=ada.world.id(name), revision=number) for name, number in (("b", 1), ("a", 2), ("a", 1))]
    whole, bare = await store.revision_blocks(ada.namespace, refs), await store.revisions(ada.namespace, refs)
    assert [one.blocks is None for one in whole] == [False, True, False]
    assert bare == [one if one.blocks is None else replace(one, blocks=[]) for one in whole]
    assert await store.revisions(ada.namespace, []) == []
    assert [one.blocks for one in await store.revisions(NamespaceId(ada.world.ids.fresh()), refs[:1])] == [None]


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
@pytest.mark.parametrize("left", [None, Access.READ])
async def test_who_waits_for_its_turn_may_do_what_it_may_then(world: World, ada: Member, left: Access | None) -> None:
    """Whoever had the turn before ended the membership, or made less of it."""
    bob = (await world.person("bob")).caller.user_id
    await world.join(bob, ada.namespace, Access.WRITE)

    async def access(transaction: CommitTransaction) -> Access:
        return transaction.head.access

    assert isinstance(world.stores, Stores)
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with world.stores.shares.transaction({ada.namespace: ada.caller.user_id}) as transaction:
        if left is None:
            await transaction.drop_member(ada.namespace, bob)
        else:
            await transaction.set_member(ada.namespace, bob, left, 2)
        waiting = asyncio.ensure_future(world.stores.metadata.decided(ada.namespace, bob, access))
        async with asyncio.timeout(10):
            while not await world.stores.database.read(lambda connection: connection.scalar(waits)):
                await asyncio.sleep(0.01)
    if left is None:
        with pytest.raises(NotFound):
            await waiting
    else:
        assert await waiting is left
