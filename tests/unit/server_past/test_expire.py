"""Forgetting by the policy: the trash empties itself, versions thin out, what nothing names goes, and pruned history is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import DAY_US, Member, World, digest, fresh_database

from syncline.model.errors import HistoryExpired, NotFound
from syncline.model.limits import JOURNAL_RETENTION_S
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.changes import to_time
from syncline.protocol.past import RewindRequest, UndoRequest
from syncline.server.past.expire import Expired
from syncline.server.past.service import Past, Retention


@pytest.fixture(params=["sql", pytest.param("postgres", marks=pytest.mark.real)])
async def ada(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Member]:
    where: Path | str = tmp_path / "metadata.db"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    else:
        await fresh_database(tmp_path / "metadata.db", tmp_path_factory)
    async with World.opened(where) as world:
        yield await world.person("ada")


@pytest.fixture
def past(ada: Member) -> Past:
    return Past(ada.world.metadata, ada.world.stores.past, ada.world.machine, Retention())  # type: ignore[union-attr]


def days_pass(ada: Member, days: float) -> int:
    """The time in the middle of the pause."""
    ada.world.machine.time_us += int(days * DAY_US)
    return ada.world.machine.time_us - int(days * DAY_US / 2)


async def used(ada: Member) -> int:
    return (await ada.world.metadata.usage(ada.caller)).used_bytes


async def tended(past: Past) -> Expired:
    """What the jobs remove when they come round."""
    total = Expired()
    for _ in range(3):
        done = await past.expiry.tend()
        total = Expired(total.nodes + done.nodes, total.versions + done.versions, total.blocks + done.blocks)
    return total


async def test_the_trash_empties_itself_after_its_time(ada: Member, past: Past) -> None:
    await ada.put(b"x" * 100, b"y" * 10)
    await ada.commit(ada.mkdir("d"), ada.create("f", "d", data=b"x" * 100), ada.create("g", data=b"y" * 10))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=100))
    days_pass(ada, 29)
    assert (await tended(past)).nodes == 0
    await ada.commit(ada.delete("g", 1))
    days_pass(ada, 2)
    assert (await tended(past)).nodes == 2
    assert await used(ada) == 10
    with pytest.raises(NotFound):
        await ada.world.metadata.metadata_by_id(ada.caller, ada.world.id("f"))
    await ada.check()
    answer = await ada.commit(ada.undelete("g"))
    assert answer.results[0].revision == 1
    days_pass(ada, 60)
    assert (await tended(past)).nodes == 0
    assert await ada.tree() == {"g": "g"}


async def test_what_came_back_meanwhile_is_not_purged(ada: Member, past: Past) -> None:
    await ada.commit(ada.mkdir("d"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=100))
    store = ada.world.stores.past  # type: ignore[union-attr]
    seen = await store.due(ada.world.machine.now_us(), 10)
    await ada.commit(ada.undelete("d"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=100))
    for namespace, node, sequence in seen:
        assert (await store.purge(namespace, [(node, sequence)], 1)).nodes == 0
    await ada.commit(ada.undelete("d"))
    assert await ada.tree() == {"d": "d"}


async def test_a_purged_id_goes_on_with_its_numbers(ada: Member, past: Past) -> None:
    await ada.put(b"one", b"two", b"three")
    await ada.commit(ada.create("f", data=b"one"))
    await ada.commit(ada.edit("f", 1, b"two"))
    await ada.commit(ada.delete("f", 2))
    days_pass(ada, 31)
    await tended(past)
    await ada.put(b"three")
    answer = await ada.commit(ada.create("f", data=b"three"))
    assert answer.results[0].revision == 3
    await ada.commit(ada.delete("f", 3))
    days_pass(ada, 31)
    assert (await tended(past)).nodes == 1
    assert (await ada.commit(ada.create("f", data=b""))).results[0].revision == 4


async def test_versions_thin_out_and_free_their_bytes(ada: Member, past: Past) -> None:
    pieces = [bytes([65 + number]) * (number + 1) for number in range(6)]
    await ada.put(*pieces)
    await ada.commit(ada.create("f", data=pieces[0]))
    for number in range(1, 6):
        await ada.commit(ada.edit("f", number, pieces[number]))
    assert await used(ada) == sum(map(len, pieces))
    days_pass(ada, 31)
    assert (await tended(past)).versions == 5
    assert await used(ada) == 6
    page = await past.versions.page(ada.caller, None, ada.world.id("f"), None)
    assert [version.revision for version in page.entries] == [6]
    assert page.entries[0].changed == []
    refs = [RevisionRef(node_id=ada.world.id("f"), revision=number) for number in (1, 6)]
    found = await ada.world.metadata.revision_blocks(ada.caller, ada.namespace, refs)
    assert [one.blocks for one in found] == [None, [(digest(pieces[5]), 6)]]


async def test_what_nothing_names_goes_after_a_day_condemned(ada: Member, past: Past) -> None:
    await ada.put(b"abandoned", b"kept")
    await ada.commit(ada.create("f", data=b"kept"))
    assert await used(ada) == 13
    assert (await tended(past)).blocks == 0
    days_pass(ada, 2.1)
    await tended(past)
    assert await used(ada) == 4
    await ada.commit(ada.create("g", data=b"abandoned"))
    assert await used(ada) == 13
    await ada.commit(ada.delete("g", 1))
    days_pass(ada, 31)
    await tended(past)
    days_pass(ada, 1.1)
    assert (await tended(past)).blocks == 1
    codes = await ada.refused_codes(ada.create("h", data=b"abandoned"))
    assert codes == {0: "blocks.missing"}


async def test_history_that_was_pruned_says_so_and_what_is_left_is_right(ada: Member, past: Past) -> None:
    await ada.put(b"one", b"two")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d", data=b"one"), ada.create("g", data=b"one"))
    await ada.commit(ada.move("f", None, "moved"))
    early = days_pass(ada, 10)
    await ada.commit(ada.mkdir("e"))
    days_pass(ada, JOURNAL_RETENTION_S / 86_400 - 5)
    late = days_pass(ada, 1)
    await ada.commit(ada.edit("f", 1, b"two"), ada.move("f", "d", "again"), ada.move("g", "d", "g2"))
    await ada.world.metadata.prune()
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=100))
    with pytest.raises(HistoryExpired):
        await past.travel.rewind(ada.caller, RewindRequest(to=to_time(early)), "a")
    request = UndoRequest(device=ada.caller.device_id, since=to_time(early))
    with pytest.raises(HistoryExpired):
        await past.travel.undo(ada.caller, request, "b")
    await past.travel.rewind(ada.caller, RewindRequest(to=to_time(late)), "c")
    assert await ada.tree() == {"d": "d", "moved": "f", "g": "g", "e": "e"}
    entry = (await ada.world.metadata.metadata_by_path(ada.caller, "/moved")).entry
    assert entry is not None
    assert entry.content_hash == digest(b"one")
