"""Search: what matches, what stands first, where one may look, and that pages come to an end."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member, World
from tests.unit.server_views.kit import views_of

from syncline.model.entries import Kind
from syncline.model.errors import CorruptCursor, InvalidRequest, LimitExceeded, NotFound
from syncline.model.paths import EXACT_KEYS
from syncline.protocol.views import SearchPage


async def search(world: World, member: Member, query: str, path: str = "/", kind: Kind | None = None) -> list[str]:
    page = await views_of(world).search.search(member.caller, query, path=path, kind=kind, page=None, limit=50)
    return [found.path for found in page.entries]


async def test_ranks_and_folding(world: World) -> None:
    ada = await world.person("ada", name_keys=EXACT_KEYS)
    names = ("Report", "report", "reports.txt", "annual report.pdf", "my_REPORT", "preportion", "unrelated")
    for name in names:
        await ada.commit(ada.create(name))
    found = await search(world, ada, "REPORT")
    assert found[:2] == ["/report", "/Report"]
    assert found[2] == "/reports.txt"
    assert set(found[3:5]) == {"/annual report.pdf", "/my_REPORT"}
    assert found[5:] == ["/preportion"]


async def test_words_globs_and_unicode(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("d", name="Café Straße"))
    await ada.commit(
        ada.create("a", "d", "summer plan 2026.pdf"), ada.create("b", "d", "plan_b.txt"), ada.create("c", "d", "100%.pdf")
    )
    assert await search(world, ada, "PLAN summer") == ["/Café Straße/summer plan 2026.pdf"]
    assert await search(world, ada, "cafe\u0301 STRASSE") == ["/Café Straße"]
    assert set(await search(world, ada, "*.pdf")) == {"/Café Straße/summer plan 2026.pdf", "/Café Straße/100%.pdf"}
    assert await search(world, ada, "*plan* *.txt") == ["/Café Straße/plan_b.txt"]
    assert await search(world, ada, "1*%.pdf") == ["/Café Straße/100%.pdf"]
    assert await search(world, ada, "plan_b*") == ["/Café Straße/plan_b.txt"]
    assert await search(world, ada, "planxb*") == []
    assert await search(world, ada, "plan nothing") == []


async def test_only_what_lives_and_only_below_the_path(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e", "d"), ada.create("note1", "e"), ada.create("note2", "d"), ada.create("note3"))
    await ada.commit(ada.mkdir("notes", "d"))
    assert set(await search(world, ada, "note", "/d")) == {"/d/e/note1", "/d/note2", "/d/notes"}
    assert await search(world, ada, "note", "/d/e") == ["/d/e/note1"]
    assert await search(world, ada, "note", "/d", Kind.DIR) == ["/d/notes"]
    await ada.commit(ada.delete("note1", 1), ada.move("note2", "d", "renamed"))
    assert set(await search(world, ada, "note")) == {"/note3", "/d/notes"}
    await ada.commit(ada.undelete("note1"))
    assert await search(world, ada, "note1") == ["/d/e/note1"]
    bob = await world.person("bob")
    assert await search(world, bob, "note") == []
    with pytest.raises(NotFound):
        await search(world, bob, "note", "/d")


async def test_pages_tell_each_hit_once_in_one_order(world: World, ada: Member) -> None:
    await ada.commit(*(ada.create(f"n{n}", None, f"file {n}") for n in range(7)))
    await ada.commit(*(ada.create(f"m{n}", None, f"a file {n}") for n in range(6)))
    views = views_of(world).search
    whole = await search(world, ada, "file")
    paths: list[str] = []
    page: SearchPage | None = None
    while page is None or page.next is not None:
        after = None if page is None else page.next
        page = await views.search(ada.caller, "file", path="/", kind=None, page=after, limit=3)
        paths += [found.path for found in page.entries]
    assert paths == whole
    assert len(paths) == 13
    first = await views.search(ada.caller, "file", path="/", kind=None, page=None, limit=3)
    with pytest.raises(InvalidRequest):
        await views.search(ada.caller, "other", path="/", kind=None, page=first.next, limit=3)
    with pytest.raises(CorruptCursor):
        await views.search((await world.person("bob")).caller, "file", path="/", kind=None, page=first.next, limit=3)


@pytest.mark.parametrize("query", ["", "  ", "*", "\ud800"])
async def test_nothing_to_look_for(world: World, ada: Member, query: str) -> None:
    with pytest.raises(InvalidRequest):
        await search(world, ada, query)


async def test_queries_have_bounds(world: World, ada: Member) -> None:
    for query in ("x" * 300, "a b c d e f g h i j"):
        with pytest.raises(LimitExceeded):
            await search(world, ada, query)
