"""Mounts in a user's tree: a place for another namespace, and for nothing of this one."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import START_US, Member, World

from syncline.model.ids import NodeId
from syncline.testing.server_store import MemoryStores


@pytest.fixture
async def mounted() -> tuple[Member, Member]:
    """Ada, in whose tree the team's namespace lies as `team`, and its owner."""
    world = World.in_memory()
    ada, team = await world.person("ada"), await world.person("team")
    world.named["team"] = NodeId(team.namespace)
    await world.join(ada.caller.user_id, team.namespace)
    assert isinstance(world.stores, MemoryStores)
    await world.stores.mount(ada.namespace, team.namespace, "team", time_us=START_US)
    return ada, team


async def test_nothing_of_the_root_namespace_can_be_made_below_a_mount(mounted: tuple[Member, Member]) -> None:
    ada, _ = mounted
    assert await ada.refused_codes(ada.mkdir("d", "team"), ada.create("f", "d"), ada.mkdir("fine")) == {
        0: "moved",
        1: "parent.gone",
    }
    await ada.check()


async def test_nor_moved_there(mounted: tuple[Member, Member]) -> None:
    ada, _ = mounted
    await ada.commit(ada.mkdir("d"), ada.create("f", "d"))
    assert await ada.refused_codes(ada.move("d", "team")) == {0: "parent.gone"}
    assert await ada.refused_codes(ada.move("f", "team")) == {0: "parent.gone"}
    await ada.check()


async def test_a_mount_itself_moves_like_any_folder(mounted: tuple[Member, Member]) -> None:
    ada, team = mounted
    await ada.commit(ada.mkdir("d"), ada.move("team", "d", "renamed"))
    assert await ada.tree() == {"d": "d", "d/renamed": "team"}
    await team.commit(team.create("f"))
    await ada.check()
