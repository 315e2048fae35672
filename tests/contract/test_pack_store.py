"""What every `PackStore` promises."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server_metadata.world import Member, World, digest, fresh_database

from syncline.model.blocks import Codec, PackEntry
from syncline.model.ids import PackId
from syncline.ports.pack_store import Copy, PackRow

A, B, C = digest(b"a"), digest(b"b"), digest(b"c")


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


def pack(member: Member, name: str, **fields: Any) -> PackRow:
    given: dict[str, Any] = {
        "id": PackId(name),
        "namespace": member.namespace,
        "user": member.caller.user_id,
        "object_key": f"key {name}",
        "size": 100,
        "sha256": digest(name.encode()),
        "wrapped_key": b"wrapped",
        "state": "granted",
        "expires_us": 1000,
        "created_us": 10,
    }
    return PackRow(**(given | fields))


def entries(*pieces: bytes) -> list[PackEntry]:
    return [
        PackEntry(digest(piece), 10 * index, 10, len(piece), Codec.ZSTD if index % 2 else Codec.RAW)
        for index, piece in enumerate(pieces)
    ]


async def test_a_granted_pack_is_an_intent_and_possesses_nothing(ada: Member) -> None:
    store, row = ada.world.stores.packs, pack(ada, "p")
    await store.add_packs([(row, entries(b"a", b"b"))])
    assert await store.packs([row.id, PackId("none")]) == [row]
    assert await store.pack_by_object("key p") == row
    assert await store.pack_by_object("none") is None
    assert await store.missing(ada.namespace, ada.caller.user_id, [B, A]) == [B, A]
    assert await store.copies(ada.namespace, [A]) == []
    assert (await ada.world.metadata.usage(ada.caller)).used_bytes == 2


async def test_a_finished_pack_is_possessed_once(ada: Member) -> None:
    store, row = ada.world.stores.packs, pack(ada, "p")
    await store.add_packs([(row, entries(b"a", b"b"))])
    for _ in range(2):
        await store.finish([row.id, PackId("none")], 50)
    (stored,) = await store.packs([row.id])
    assert stored.state == "done"
    assert await store.missing(ada.namespace, ada.caller.user_id, [C, A, B, A]) == [C]
    assert sorted(await store.copies(ada.namespace, [A, B, C]), key=lambda copy: copy.offset) == [
        Copy(hash=A, pack=row.id, offset=0, length=10, plain_size=1, codec=Codec.RAW),
        Copy(hash=B, pack=row.id, offset=10, length=10, plain_size=1, codec=Codec.ZSTD),
    ]
    again = pack(ada, "q")
    await store.add_packs([(again, entries(b"b", b"c"))])
    await store.finish([again.id], 60)
    assert (await ada.world.metadata.usage(ada.caller)).used_bytes == 3


async def test_a_claim_counts_for_its_sender_alone_a_verified_copy_for_members(ada: Member) -> None:
    bob = await ada.world.person("bob")
    store = ada.world.stores.packs
    await store.add_packs([(pack(ada, "p"), entries(b"a"))])
    await store.finish([PackId("p")], 50)
    assert await store.missing(ada.namespace, ada.caller.user_id, [A]) == []
    assert await store.missing(ada.namespace, bob.caller.user_id, [A]) == [A]
    await ada.world.verify("p")
    assert await store.missing(ada.namespace, bob.caller.user_id, [A]) == []
    assert await store.missing(bob.namespace, bob.caller.user_id, [A]) == [A]
    assert await store.copies(bob.namespace, [A]) == []


async def test_readers_are_given_a_verified_copy_first(ada: Member) -> None:
    store = ada.world.stores.packs
    for name, created_us in (("old", 1), ("good", 2), ("new", 3)):
        await store.add_packs([(pack(ada, name, created_us=created_us), entries(b"a"))])
        await store.finish([PackId(name)], 50)
    assert [copy.pack for copy in await store.copies(ada.namespace, [A])] == ["old"]
    await ada.world.verify("good")
    assert [copy.pack for copy in await store.copies(ada.namespace, [A])] == ["good"]


async def test_another_namespaces_claim_serves_nobody_else(ada: Member) -> None:
    bob = await ada.world.person("bob")
    store = ada.world.stores.packs
    await store.add_packs([(pack(ada, "p"), entries(b"a")), (pack(bob, "q"), entries(b"a"))])
    await store.finish([PackId("p"), PackId("q")], 50)
    assert [copy.pack for copy in await store.copies(ada.namespace, [A])] == ["p"]
    assert [copy.pack for copy in await store.copies(bob.namespace, [A])] == ["q"]


async def test_expired_grants_are_forgotten_but_never_done_packs(ada: Member) -> None:
    store = ada.world.stores.packs
    rows = [pack(ada, "late", expires_us=300), pack(ada, "soon", expires_us=100), pack(ada, "done", expires_us=50)]
    await store.add_packs([(row, entries(b"a", row.id.encode())) for row in rows])
    await store.finish([PackId("done")], 60)
    assert [row.id for row in await store.expired(400, 10)] == ["soon", "late"]
    assert [row.id for row in await store.expired(400, 1)] == ["soon"]
    assert [row.id for row in await store.expired(200, 10)] == ["soon"]
    assert sorted(await store.forget([row.id for row in rows])) == ["late", "soon"]
    assert [row.id for row in await store.packs([row.id for row in rows])] == ["done"]
    assert len(await store.copies(ada.namespace, [A])) == 1


async def test_a_thousand_of_everything(ada: Member) -> None:
    store = ada.world.stores.packs
    pieces = [hashlib.sha256(b"%d" % number).digest() for number in range(4096)]
    await store.add_packs([(pack(ada, "p"), entries(*pieces))])
    await store.finish([PackId("p")], 50)
    hashes = [digest(piece) for piece in pieces]
    assert await store.missing(ada.namespace, ada.caller.user_id, [A, *hashes]) == [A]
    assert {copy.hash for copy in await store.copies(ada.namespace, hashes)} == set(hashes)


async def test_members_copy_in_verified_blocks_of_revisions_they_may_read(ada: Member) -> None:
    """The commit's step 7: possession moves with what one may read, and only once a copy was verified."""
    bob = await ada.world.person("bob")
    await ada.world.stores.packs.add_packs([(pack(ada, "p"), entries(b"a", b"b"))])
    await ada.world.stores.packs.finish([PackId("p")], 50)
    await ada.commit(ada.create("f", data=b"a"))
    assert await bob.refused_codes(bob.create("mine", data=b"a")) == {0: "blocks.missing"}
    await ada.world.join(bob.caller.user_id, ada.namespace)
    assert await bob.refused_codes(bob.create("mine", data=b"a")) == {0: "blocks.missing"}
    await ada.world.verify("p")
    assert await bob.refused_codes(bob.create("mine", data=b"b")) == {0: "blocks.missing"}
    await bob.commit(bob.create("mine", data=b"a"))
    assert [copy.hash for copy in await bob.world.stores.packs.copies(bob.namespace, [A])] == [A]
    assert (await bob.world.metadata.usage(bob.caller)).used_bytes == 1
