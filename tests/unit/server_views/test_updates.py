"""What changed below a path: each status, what comes in and goes out, pages that stay put, and the end of what is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.server_metadata.world import DAY_US, Member, World
from tests.unit.server_views.kit import told, updates, views_of

from syncline.model.errors import CorruptCursor, HistoryExpired, InvalidRequest, NotFound
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.protocol.changes import to_time
from syncline.server.caller import Caller


def now(world: World) -> str:
    return to_time(world.machine.now_us()).isoformat()


async def test_each_status_with_its_paths(world: World, ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d", data=b"x"), ada.create("g"), ada.create("h"), ada.create("i"))
    since = now(world)
    await ada.commit(ada.create("new", "d"))
    await ada.commit(ada.edit("f", 1, b"y"))
    await ada.commit(ada.move("g", "d", "gg"), ada.delete("h", 1))
    await ada.commit(ada.move("i", None, "ii"))
    await ada.commit(ada.move("i", None, "i"))
    await ada.commit(ada.create("gone"))
    await ada.commit(ada.delete("gone", 1))
    views = views_of(world)
    found, _ = await updates(views, ada, since=since)
    assert told(found) == {
        ("created", "/d/new", None),
        ("modified", "/d/f", None),
        ("moved", "/g", "/d/gg"),
        ("deleted", "/h", None),
    }
    assert [one.revision for one in found if one.status == "modified"] == [2]
    only, _ = await updates(views, ada, since=since, status="moved,deleted")
    assert {one.status for one in only} == {"moved", "deleted"}
    below, _ = await updates(views, ada, "/d", since=since)
    assert told(below) == {("created", "/d/new", None), ("modified", "/d/f", None), ("moved", "/g", "/d/gg")}
    everything, _ = await updates(views, ada)
    assert {one.status for one in everything} == {"created"}


async def test_renamed_folders_stand_for_what_is_in_them(world: World, ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.mkdir("a"), ada.mkdir("b", "a"), ada.create("f", "b"), ada.create("g", "b"))
    since = now(world)
    await ada.commit(ada.move("a", None, "A2"))
    await ada.commit(ada.edit("f", 1, b"x"))
    await ada.commit(ada.move("b", "a", "B2"))
    found, _ = await updates(views_of(world), ada, since=since)
    assert told(found) == {("moved", "/a", "/A2"), ("moved", "/a/b", "/A2/B2"), ("modified", "/a/b/f", "/A2/B2/f")}


@pytest.mark.parametrize("page_size", [1, 2, 1000])
async def test_what_comes_into_the_path_is_told_one_by_one_and_what_leaves_it_once(
    world: World, ada: Member, page_size: int
) -> None:
    await ada.put(b"x")
    await ada.commit(ada.mkdir("in"), ada.mkdir("out"), ada.mkdir("far"))
    await ada.commit(ada.mkdir("box", "far"), ada.mkdir("deep", "box"), ada.create("one", "box"), ada.create("two", "deep"))
    await ada.commit(ada.mkdir("bag", "in"), ada.create("three", "bag"))
    since = now(world)
    await ada.commit(ada.move("box", "in"))
    await ada.commit(ada.move("deep", "box", "deeper"))
    await ada.commit(ada.edit("one", 1, b"x"))
    await ada.commit(ada.move("bag", "out"))
    found, _ = await updates(views_of(world), ada, "/in", since=since, page_size=page_size)
    assert len(found) == len({one.node_id for one in found})
    assert told(found) == {
        ("moved", "/far/box", "/in/box"),
        ("moved", "/far/box/deep", "/in/box/deeper"),
        ("moved", "/far/box/one", "/in/box/one"),
        ("moved", "/far/box/deep/two", "/in/box/deeper/two"),
        ("moved", "/in/bag", "/out/bag"),
    }


async def test_pages_stay_put_while_changes_arrive_and_the_next_since_goes_on_there(world: World, ada: Member) -> None:
    await ada.commit(*(ada.create(f"f{n}") for n in range(5)))
    views = views_of(world)
    first = await views.updates.updates(
        ada.caller, "/", since=None, until=None, statuses=["created", "moved"], page=None, page_size=2
    )
    await ada.commit(ada.move("f4", None, "renamed"), ada.create("later"))
    names, page = [one.filepath for one in first.entries], first.next
    while page is not None:
        answer = await views.updates.updates(ada.caller, "/", since=None, until=None, statuses=[], page=page, page_size=2)
        names += [one.filepath for one in answer.entries]
        page, mark = answer.next, answer.next_since
    assert names == [f"/f{n}" for n in range(5)]
    rest, _ = await updates(views, ada, since=mark)
    assert told(rest) == {("moved", "/f4", "/renamed"), ("created", "/later", None)}
    nothing, _ = await updates(views, ada, since=(await updates(views, ada))[1])
    assert nothing == []


async def test_windows_end_where_they_are_asked_to(world: World, ada: Member) -> None:
    await ada.commit(ada.create("a"))
    until = now(world)
    await ada.commit(ada.create("b"))
    found, mark = await updates(views_of(world), ada, until=until)
    assert told(found) == {("created", "/a", None)}
    assert told((await updates(views_of(world), ada, since=mark))[0]) == {("created", "/b", None)}


async def test_what_is_no_longer_kept_is_said_to_be_gone(world: World, ada: Member) -> None:
    await ada.commit(ada.create("a"))
    early = now(world)
    await ada.commit(ada.create("b"))
    world.machine.time_us += 400 * DAY_US
    await ada.commit(ada.create("c"))
    late = now(world)
    await ada.commit(ada.create("d"))
    views = views_of(world)
    mark = (await updates(views, ada, until=early))[1]
    assert (await world.metadata.prune()).journal_rows == 2
    for since in (None, early, mark):
        with pytest.raises(HistoryExpired):
            await updates(views, ada, since=since)
    with pytest.raises(HistoryExpired):
        await views.changes_since(ada.caller, None, early)
    assert told((await updates(views, ada, since=late))[0]) == {("created", "/d", None)}
    page = await views.changes_since(ada.caller, None, late)
    assert [entry.name for entry in page.entries] == ["d"]


async def test_what_was_before_is_known_also_where_its_row_was_pruned(world: World, ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.mkdir("a"), ada.mkdir("b"), ada.create("f", "a", data=b"x"), ada.create("g", "b"), ada.create("h"))
    await ada.commit(ada.move("f", "b", "f2"))
    world.machine.time_us += 400 * DAY_US
    await ada.commit(ada.create("c"))
    since = now(world)
    assert (await world.metadata.prune()).journal_rows == 6
    await ada.commit(ada.move("f", "a", "f3"), ada.edit("f", 1, b"y"))
    await ada.commit(ada.move("b", "a", "b2"), ada.delete("h", 1))
    found, _ = await updates(views_of(world), ada, since=since)
    assert told(found) == {("modified", "/b/f2", "/a/f3"), ("moved", "/b", "/a/b2"), ("deleted", "/h", None)}
    inside, _ = await updates(views_of(world), ada, "/a", since=since)
    assert told(inside) == {("moved", "/b/f2", "/a/f3"), ("moved", "/b", "/a/b2"), ("moved", "/b/g", "/a/b2/g")}


async def test_changes_since_a_time_go_on_by_cursor(world: World, ada: Member) -> None:
    start = now(world)
    await ada.commit(ada.create("a"))
    between = now(world)
    await ada.commit(ada.create("b"), ada.create("c"))
    views = views_of(world)
    assert [entry.name for entry in (await views.changes_since(ada.caller, None, start)).entries] == ["a", "b", "c"]
    page = await views.changes_since(ada.caller, None, between)
    assert [entry.name for entry in page.entries] == ["b", "c"]
    after = await views.changes_since(ada.caller, None, now(world))
    assert (after.entries, after.cursor) == ([], page.cursor)
    await ada.commit(ada.create("d"))
    assert [entry.name for entry in (await world.metadata.changes(ada.caller, None, page.cursor)).entries] == ["d"]


async def test_one_files_changes(world: World, ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.create("f"), ada.create("other"))
    between = now(world)
    await ada.commit(ada.edit("f", 1, b"x"))
    await ada.commit(ada.move("f", None, "g"))
    views, file = views_of(world), world.id("f")
    whole = await views.file_changes(ada.caller, file, None, since=None, after=0, limit=100)
    assert [entry.op for entry in whole.entries] == ["create", "edit", "move"]
    lately = await views.file_changes(ada.caller, file, None, since=between, after=0, limit=1)
    assert ([entry.op for entry in lately.entries], lately.next) == (["edit"], lately.entries[0].sequence)
    rest = await views.file_changes(ada.caller, file, None, since=None, after=lately.next or 0, limit=100)
    assert ([entry.op for entry in rest.entries], rest.next) == (["move"], None)
    bob = await world.person("bob")
    with pytest.raises(NotFound):
        await views.file_changes(bob.caller, file, None, since=None, after=0, limit=100)


async def test_words_that_are_none(world: World, ada: Member) -> None:
    views, bob = views_of(world), await world.person("bob")
    await ada.commit(ada.create("f"), ada.create("g"))
    with pytest.raises(InvalidRequest):
        await updates(views, ada, status="renamed")
    with pytest.raises(InvalidRequest):
        await updates(views, ada, since="2026-01-01T00:00:00")
    with pytest.raises(CorruptCursor):
        await updates(views, ada, since="yesterday")
    with pytest.raises(InvalidRequest):
        await updates(views, ada, until="yesterday")
    with pytest.raises(NotFound):
        await updates(views, ada, "/nothing")
    answer = await views.updates.updates(ada.caller, "/", since=None, until=None, statuses=["created"], page=None, page_size=1)
    with pytest.raises(CorruptCursor):
        await views.updates.updates(bob.caller, "/", since=None, until=None, statuses=[], page=answer.next, page_size=1)
    mark = (await updates(views, ada))[1]
    with pytest.raises(CorruptCursor):
        await updates(views, bob, since=mark)
    with pytest.raises(CorruptCursor):
        await views.updates.updates(ada.caller, "/", since=None, until=None, statuses=[], page=mark, page_size=1)


class Offered:
    """Addresses of contents, but of those that cannot be had any more."""

    def __init__(self, gone: set[NodeId]) -> None:
        self.gone = gone

    async def urls(self, caller: Caller, files: Sequence[tuple[NamespaceId, JournalEntry]]) -> list[str | None]:
        return [
            None if entry.node_id in self.gone else f"/content/{namespace}/{entry.node_id}/{entry.revision}"
            for namespace, entry in files
        ]


async def test_files_whose_bytes_are_new_come_with_addresses(world: World, ada: Member) -> None:
    await ada.put(b"x", b"y")
    await ada.commit(ada.mkdir("d"), ada.create("f", data=b"x"), ada.create("g", data=b"x"), ada.create("h", data=b"x"))
    since = now(world)
    await ada.commit(ada.edit("f", 1, b"y"), ada.move("g", None, "moved"), ada.move("h", "d"))
    await ada.commit(ada.create("new", data=b"y"), ada.mkdir("e"))
    views = views_of(world, Offered({world.id("new")}))
    found, _ = await updates(views, ada, since=since)
    urls = {one.node_id: one.presignedUrl for one in found}
    assert urls == {
        world.id("f"): f"/content/{ada.namespace}/{world.id('f')}/2",
        world.id("g"): None,
        world.id("h"): None,
        world.id("new"): None,
        world.id("e"): None,
    }
    entered, _ = await updates(views, ada, "/d", since=since)
    assert [one.presignedUrl for one in entered] == [f"/content/{ada.namespace}/{world.id('h')}/1"]
    assert told((await updates(views, ada, "/d/h", since=since))[0]) == {("moved", "/h", "/d/h")}
