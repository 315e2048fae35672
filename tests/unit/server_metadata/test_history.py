"""Reading the journal by cursor: pages, snapshots, resets (`protocol.md` §4)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.server_metadata.world import Member, World, fresh_database

from syncline.model.errors import CorruptCursor, CursorReset, HistoryExpired, InvalidRequest, LimitExceeded, NotFound
from syncline.model.journal import EMPTY_CHAIN, chain_over
from syncline.model.limits import IDEMPOTENCY_TTL_S, JOURNAL_RETENTION_S, POLL_CURSORS_MAX


async def test_an_empty_journal_has_a_cursor_to_go_on_from(ada: Member) -> None:
    metadata = ada.world.metadata
    page = await metadata.changes(ada.caller, None, None)
    assert (page.entries, page.has_more, page.sequence, page.chain, page.root) == ([], False, 0, EMPTY_CHAIN, "0" * 64)
    await ada.commit(ada.mkdir("a"))
    after = await metadata.changes(ada.caller, None, page.cursor)
    assert [entry.name for entry in after.entries] == ["a"]
    again = await metadata.changes(ada.caller, None, after.cursor)
    assert (again.entries, again.sequence, again.chain, again.root) == ([], 1, after.chain, after.root)


async def test_a_page_never_splits_a_changeset(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    await ada.commit(*[ada.mkdir(f"b{number}") for number in range(5)])
    await ada.commit(ada.mkdir("c"))
    metadata = ada.world.metadata
    sizes, cursor, seen = [], None, []
    while True:
        page = await metadata.changes(ada.caller, ada.namespace, cursor, 2)
        sizes.append(len(page.entries))
        seen += page.entries
        assert page.sequence == page.entries[-1].sequence
        assert chain_over(EMPTY_CHAIN, [entry.row() for entry in seen]) == page.chain
        assert page.head_sequence == 7
        cursor = page.cursor
        if not page.has_more:
            break
    assert sizes == [6, 1]
    exact = await metadata.changes(ada.caller, ada.namespace, None, 1)
    assert (len(exact.entries), exact.has_more) == (1, True)


async def test_the_last_changeset_may_be_the_long_one(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    await ada.commit(*[ada.mkdir(f"b{number}") for number in range(5)])
    page = await ada.world.metadata.changes(ada.caller, ada.namespace, None, 3)
    assert (len(page.entries), page.has_more) == (6, False)


async def test_a_snapshot_and_the_changes_after_it_make_the_tree(ada: Member) -> None:
    await ada.commit(*[ada.mkdir(f"d{number}") for number in range(7)])
    metadata = ada.world.metadata
    first = await metadata.snapshot(ada.caller, None, None, 3)
    assert (len(first.entries), first.sequence) == (3, 7)
    await ada.commit(ada.delete("d6"), ada.mkdir("new"), ada.move("d0", "d1"))
    collected = {entry.node_id: entry for entry in first.entries}
    page = first
    while page.next is not None:
        page = await metadata.snapshot(ada.caller, None, page.next, 3)
        assert (page.cursor, page.sequence, page.chain) == (first.cursor, first.sequence, first.chain)
        collected |= {entry.node_id: entry for entry in page.entries}
    for entry in await ada.entries(first.cursor):
        collected[entry.node_id] = entry
    live = {node_id: entry for node_id, entry in collected.items() if not entry.deleted}
    assert live == {entry.node_id: entry for entry in await ada.live()}


async def test_cursors_are_bound_to_user_namespace_and_kind(ada: Member) -> None:
    eve = await ada.world.person("eve")
    metadata = ada.world.metadata
    await ada.commit(ada.mkdir("a"), ada.mkdir("b"))
    mine = (await metadata.latest(ada.caller)).cursor
    page = (await metadata.snapshot(ada.caller, None, None, 1)).next
    assert page is not None
    for caller, namespace, text in [
        (eve.caller, None, mine),
        (ada.caller, eve.namespace, mine),
        (ada.caller, None, page),
        (ada.caller, None, mine[:-2] + ("AA" if mine[-2:] != "AA" else "BB")),
        (ada.caller, None, "B" + mine[1:]),
        (ada.caller, None, ""),
        (ada.caller, None, "é"),
        (ada.caller, None, "A" * 5000),
    ]:
        with pytest.raises(CorruptCursor):
            await metadata.changes(caller, namespace, text)
    with pytest.raises(CorruptCursor):
        await metadata.snapshot(ada.caller, None, mine)


async def test_foreign_namespaces_are_not_found_at_any_door(ada: Member) -> None:
    eve = await ada.world.person("eve")
    await ada.commit(ada.mkdir("a"))
    metadata, caller, namespace = ada.world.metadata, eve.caller, ada.namespace
    for call in [
        metadata.access(caller, namespace),
        metadata.changes(caller, namespace, None),
        metadata.snapshot(caller, namespace, None),
        metadata.latest(caller, namespace),
        metadata.heads(caller, [eve.namespace, namespace]),
        metadata.metadata_by_path(caller, "/a", namespace),
        metadata.metadata_by_id(caller, ada.world.id("a"), namespace),
        metadata.metadata_by_id(caller, ada.world.id("a")),
        metadata.children(caller, namespace, ada.root),
        metadata.versions(caller, namespace, ada.world.id("a")),
        metadata.revision_blocks(caller, namespace, []),
    ]:
        with pytest.raises(NotFound):
            await call


async def test_positions_verify_many_cursors_at_once(ada: Member) -> None:
    metadata = ada.world.metadata
    await ada.commit(ada.mkdir("a"))
    old = (await metadata.latest(ada.caller)).cursor
    await ada.commit(ada.mkdir("b"))
    new = (await metadata.latest(ada.caller)).cursor
    assert await metadata.positions(ada.caller, [old]) == {ada.namespace: 1}
    assert await metadata.positions(ada.caller, [new]) == {ada.namespace: 2}
    assert await metadata.positions(ada.caller, []) == {}
    assert await metadata.heads(ada.caller, [ada.namespace]) == {ada.namespace: 2}
    with pytest.raises(LimitExceeded):
        await metadata.positions(ada.caller, [old] * (POLL_CURSORS_MAX + 1))


async def test_a_limit_is_at_least_one(ada: Member) -> None:
    with pytest.raises(InvalidRequest):
        await ada.world.metadata.changes(ada.caller, None, None, 0)


async def test_an_older_database_put_back_is_noticed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, copy = tmp_path / "metadata.db", tmp_path / "copy.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as world:
        ada = await world.person("ada")
        await ada.commit(ada.mkdir("a"))
        caller, namespace = ada.caller, ada.namespace
        early = (await world.metadata.latest(caller)).cursor
    shutil.copy(path, copy)
    async with World.opened(path) as world:
        ada = Member(world, caller, namespace)
        await ada.commit(ada.mkdir("lost 1"))
        await ada.commit(ada.mkdir("lost 2"))
        late = (await world.metadata.latest(caller)).cursor
    for leftover in tmp_path.glob("metadata.db*"):
        leftover.unlink()
    shutil.copy(copy, path)
    async with World.opened(path) as world:
        ada = Member(world, caller, namespace)
        with pytest.raises(CursorReset) as beyond:
            await world.metadata.changes(caller, None, late)
        assert beyond.value.fields["reason"] == "history_diverged"
        for name in ("new 1", "new 2", "new 3"):
            await ada.commit(ada.mkdir(name))
        for door in (world.metadata.changes(caller, None, late), world.metadata.positions(caller, [late])):
            with pytest.raises(CursorReset) as diverged:
                await door
            assert diverged.value.fields["reason"] == "history_diverged"
        assert [entry.name for entry in await ada.entries(early)] == ["new 1", "new 2", "new 3"]
        await ada.check()


async def test_pruned_history_is_expired_and_the_rest_goes_on(ada: Member) -> None:
    metadata, machine = ada.world.metadata, ada.world.machine
    await ada.commit(ada.mkdir("a"), ada.create("f", "a"))
    old = (await metadata.latest(ada.caller)).cursor
    await ada.commit(ada.mkdir("b"))
    first_kept = (await metadata.latest(ada.caller)).cursor
    machine.time_us += (JOURNAL_RETENTION_S + 10) * 1_000_000
    await ada.commit(ada.mkdir("c"), key="young")
    pruned = await metadata.prune()
    assert (pruned.journal_rows, pruned.more) == (3, False)
    for cursor in (None, old, first_kept):
        with pytest.raises(HistoryExpired):
            await metadata.changes(ada.caller, None, cursor)
    snapshot = await metadata.snapshot(ada.caller, None, None)
    assert {entry.name for entry in snapshot.entries} == {"a", "f", "b", "c"}
    versions = await metadata.versions(ada.caller, None, ada.world.id("f"))
    assert [entry.revision for entry in versions.entries] == [1]
    assert await ada.entries(snapshot.cursor) == []
    await ada.commit(ada.mkdir("d"))
    assert [entry.name for entry in await ada.entries(snapshot.cursor)] == ["d"]


async def test_the_newest_changeset_is_never_pruned(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    await ada.commit(ada.mkdir("b"), ada.mkdir("c"))
    cursor = (await ada.world.metadata.latest(ada.caller)).cursor
    ada.world.machine.time_us += (JOURNAL_RETENTION_S + 10) * 1_000_000
    assert (await ada.world.metadata.prune()).journal_rows == 1
    assert (await ada.world.metadata.prune()).journal_rows == 0
    assert await ada.entries(cursor) == []


async def test_what_was_pruned_stays_pruned_while_a_namespace_rests(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    old = (await ada.world.metadata.latest(ada.caller)).cursor
    await ada.commit(ada.mkdir("b"))
    await ada.commit(ada.mkdir("c"))
    ada.world.machine.time_us += (JOURNAL_RETENTION_S + 10) * 1_000_000
    for rows in (2, 0, 0):
        assert (await ada.world.metadata.prune()).journal_rows == rows
        head = await ada.world.stores.metadata.head(ada.caller.user_id, ada.namespace)
        assert head is not None
        assert head.pruned_sequence == 2
        with pytest.raises(HistoryExpired):
            await ada.world.metadata.changes(ada.caller, None, old)


async def test_namespaces_that_rest_do_not_keep_others_from_being_pruned(world: World) -> None:
    people = [await world.person(name) for name in ("ada", "bob", "eve")]
    for person in people[:2]:
        await person.commit(person.mkdir(f"only {person.namespace}"))
    await people[2].commit(people[2].mkdir("a"))
    await people[2].commit(people[2].mkdir("b"))
    far = world.machine.now_us() + 1
    pruned = await world.stores.metadata.prune(journal_before_us=far, answers_before_us=0, limit=1)
    assert (pruned.journal_rows, pruned.more) == (1, True)


async def test_answers_are_forgotten_after_their_time(ada: Member) -> None:
    await ada.commit(ada.mkdir("a"), key="k")
    ada.world.machine.time_us += (IDEMPOTENCY_TTL_S + 10) * 1_000_000
    assert (await ada.world.metadata.prune()).answers == 1
    answer = await ada.commit(ada.mkdir("a"), key="k")
    assert answer.results[0].adopted


async def test_pruning_goes_in_bounded_steps_of_whole_changesets(ada: Member) -> None:
    for number in range(4):
        await ada.commit(ada.mkdir(f"a{number}"), ada.mkdir(f"b{number}"), ada.mkdir(f"c{number}"))
    store = ada.world.stores.metadata
    far = ada.world.machine.now_us() + 1
    first = await store.prune(journal_before_us=far, answers_before_us=0, limit=2)
    assert (first.journal_rows, first.more) == (3, True)
    second = await store.prune(journal_before_us=far, answers_before_us=0, limit=4)
    assert (second.journal_rows, second.more) == (6, True)
    third = await store.prune(journal_before_us=far, answers_before_us=0, limit=100)
    assert (third.journal_rows, third.more) == (0, False)
