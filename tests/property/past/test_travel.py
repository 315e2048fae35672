"""Random histories of two devices, and going back in them.

A rewind of everything gives exactly the tree of that time; undone, it gives the tree from before. An undo of one device gives the
tree of before where nobody else did anything since, and else never takes back what the other one did later; undone, it too gives
the tree from before.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.metadata.test_changesets import BYTES, Draw, Modelled, Tree
from tests.unit.server_metadata.world import Member, World, fresh_database

from syncline.model.errors import CommitRefused
from syncline.model.ids import ChangesetId, DeviceId, NodeId
from syncline.model.journal import JournalEntry
from syncline.model.paths import name_key
from syncline.protocol.changes import to_time
from syncline.protocol.past import RewindRequest, TravelAnswer, UndoRequest
from syncline.server.caller import Caller
from syncline.server.past.service import Past, Retention

STEPS = 14
EXAMPLES = int(os.environ.get("SYNCLINE_TRAVEL_EXAMPLES", "12"))
"""Of each test; a longer search asks for more."""
Placed = dict[NodeId, tuple[Any, ...]]


class Life:
    """One person's tree, changed by two devices in turn, with what stood after each step."""

    def __init__(self, world: World, ada: Member, seed: int) -> None:
        self.world = world
        other = Caller(ada.caller.user_id, DeviceId(world.ids.fresh()))
        self.devices = (ada, Member(world, other, ada.namespace))
        self.random = random.Random(seed)
        self.draw = Draw(seed, ada)
        self.past = Past(world.metadata, world.stores.past, world.machine, Retention())  # type: ignore[union-attr]
        self.stood: list[tuple[int, Placed]] = []
        self._keys = 0

    @property
    def ada(self) -> Member:
        return self.devices[0]

    async def step(self, device: int) -> None:
        """A changeset by that device, less whatever is refused of it."""
        rows = await self.ada.rows()
        changes = self.draw.changeset(_modelled(rows), len(rows))
        for _ in range(20):
            if not changes:
                break
            try:
                await self.devices[device].commit(*changes)
                break
            except CommitRefused as refusal:
                failed = {failure["index"] for failure in refusal.fields["failures"]}
                changes = [change for index, change in enumerate(changes) if index not in failed]
        self.stood.append((self.world.machine.now_us(), await self.placed()))

    async def placed(self) -> Placed:
        return {
            entry.node_id: (entry.parent_id, entry.name, entry.kind, entry.content_hash, entry.executable)
            for entry in await self.ada.live()
        }

    def key(self) -> str:
        self._keys += 1
        return f"travel {self._keys}"

    async def rewind(self, time_us: int, node: NodeId | None = None) -> TravelAnswer:
        request = RewindRequest(to=to_time(time_us), node_id=node)
        return await self.past.travel.rewind(self.ada.caller, request, self.key())

    async def undo(self, device: int, since_us: int) -> TravelAnswer:
        request = UndoRequest(device=self.devices[device].caller.device_id, since=to_time(since_us))
        return await self.past.travel.undo(self.ada.caller, request, self.key())

    async def undo_changeset(self, changeset: ChangesetId | None) -> TravelAnswer:
        return await self.past.travel.undo(self.ada.caller, UndoRequest(changeset=changeset), self.key())


def _modelled(rows: list[JournalEntry]) -> Tree:
    return {
        row.node_id: Modelled(
            row.parent_id, row.name, row.kind, row.revision, row.content_hash, row.executable, row.deleted, row.sequence
        )
        for row in rows
    }


Lived = Callable[[Callable[[Life], Awaitable[None]], int], None]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Plays a test of a life from a seed, on a database of its own."""
    folder: Path = tmp_path_factory.mktemp("travel")

    async def play(test: Callable[[Life], Awaitable[None]], seed: int) -> None:
        path = folder / "metadata.db"
        for file in folder.glob("metadata.db*"):
            file.unlink()
        await fresh_database(path, tmp_path_factory)
        async with World.opened(path) as world:
            ada = await world.person("ada")
            await ada.put(*[data for data in BYTES if data])
            await test(Life(world, ada, seed))

    return lambda test, seed: asyncio.run(play(test, seed))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_rewind_gives_exactly_the_tree_of_that_time(lived: Lived, seed: int) -> None:
    async def test(life: Life) -> None:
        for _ in range(STEPS):
            await life.step(life.random.randrange(2))
        for _ in range(3):
            before = await life.placed()
            time_us, then = life.random.choice(life.stood)
            answer = await life.rewind(time_us)
            assert await life.placed() == then
            assert answer.spared == []
            if answer.changeset is not None:
                await life.undo_changeset(answer.changeset)
                assert await life.placed() == before
                await life.undo_changeset((await life.ada.rows())[-1].changeset)
                assert await life.placed() == then
            await life.step(life.random.randrange(2))
        await life.ada.check()

    lived(test, seed)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_rewind_of_a_folder_gives_what_was_in_it(lived: Lived, seed: int) -> None:
    async def test(life: Life) -> None:
        for _ in range(STEPS):
            await life.step(life.random.randrange(2))
        time_us, then = life.random.choice(life.stood)
        now = await life.placed()
        both = [node for node, placed in now.items() if node in then and placed[2].value == "dir"]
        if not both:
            return
        top = life.random.choice(both)
        answer = await life.rewind(time_us, top)
        after = await life.placed()
        stayed = {item.node_id for item in answer.spared}
        stayed |= {node for one in stayed if one in after for node in _below(after, one)}
        inside = _below(then, top)
        # What was spared keeps its place, so what was there comes back beside it, under a name that says so.
        held = {_place(after[node]) for node in stayed if node in after}
        exact = [node for node in inside if node not in {item.node_id for item in answer.spared} and _place(then[node]) not in held]
        assert {node: after.get(node) for node in exact} == {node: then[node] for node in exact}
        assert set(_below(after, top)) - stayed == set(inside) - stayed
        assert after[top] == now[top]
        untouched = {node for node in now if not {top, *inside} & set(_above(now, node))} - set(inside)
        # What has nothing to do with the folder stays; folders that came back for something moved out of it may be new.
        assert {node: after[node] for node in untouched} == {node: now[node] for node in untouched}
        if answer.changeset is not None:
            await life.undo_changeset(answer.changeset)
            assert await life.placed() == now
        await life.ada.check()

    lived(test, seed)


def _place(placed: tuple[Any, ...]) -> tuple[NodeId, str]:
    """What only one node may have: names are taken without regard to case."""
    return placed[0], name_key(placed[1])


def _below(tree: Placed, top: NodeId) -> list[NodeId]:
    def under(node: NodeId) -> bool:
        at = tree[node][0]
        while at in tree and at != top:
            at = tree[at][0]
        return bool(at == top)

    return [node for node in tree if under(node)]


def _above(tree: Placed, node: NodeId) -> list[NodeId]:
    found = []
    at = tree[node][0]
    while at in tree:
        found.append(at)
        at = tree[at][0]
    return found


@given(seed=st.integers(0, 2**32))
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_undo_of_the_only_device_at_work_is_a_rewind(lived: Lived, seed: int) -> None:
    async def test(life: Life) -> None:
        for _ in range(STEPS // 2):
            await life.step(life.random.randrange(2))
        since_us, then = life.stood[-1]
        for _ in range(STEPS // 2):
            await life.step(1)
        answer = await life.undo(1, since_us)
        assert await life.placed() == then
        assert answer.spared == []
        await life.ada.check()

    lived(test, seed)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_an_undo_spares_what_the_other_device_did_later(lived: Lived, seed: int) -> None:
    async def test(life: Life) -> None:
        for _ in range(STEPS // 2):
            await life.step(life.random.randrange(2))
        since_us = life.stood[-1][0]
        start = len(await life.ada.rows())
        for _ in range(STEPS):
            await life.step(life.random.randrange(2))
        before, rows = await life.placed(), await life.ada.rows()
        answer = await life.undo(1, since_us)
        after = await life.placed()
        for node, kept in _spared(rows, start, life.devices[1].caller.device_id).items():
            for attribute in kept:
                assert (node in after) == (node in before), (node, attribute)
                if node in after and attribute != "alive":
                    at = {"parent": 0, "content": 3}[attribute]
                    assert after[node][at] == before[node][at], (node, attribute)
        if answer.changeset is not None:
            await life.undo_changeset(answer.changeset)
            assert await life.placed() == before
        await life.ada.check()

    lived(test, seed)


def _spared(rows: list[JournalEntry], start: int, undone: DeviceId) -> dict[NodeId, set[str]]:
    """By node, what somebody else was the last to change since, of nodes that live and that nobody else's deletion concerns."""
    state: dict[NodeId, JournalEntry] = {}
    last: dict[NodeId, dict[str, bool]] = {}
    for row in rows:
        before = state.get(row.node_id)
        if row.sequence > start and before is not None and not row.deleted and not before.deleted:
            told = last.setdefault(row.node_id, {})
            if before.parent_id != row.parent_id:
                told["parent"] = row.device != undone
            if before.revision != row.revision:
                told["content"] = row.device != undone
        elif row.sequence > start and before is not None and before.deleted is not row.deleted:
            last.setdefault(row.node_id, {})["alive"] = row.device != undone
        state[row.node_id] = row
    return {
        node: {attribute for attribute, others in told.items() if others}
        for node, told in last.items()
        if not state[node].deleted and told.get("alive", True)
    }
