"""Sizes: folders with all that is below them, to any depth; what held bytes are held for."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member, World
from tests.unit.server_views.kit import views_of

from syncline.model.errors import InvalidRequest, NotFound


async def test_folders_add_up(world: World, ada: Member) -> None:
    await ada.put(b"12345", b"123", b"1234567")
    await ada.commit(ada.mkdir("a"), ada.mkdir("b", "a"), ada.mkdir("c", "b"), ada.mkdir("empty"))
    await ada.commit(
        ada.create("f", "a", data=b"12345"),
        ada.create("g", "b", data=b"123"),
        ada.create("h", "c", data=b"1234567"),
        ada.create("top", data=b"123"),
    )
    await ada.commit(ada.create("gone", "a", data=b"12345"))
    await ada.commit(ada.delete("gone", 1))
    usage = views_of(world).usage
    whole = await usage.usage(ada.caller, "/", depth=2, held=False)
    assert (whole.bytes, whole.files, whole.folders) == (18, 4, 4)
    assert [(one.path, one.bytes, one.files, one.folders, one.depth) for one in whole.entries] == [
        ("/a", 15, 3, 2, 1),
        ("/a/b", 10, 2, 1, 2),
        ("/empty", 0, 0, 0, 1),
    ]
    sums = await usage.usage(ada.caller, "/", depth=0, held=False)
    assert (sums.bytes, sums.files, sums.folders, sums.entries) == (18, 4, 4, [])
    below = await usage.usage(ada.caller, "/a/b", depth=1, held=False)
    assert (below.bytes, below.folders, [one.path for one in below.entries]) == (10, 1, ["/a/b/c"])
    file = await usage.usage(ada.caller, "/a/f", depth=1, held=False)
    assert (file.bytes, file.files, file.entries) == (5, 1, [])


async def test_what_bytes_are_held_for(world: World, ada: Member) -> None:
    await ada.put(b"live", b"version", b"in trash!", b"nobody names this")
    await ada.commit(ada.create("f", data=b"version"), ada.create("g", data=b"in trash!"), ada.create("h", data=b"live"))
    await ada.commit(ada.edit("f", 1, b"live"))
    await ada.commit(ada.delete("g", 1), ada.mkdir("d"))
    usage = views_of(world).usage
    answer = await usage.usage(ada.caller, "/", depth=1, held=True)
    assert answer.held is not None
    held = answer.held
    assert (held.live_bytes, held.version_bytes, held.trash_bytes, held.pending_bytes) == (4, 7, 9, 17)
    assert (answer.bytes, answer.used_bytes) == (8, 37)
    with pytest.raises(InvalidRequest):
        await usage.usage(ada.caller, "/d", depth=1, held=True)


async def test_only_ones_own(world: World, ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    bob = await world.person("bob")
    usage = views_of(world).usage
    with pytest.raises(NotFound):
        await usage.usage(bob.caller, "/a", depth=1, held=False)
    assert (await usage.usage(bob.caller, "/", depth=1, held=False)).folders == 0
    with pytest.raises(InvalidRequest):
        await usage.usage(bob.caller, "/", depth=9, held=False)
