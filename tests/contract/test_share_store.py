"""What every `ShareStore` promises: transactions over several namespaces that are all or nothing, one at a time, and lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database
from tests.unit.server_sharing.kit import Office

from syncline.model.entries import Access
from syncline.model.errors import NotFound
from syncline.model.ids import DeviceId, NamespaceId, NodeId
from syncline.ports.metadata_store import StoredAnswer, Written


@pytest.fixture(params=["sql", "memory"])
async def office(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    if request.param == "memory":
        yield Office(World.in_memory())
        return
    await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(tmp_path / "metadata.db") as opened:
        yield Office(opened)


@pytest.fixture
async def ann(office: Office) -> Member:
    return await office.person("ann")


@pytest.fixture
async def bob(office: Office) -> Member:
    return await office.person("bob")


def _written(key: str) -> Written:
    return Written(device=DeviceId("d"), key=key, stored=StoredAnswer(body_hash=b"b", answer=key.encode()), time_us=1)


async def test_a_transaction_that_raises_leaves_nothing_in_any_namespace(office: Office, ann: Member, bob: Member) -> None:
    shares, user = office.world.stores.shares, bob.caller.user_id

    async def write_and_fail() -> None:
        async with shares.transaction({ann.namespace: ann.caller.user_id, bob.namespace: user}) as transaction:
            for namespace in (ann.namespace, bob.namespace):
                await transaction.of(namespace).write(_written("k"))
            await transaction.set_member(ann.namespace, user, Access.READ, 1)
            await transaction.set_invitation(bob.namespace, ann.caller.user_id, Access.READ, user, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    assert await shares.answered(ann.caller.user_id, DeviceId("d"), "k") is None
    assert await shares.answered(user, DeviceId("d"), "k") is None
    assert [one.email for one in await shares.members(ann.namespace, 9)] == ["ann@example.org"]
    assert await shares.invited(ann.caller.user_id, 9) == []


async def test_what_it_did_shows_at_its_end_in_all_of_them(office: Office, ann: Member, bob: Member) -> None:
    shares, user = office.world.stores.shares, bob.caller.user_id
    async with shares.transaction({ann.namespace: ann.caller.user_id, bob.namespace: user}) as transaction:
        await transaction.of(bob.namespace).write(_written("k"))
        await transaction.set_member(ann.namespace, user, Access.WRITE, 7)
    stored = await shares.answered(user, DeviceId("d"), "k")
    assert stored is not None
    assert stored.answer == b"k"
    assert await shares.answered(ann.caller.user_id, DeviceId("d"), "k") is None
    members = {one.email: (one.access, one.since_us) for one in await shares.members(ann.namespace, 9)}
    assert members["bob@example.org"] == (Access.WRITE, 7)


async def test_two_over_the_same_namespaces_take_turns_whatever_order_they_name_them_in(
    office: Office, ann: Member, bob: Member
) -> None:
    shares = office.world.stores.shares
    seen_by = {ann.namespace: ann.caller.user_id, bob.namespace: bob.caller.user_id}
    inside = 0

    async def turn(names: dict[NamespaceId, object]) -> None:
        nonlocal inside
        async with shares.transaction(names) as transaction:  # type: ignore[arg-type]
            inside += 1
            assert inside == 1
            await transaction.of(ann.namespace).nodes([NodeId("n")])
            await asyncio.sleep(0)
            inside -= 1

    backwards = dict(reversed(list(seen_by.items())))
    async with asyncio.timeout(10):
        await asyncio.gather(*[turn(dict(seen_by)) if number % 2 else turn(dict(backwards)) for number in range(20)])


async def test_strangers_and_unknown_namespaces_are_not_found(office: Office, ann: Member, bob: Member) -> None:
    shares = office.world.stores.shares
    for seen_by, locked in (
        ({ann.namespace: bob.caller.user_id}, []),
        ({NamespaceId("none"): ann.caller.user_id}, []),
        ({ann.namespace: ann.caller.user_id}, [NamespaceId("none")]),
    ):
        with pytest.raises(NotFound):
            async with shares.transaction(seen_by, locked):
                pytest.fail("it must not begin")
    # And no lock was left behind.
    await ann.commit(ann.mkdir("a"))


async def test_lists_are_bounded_and_in_order(office: Office, ann: Member) -> None:
    shares = office.world.stores.shares
    people = [await office.person(name) for name in ("dan", "bob", "cat")]
    async with shares.transaction({}, [ann.namespace]) as transaction:
        for person in people:
            await transaction.set_invitation(ann.namespace, person.caller.user_id, Access.READ, ann.caller.user_id, 1)
    assert [one.email for one in await shares.invitations(ann.namespace, 2)] == ["bob@example.org", "cat@example.org"]
    assert await shares.mounted(ann.namespace, [NamespaceId("none")]) == {}
    assert await shares.space(NamespaceId("none")) is None
