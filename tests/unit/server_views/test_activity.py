"""The activity feed: who, what, where and when, folded by changeset, filtered, and read backwards to its end."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member, World
from tests.unit.server_views.kit import views_of

from syncline.model.errors import CorruptCursor, NotFound
from syncline.model.ids import DeviceId
from syncline.protocol.changes import to_time
from syncline.protocol.views import Activity, ActivityPage


async def feed(world: World, member: Member, path: str = "/", limit: int = 50, **given: object) -> list[Activity]:
    found: list[Activity] = []
    before = given.pop("before", None)
    page: ActivityPage | None = None
    while page is None or page.next is not None:
        page = await views_of(world).activity.activity(
            member.caller,
            path=path,
            actor=given.get("actor"),  # type: ignore[arg-type]
            device=given.get("device"),  # type: ignore[arg-type]
            before=before if page is None else page.next,  # type: ignore[arg-type]
            limit=limit,
        )
        found += page.entries
    return found


async def test_what_was_done_latest_first(world: World, ada: Member) -> None:
    await ada.put(b"x")
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"), ada.create("g", "d"), ada.create("h", "d"), ada.create("i", "d"))
    await ada.commit(ada.edit("f", 1, b"x"))
    await ada.commit(ada.move("g", None, "moved"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=1 << 40))
    await ada.commit(ada.undelete("d", recursive=True))
    for limit in (1, 2, 50):
        found = await feed(world, ada, limit=limit)
        assert [(one.what, one.count) for one in found] == [
            ("restored", 4),
            ("deleted", 4),
            ("moved", 1),
            ("edited", 1),
            ("created", 5),
        ]
    moved, made = found[2], found[4]
    assert (moved.examples[0].old_path, moved.examples[0].path) == ("/d/g", "/moved")
    assert [one.path for one in made.examples] == ["/d", "/d/f", "/d/g"]
    assert {one.actor_name for one in found} == {"ada"}
    assert {one.device for one in found} == {ada.caller.device_id}


async def test_a_path_an_actor_a_device_and_a_time(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e"))
    await ada.commit(ada.create("f", "d"))
    between = to_time(world.machine.now_us()).isoformat()
    await ada.commit(ada.create("g", "e"))
    await ada.commit(ada.move("f", "e"))
    assert [one.what for one in await feed(world, ada, "/d")] == ["moved", "created", "created"]
    assert [one.examples[0].path for one in await feed(world, ada, "/e")] == ["/e/f", "/e/g", "/e"]
    assert len(await feed(world, ada, before=between)) == 2
    assert len(await feed(world, ada, actor=ada.caller.user_id)) == 4
    assert await feed(world, ada, device=DeviceId("01HZZZZZZZZZZZZZZZZZZZZZZB")) == []


async def test_large_changesets_are_one_line_and_are_searched_whole(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("deep", "d"))
    for part in range(2):
        await ada.commit(*(ada.create(f"{part}-{n}", "d") for n in range(900)))
    await ada.commit(ada.create("last", "deep"))
    await ada.commit(ada.delete("d", recursive=True, subtree_as_of=1 << 40))
    await ada.commit(ada.undelete("d", recursive=True))
    found = await feed(world, ada)
    assert [(one.what, one.count) for one in found] == [
        ("restored", 1803),
        ("deleted", 1803),
        ("created", 1),
        ("created", 900),
        ("created", 900),
        ("created", 2),
    ]
    scoped = await feed(world, ada, "/d/deep")
    assert [(one.what, one.count) for one in scoped] == [("restored", 1803), ("deleted", 1803), ("created", 1), ("created", 2)]
    assert all(one.path.startswith("/d/deep") for one in scoped[0].examples)


async def test_nobody_elses(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("d"), ada.mkdir("e"))
    await ada.commit(ada.mkdir("f"))
    bob = await world.person("bob")
    assert await feed(world, bob) == []
    with pytest.raises(NotFound):
        await feed(world, bob, "/d")
    page = await views_of(world).activity.activity(ada.caller, path="/", actor=None, device=None, before=None, limit=1)
    with pytest.raises(CorruptCursor):
        await feed(world, bob, before=page.next)
