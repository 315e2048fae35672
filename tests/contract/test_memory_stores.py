"""What simulations build on beyond the ports: mounts, backups, crashes, and cutting in between two instants of a server's life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.server_metadata.world import Member, World, digest

from syncline.model.blocks import Codec, PackEntry
from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists, CursorReset, Forbidden, NotFound, TooBusy, Unavailable
from syncline.model.ids import DeviceId, Digest, NamespaceId, PackId
from syncline.model.journal import JournalEntry
from syncline.ports.metadata_store import ChainedRow, StoredAnswer, Written
from syncline.ports.pack_store import PackRow
from syncline.protocol.commits import Change, Op
from syncline.testing.server_store import BrokenConstraint, MemoryStores
from syncline.testing.stores.state import WAITING_MAX


@pytest.fixture
def world() -> World:
    return World.in_memory()


@pytest.fixture
async def ada(world: World) -> Member:
    return await world.person("ada")


def stores(world: World) -> MemoryStores:
    assert isinstance(world.stores, MemoryStores)
    return world.stores


class Cut(BaseException):
    """The process is killed here."""


def cutting(at: str, number: int = 0) -> Callable[[str], Any]:
    """A step that is cut off at the `number`th instant of this name."""
    left = [number]

    async def step(name: str) -> None:
        if name == at:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

    return step


# -- Sharing -----------------------------------------------------------------------------------------------------------------------


async def shared(world: World, ada: Member) -> tuple[Member, Member]:
    """Bob at home, and ada in a namespace that is hers and bob's."""
    bob = await world.person("bob")
    namespace = NamespaceId(world.ids.fresh())
    access = {bob.caller.user_id: Access.READ}
    stores(world).add_namespace(namespace, owner=ada.caller.user_id, name="Team", members=access)
    return bob, Member(world, ada.caller, namespace)


async def test_a_mounted_namespace_is_found_under_its_name(world: World, ada: Member) -> None:
    bob, team = await shared(world, ada)
    await bob.commit(bob.mkdir("folder"))
    await team.commit(team.mkdir("inside"))
    assert await stores(world).mount(bob.namespace, team.namespace, "Team", parent=world.id("folder"), time_us=5) == 2
    await bob.check()
    (entry,) = [entry for entry in await bob.live() if entry.mount]
    assert (entry.node_id, entry.parent_id, entry.name) == (team.namespace, world.id("folder"), "Team")
    found = await world.metadata.metadata_by_path(bob.caller, "/folder/Team/inside")
    assert (found.namespace, found.entry and found.entry.node_id) == (team.namespace, world.id("inside"))
    assert [head.namespace for head in await stores(world).metadata.heads(bob.caller.user_id)] == [bob.namespace, team.namespace]
    await bob.commit(Change(op=Op.MOVE, node_id=entry.node_id, parent_id=bob.root, name="Ours"))
    assert [(moved.name, moved.parent_id) for moved in await bob.live() if moved.mount] == [("Ours", bob.root)]
    await bob.check()


async def test_a_mount_comes_and_goes_and_comes_back(world: World, ada: Member) -> None:
    bob, team = await shared(world, ada)
    await bob.commit(bob.mkdir("Team"))
    with pytest.raises(AlreadyExists):
        await stores(world).mount(bob.namespace, team.namespace, "Team", time_us=5)
    await stores(world).mount(bob.namespace, team.namespace, "Ours", time_us=5)
    assert await stores(world).unmount(bob.namespace, team.namespace, time_us=6) == 3
    await bob.check()
    with pytest.raises(NotFound):
        await stores(world).unmount(bob.namespace, team.namespace, time_us=7)
    await stores(world).mount(bob.namespace, team.namespace, "Again", time_us=8)
    await bob.check()
    assert [(entry.op, entry.name, entry.deleted) for entry in await bob.entries()][1:] == [
        ("create", "Ours", False),
        ("delete", "Ours", True),
        ("undelete", "Again", False),
    ]


async def test_access_counts_at_every_door_at_once(world: World, ada: Member) -> None:
    bob, team = await shared(world, ada)
    guest = Member(world, bob.caller, team.namespace)
    with pytest.raises(Forbidden):
        await guest.commit(guest.mkdir("a"))
    stores(world).set_access(team.namespace, bob.caller.user_id, Access.WRITE)
    await guest.commit(guest.mkdir("a"))
    stores(world).set_access(team.namespace, bob.caller.user_id, None)
    for door in (guest.commit(guest.mkdir("b")), world.metadata.latest(bob.caller, team.namespace)):
        with pytest.raises(NotFound):
            await door
    assert await team.tree() == {"a": "a"}


async def test_shared_bytes_are_charged_to_the_owner(world: World, ada: Member) -> None:
    bob, team = await shared(world, ada)
    stores(world).set_access(team.namespace, bob.caller.user_id, Access.WRITE)
    guest = Member(world, bob.caller, team.namespace)
    await guest.put(b"four")
    await guest.commit(guest.create("f", data=b"four"))
    assert (await world.metadata.usage(ada.caller)).used_bytes == 4
    assert (await world.metadata.usage(bob.caller)).used_bytes == 0


# -- Backups -----------------------------------------------------------------------------------------------------------------------


async def test_a_backup_put_back_is_that_instant_again_and_again(world: World, ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d", data=b"x"))
    early = (await world.metadata.latest(ada.caller)).cursor
    backup = stores(world).snapshot()
    for turn in ("first", "second"):
        await ada.commit(ada.move("d", name=turn), ada.mkdir(f"new {turn}"))
        late = (await world.metadata.latest(ada.caller)).cursor
        await ada.put(turn.encode())
        await ada.commit(ada.edit("f", 1, turn.encode()))
        stores(world).restore(backup)
        assert await ada.tree() == {"d": "d", "d/f": "f"}
        await ada.check()
        assert (await world.metadata.usage(ada.caller)).used_bytes == 1
        assert await stores(world).packs.missing(ada.namespace, ada.caller.user_id, [digest(turn.encode())]) != []
        assert await ada.entries(early) == []
        with pytest.raises(CursorReset):
            await world.metadata.changes(ada.caller, None, late)


async def test_a_new_epoch_ends_every_cursor(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    cursor = (await world.metadata.latest(ada.caller)).cursor
    stores(world).new_epoch()
    with pytest.raises(CursorReset) as reset:
        await world.metadata.changes(ada.caller, None, cursor)
    assert reset.value.fields["reason"] == "epoch_changed"
    assert len(await ada.entries()) == 1


# -- Crashes and steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instant", ["lock", "locked", "commit.before", "commit.after"])
async def test_a_commit_cut_off_has_happened_whole_or_not_at_all(world: World, ada: Member, instant: str) -> None:
    await ada.commit(ada.mkdir("a"))
    stores(world).step = cutting(instant)
    with pytest.raises(Cut):
        await ada.commit(ada.mkdir("b"), ada.mkdir("c", "b"), key="k")
    stores(world).step = None
    assert set(await ada.tree()) == ({"a", "b", "b/c"} if instant == "commit.after" else {"a"})
    await ada.commit(ada.mkdir("b"), ada.mkdir("c", "b"), key="k")
    assert len(await ada.entries()) == 3
    await ada.check()


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("instant", ["lock", "locked", "commit.before", "commit.after"])
async def test_packs_of_several_namespaces_are_finished_together(world: World, ada: Member, instant: str, number: int) -> None:
    bob = await world.person("bob")
    await grant(ada, "p", b"a")
    await grant(bob, "q", b"b")
    held, packs = stores(world), [PackId("p"), PackId("q")]
    held.step = cutting(instant, number)
    if number < (2 if instant in ("lock", "locked") else 1):
        with pytest.raises(Cut):
            await held.packs.finish(packs, 1)
    else:
        await held.packs.finish(packs, 1)
    cut_early = number < (2 if instant in ("lock", "locked") else 1) and instant != "commit.after"
    held.step = None
    assert [row.state for row in await held.packs.packs(packs)] == ["granted" if cut_early else "done"] * 2
    await asyncio.wait_for(held.packs.finish(packs, 2), 1)
    for member, piece in ((ada, b"a"), (bob, b"b")):
        assert await held.packs.missing(member.namespace, member.caller.user_id, [digest(piece)]) == []
        assert (await world.metadata.usage(member.caller)).used_bytes == 1


async def grant(member: Member, name: str, piece: bytes) -> None:
    row = PackRow(
        id=PackId(name),
        namespace=member.namespace,
        user=member.caller.user_id,
        object_key=name,
        size=1,
        sha256=digest(piece),
        wrapped_key=b"k",
        state="granted",
        expires_us=1,
        created_us=1,
    )
    await member.world.stores.packs.add_packs([(row, [PackEntry(digest(piece), 0, 1, 1, Codec.RAW)])])


async def test_a_read_can_be_cut_off(world: World, ada: Member) -> None:
    stores(world).step = cutting("read", 1)
    await stores(world).metadata.head(ada.caller.user_id, ada.namespace)
    with pytest.raises(Cut):
        await stores(world).metadata.heads(ada.caller.user_id)


async def test_between_two_instants_of_a_commit_others_see_what_was(world: World, ada: Member) -> None:
    seen: list[tuple[str, int]] = []
    held = stores(world)

    async def step(name: str) -> None:
        held.step = None
        seen.append((name, len(await ada.entries())))
        held.step = step

    held.step = step
    await ada.commit(ada.mkdir("a"))
    assert seen == [("lock", 0), ("locked", 0), ("commit.before", 0), ("commit.after", 1)]


async def test_a_crash_frees_what_was_held_and_the_dead_change_nothing(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    held = stores(world)
    go = asyncio.Event()

    async def step(name: str) -> None:
        if name == "commit.before":
            await go.wait()

    held.step = step
    holding = asyncio.create_task(ada.commit(ada.mkdir("b")))
    waiting = asyncio.create_task(ada.commit(ada.mkdir("c")))
    for _ in range(5):
        await asyncio.sleep(0)
    held.step = None
    held.abandon()
    await asyncio.wait_for(ada.commit(ada.mkdir("d")), 1)
    go.set()
    for dead in (holding, waiting):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(dead, 1)
    assert await ada.tree() == {"a": "a", "d": "d"}
    await ada.check()


async def test_too_many_waiting_are_sent_away_and_none_after_a_crash(world: World, ada: Member) -> None:
    held, user = stores(world), ada.caller.user_id
    go = asyncio.Event()

    async def enter() -> None:
        async with held.metadata.commit(ada.namespace, user):
            await go.wait()

    tasks = [asyncio.create_task(enter()) for _ in range(WAITING_MAX + 1)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await enter()
    held.abandon()
    await asyncio.wait_for(ada.commit(ada.mkdir("a")), 1)
    go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_what_a_database_would_refuse_is_refused(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), ada.mkdir("b"))
    held, user = stores(world), ada.caller.user_id
    answer = StoredAnswer(body_hash=b"", answer=b"")

    async def write(key: str, *rows: tuple[JournalEntry, str | None], fresh: bool = False) -> None:
        written = Written(device=DeviceId("d"), key=key, stored=answer, time_us=1)
        async with held.metadata.commit(ada.namespace, user) as transaction:
            for entry, name_key in rows:
                written.rows.append(ChainedRow(entry, Digest("0" * 64), "0" * 64))
                written.keys.append(name_key)
                if fresh:
                    written.fresh.add(entry.node_id)
            await transaction.write(written)

    a, b = await held.metadata.nodes(ada.namespace, [world.id("a"), world.id("b")])
    for wrong in (
        write("k", (replace(a, sequence=3, name="b"), "b")),
        write("k", (replace(a, sequence=4), "a")),
        write("k", (replace(a, sequence=3), "a"), fresh=True),
        write("k", (replace(a, sequence=3, node_id=world.id("c")), "c")),
        write("k", (replace(a, sequence=3, name="b"), "b"), (replace(b, sequence=4, name="a"), "a")),
    ):
        with pytest.raises(BrokenConstraint):
            await wrong
    await write("k", (replace(a, sequence=3, name="c"), "c"), (replace(b, sequence=4, name="a"), "a"))
    with pytest.raises(BrokenConstraint):
        await write("k")
    assert await ada.tree() == {"c": "a", "a": "b"}
