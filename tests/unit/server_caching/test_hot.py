"""Hot metadata over the worst of caches: whatever it answers, pages and manifests are those of the database at that moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.server_metadata.world import Member, World, digest

from syncline.adapters.cache.memory import MemoryCache
from syncline.adapters.machine import MachineChance
from syncline.model.errors import CommitRefused, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.ports.cache import Cache
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change
from syncline.server.caching.forgetting import Forgetting
from syncline.server.caching.hot import LONG_BLOCKS, HotMetadata
from syncline.server.caching.sealed import SealedCache
from syncline.testing.lying import LyingCache
from syncline.testing.server_store import MemoryStores

KEY = bytes(range(32))
PIECES = [b"%03d" % number for number in range(LONG_BLOCKS + 3)]


class Counting:
    """How often the database's own readings were asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def of(self, read: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*arguments: Any) -> Any:
            self.calls += 1
            return await read(*arguments)

        return counted


class Plain:
    """The store's readings, without anything before them."""

    def __init__(self, world: World) -> None:
        store = world.stores.metadata
        self.journal, self.live, self.children = store.journal, store.live, store.children
        self.revision_blocks = store.revision_blocks


def hot_before(world: World, cache: Cache) -> tuple[HotMetadata, Plain]:
    plain = Plain(world)
    hot = HotMetadata(world.stores.metadata, SealedCache(cache, KEY, MachineChance()), world.machine)
    hot.stand_before(world.stores.metadata)
    return hot, plain


async def agree(world: World, plain: Plain, namespace: NamespaceId, refs: Sequence[RevisionRef]) -> None:
    """The same questions twice each, so that the second may be answered by the cache, held against the database."""
    store = world.stores.metadata
    for _ in range(2):
        for limit in (3, 1000):
            assert await store.journal(namespace, 0, limit) == await plain.journal(namespace, 0, limit)
            assert await store.journal(namespace, 2, limit) == await plain.journal(namespace, 2, limit)
            assert await store.live(namespace, None, limit) == await plain.live(namespace, None, limit)
            folder = NodeId(namespace)
            assert await store.children(namespace, folder, None, limit) == await plain.children(namespace, folder, None, limit)
        assert await store.revision_blocks(namespace, refs) == await plain.revision_blocks(namespace, refs)


@pytest.mark.parametrize("seed", range(8))
async def test_no_lie_changes_an_answer(seed: int) -> None:
    """Random lives of a namespace: edits, moves, deletions, pruned journals, backups put back and lived differently."""
    chance, world = random.Random(seed), World.in_memory()
    cache = LyingCache(seed)
    _, plain = hot_before(world, cache)
    ann, bob = await world.person("ann"), await world.person("bob")
    for member in (ann, bob):
        await member.put(*PIECES)
    backups: list[Any] = []
    refs = [RevisionRef(node_id=world.id(f"n{number}"), revision=revision) for number in range(5) for revision in (1, 2, 3)]
    for _ in range(40):
        member = chance.choice((ann, ann, ann, bob))
        try:
            await member.commit(_change(chance, member))
        except (CommitRefused, NotFound):
            continue
        assert isinstance(world.stores, MemoryStores)
        match chance.randrange(12):
            case 0:
                backups.append(world.stores.snapshot())
            case 1 if backups:
                world.stores.restore(chance.choice(backups))
                if chance.random() < 0.5:
                    world.stores.new_epoch()
            case 2:
                now = world.machine.time_us
                await world.stores.metadata.prune(journal_before_us=now, answers_before_us=now, limit=chance.randrange(1, 4))
        for namespace in (ann.namespace, bob.namespace):
            await agree(world, plain, namespace, refs)
    assert cache.told > 100


def _change(chance: random.Random, member: Member) -> Change:
    node, data = f"n{chance.randrange(5)}", _long(chance)
    match chance.randrange(6):
        case 0:
            return member.mkdir(f"d{chance.randrange(3)}")
        case 1:
            return member.move(node, None, f"name {chance.randrange(9)}")
        case 2:
            return member.delete(node, chance.choice((1, 2)))
        case 3:
            return member.undelete(node)
        case 4:
            return member.edit(node, chance.choice((1, 2)), **data)
        case _:
            return member.create(node, None, f"name {chance.randrange(9)}", **data)


def _long(chance: random.Random) -> dict[str, Any]:
    """A content of many blocks."""
    pieces = list(PIECES)
    chance.shuffle(pieces)
    whole = b"".join(pieces)
    return {"content_hash": digest(whole), "size": len(whole), "blocks": [digest(piece) for piece in pieces], "cut": "test"}


async def _one_long_file(world: World) -> tuple[Member, RevisionRef]:
    ann = await world.person("ann")
    await ann.put(*PIECES)
    await ann.commit(ann.create("long", **_long(random.Random(0))))
    return ann, RevisionRef(node_id=world.id("long"), revision=1)


async def test_the_database_is_spared_what_was_asked_already() -> None:
    world = World.in_memory()
    store, counting = world.stores.metadata, Counting()
    for name in ("journal", "live", "children", "revision_blocks"):
        setattr(store, name, counting.of(getattr(store, name)))
    hot_before(world, MemoryCache(world.machine))
    ann, ref = await _one_long_file(world)
    asked = [
        lambda: store.journal(ann.namespace, 0, 10),
        lambda: store.live(ann.namespace, None, 10),
        lambda: store.children(ann.namespace, ann.root, None, 10),
        lambda: store.revision_blocks(ann.namespace, [ref]),
    ]
    for question in asked:
        counting.calls = 0
        first = await question()
        assert counting.calls == 1
        assert [await question() for _ in range(5)] == [first] * 5
        assert counting.calls == 1
    await ann.commit(ann.mkdir("news"))
    for question in asked[:3]:
        counting.calls = 0
        await question()
        assert counting.calls == 1, "what was true before a commit is asked again after it"


async def test_what_was_committed_while_a_page_was_read_is_not_kept_under_the_old_version() -> None:
    world = World.in_memory()
    store, ann = world.stores.metadata, await world.person("ann")
    await ann.commit(ann.mkdir("a"))
    reads: list[Any] = [store.live]

    async def read_late(*arguments: Any) -> Any:
        if len(await reads[0](*arguments)) == 1:
            await ann.commit(ann.mkdir("b"))
        return await reads[0](*arguments)

    store.live = read_late  # type: ignore[method-assign]
    cache = MemoryCache(world.machine)
    hot_before(world, cache)
    assert len(await store.live(ann.namespace, None, 10)) == 2
    assert isinstance(world.stores, MemoryStores)
    assert await cache.get(f"t:{ann.namespace}", ["anything"]) == [None]
    assert not cache._groups


async def test_a_member_who_was_removed_gets_nothing_however_hot_it_is() -> None:
    world = World.in_memory()
    hot_before(world, LyingCache(1, honest=1.0))
    ann, ref = await _one_long_file(world)
    bob = await world.person("bob")
    there = Member(world, bob.caller, ann.namespace)
    await world.join(bob.caller.user_id, ann.namespace)
    for _ in range(3):
        assert len(await there.entries()) == 1
        (found,) = await world.metadata.revision_blocks(bob.caller, ann.namespace, [ref])
        assert found.blocks
    assert isinstance(world.stores, MemoryStores)
    world.stores.set_access(ann.namespace, bob.caller.user_id, None)
    with pytest.raises(NotFound):
        await there.entries()
    with pytest.raises(NotFound):
        await there.live()
    with pytest.raises(NotFound):
        await world.metadata.revision_blocks(bob.caller, ann.namespace, [ref])


async def test_a_commit_rests_on_no_cache() -> None:
    """Heads, bases and names are those of the transaction, whatever a reader is told."""
    world = World.in_memory()
    hot_before(world, LyingCache(2, honest=1.0))
    ann = await world.person("ann")
    await ann.put(*PIECES)
    await ann.commit(ann.create("a"))
    await ann.entries()
    await ann.live()
    await ann.commit(ann.edit("a", 1, **_long(random.Random(0))))
    assert await ann.refused_codes(ann.edit("a", 1, **_long(random.Random(1)))) == {0: "revision.stale"}
    assert await ann.refused_codes(ann.mkdir("b", None, "a")) == {0: "name.taken"}
    await ann.check()


async def test_a_manifest_is_that_of_the_very_revision_or_none() -> None:
    world = World.in_memory()
    cache = MemoryCache(world.machine)
    _, plain = hot_before(world, cache)
    ann, ref = await _one_long_file(world)
    store = world.stores.metadata
    backup = world.stores.snapshot() if isinstance(world.stores, MemoryStores) else None
    await ann.commit(ann.edit("long", 1, **_long(random.Random(1))))
    second = replace_revision(ref, 2)
    kept = await store.revision_blocks(ann.namespace, [second])
    assert isinstance(world.stores, MemoryStores)
    world.stores.restore(backup)
    (gone,) = await store.revision_blocks(ann.namespace, [second])
    assert gone.blocks is None
    await ann.commit(ann.edit("long", 1, **_long(random.Random(2))))
    (other,) = await store.revision_blocks(ann.namespace, [second])
    assert other == (await plain.revision_blocks(ann.namespace, [second]))[0] != kept[0]


def replace_revision(ref: RevisionRef, revision: int) -> RevisionRef:
    return replace(ref, revision=revision)


async def test_short_manifests_are_not_worth_it() -> None:
    world = World.in_memory()
    cache = MemoryCache(world.machine)
    hot_before(world, cache)
    ann = await world.person("ann")
    await ann.commit(ann.create("short"))
    await world.stores.metadata.revision_blocks(ann.namespace, [RevisionRef(node_id=world.id("short"), revision=1)])
    assert not cache._groups


async def test_the_journal_says_what_to_forget() -> None:
    world = World.in_memory()
    cache = MemoryCache(world.machine)
    hot, _ = hot_before(world, cache)
    ann, bob = await world.person("ann"), await world.person("bob")
    forgetting = Forgetting(hot.moved)
    for member in (ann, bob):
        await member.commit(member.mkdir("a"))
        await member.live()
    assert {f"t:{ann.namespace}", f"t:{bob.namespace}"} <= set(cache._groups)
    for _ in range(100):
        forgetting.hear(ann.namespace)
    assert forgetting._task is not None
    await forgetting._task
    assert set(cache._groups) == {f"t:{bob.namespace}"}
    await forgetting.close()
