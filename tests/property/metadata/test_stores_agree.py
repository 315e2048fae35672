"""The stores in memory against the database: the same random life in both, and every answer of every door the same.

Both worlds have equal clocks and equal chance, so not only trees but ids, chains, roots and cursors must come out equal.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.property.metadata.test_changesets import BYTES, Draw, Modelled, Tree
from tests.unit.server_metadata.world import DAY_US, START_US, Member, World, digest, fresh_database

from syncline.model.blocks import Codec, PackEntry
from syncline.model.entries import Access
from syncline.model.errors import SynclineError
from syncline.model.ids import NodeId, PackId
from syncline.ports.pack_store import PackRow
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change

SEEDS = 4
STEPS = 60
PIECES = (*BYTES[1:], b"four", b"five")


class Life:
    """What happens in one world, said in words that mean the same in any."""

    def __init__(self, world: World, ada: Member, bob: Member) -> None:
        self.world = world
        self.people = (ada, bob, Member(world, bob.caller, ada.namespace))
        """The third is bob, in ada's namespace."""

    @classmethod
    async def begun(cls, world: World) -> Life:
        ada, bob = await world.person("ada", quota_bytes=40), await world.person("bob")
        await world.join(bob.caller.user_id, ada.namespace, Access.WRITE)
        return cls(world, ada, bob)

    async def commit(self, who: int, changes: Sequence[Change], key: str) -> Any:
        return await self.people[who].commit(*changes, key=key)

    async def grant(self, who: int, pack: str, pieces: Sequence[bytes]) -> Any:
        member = self.people[who]
        row = PackRow(
            id=PackId(pack),
            namespace=member.namespace,
            user=member.caller.user_id,
            object_key=f"object {pack}",
            size=1,
            sha256=digest(pack.encode()),
            wrapped_key=b"k",
            state="granted",
            expires_us=START_US + len(pack),
            created_us=self.world.machine.now_us(),
        )
        entries = [PackEntry(digest(piece), at, 1, len(piece), Codec.RAW) for at, piece in enumerate(pieces)]
        await self.world.stores.packs.add_packs([(row, entries)])

    async def finish(self, packs: Sequence[str]) -> Any:
        await self.world.stores.packs.finish([PackId(pack) for pack in packs], 7)

    async def forget(self, packs: Sequence[str]) -> Any:
        await self.world.stores.packs.forget([PackId(pack) for pack in packs])

    async def verify(self, pack: str) -> Any:
        await self.world.verify(pack)

    async def condemn(self, who: int, piece: bytes) -> Any:
        member = self.people[who]
        async with self.world.stores.metadata.commit(member.namespace, member.caller.user_id) as transaction:
            held = await transaction.held([digest(piece)])
        if held:
            await self.world.condemn(member.namespace, digest(piece))
        return held

    async def days_pass(self, days: int) -> Any:
        self.world.machine.time_us += days * DAY_US

    async def prune(self, limit: int) -> Any:
        now_us = self.world.machine.now_us()
        return await self.world.stores.metadata.prune(
            journal_before_us=now_us - 3 * DAY_US, answers_before_us=now_us - DAY_US, limit=limit
        )

    async def publish(self, limit: int) -> Any:
        heads = await self.world.stores.metadata.unpublished(limit)
        await self.world.stores.metadata.mark_published(heads)
        return sorted(heads) if limit > 2 else None

    async def walk(self, who: int, after: int, limit: int, nodes: Sequence[NodeId]) -> Any:
        """Every question of every port about what stands."""
        member, metadata, packs = self.people[who], self.world.stores.metadata, self.world.stores.packs
        here, user, hashes = member.namespace, member.caller.user_id, [digest(piece) for piece in PIECES]
        refs = [RevisionRef(node_id=node, revision=revision) for node in nodes for revision in (1, 2, 3)]
        folder = nodes[0] if nodes else member.root
        found = [
            await metadata.heads(user),
            await metadata.journal(here, after, limit),
            await metadata.chains(user, [(here, number) for number in range(after + 1)]),
            await metadata.live(here, nodes[0] if nodes else None, limit),
            _by_id(await metadata.nodes(here, nodes)),
            _by_id(await metadata.ancestors(here, folder)),
            await metadata.children(here, member.root, None, limit),
            await metadata.children(here, folder, "a", limit),
            await metadata.revision_blocks(here, refs),
            [await metadata.versions(here, node, limit) for node in nodes],
            await metadata.usage(user),
            await packs.missing(here, user, hashes),
            sorted((copy.hash, copy.pack) for copy in await packs.copies(here, hashes)),
            [row.id for row in await packs.expired(START_US + 3, 100)],
        ]
        async with metadata.commit(here, user) as transaction:
            found += [
                transaction.head,
                _by_id(await transaction.below(nodes, 1000)),
                len(await transaction.below(nodes, limit)),
                _by_id(await transaction.deleted_with(nodes, 1000)),
                _by_id(await transaction.ancestors(nodes)),
                await transaction.child_counts(nodes),
                await transaction.heights(nodes),
                await transaction.held(hashes),
                await transaction.readable_elsewhere(user, hashes),
                await transaction.usage(),
            ]
        return found

    async def answer(self, word: str, *said: Any) -> Any:
        """What came of it, its error included."""
        try:
            return await getattr(self, word)(*said)
        except SynclineError as error:
            return type(error), error.fields


def _by_id(entries: Sequence[Any]) -> list[Any]:
    return sorted(entries, key=lambda entry: entry.node_id)


class Told:
    """Draws what happens next, from what a world says of itself."""

    def __init__(self, seed: int, life: Life) -> None:
        self.random = random.Random(seed)
        self.life = life
        self.draws = [Draw(seed * 10 + number, member) for number, member in enumerate(life.people)]
        for number, draw in enumerate(self.draws):
            draw.born = 1000 * number
        self.packs: list[str] = []
        self.keys: list[tuple[Any, ...]] = []

    async def next(self) -> tuple[Any, ...]:
        draw = self.random.random()
        if draw < 0.45:
            return await self.commit()
        if draw < 0.5 and self.keys:
            return self.random.choice(self.keys)
        if draw < 0.6:
            self.packs.append("p" * (len(self.packs) + 1))
            return "grant", self.random.randrange(3), self.packs[-1], self.random.sample(PIECES, 2)
        if draw < 0.7 and self.packs:
            return "finish", self.random.sample(self.packs, min(2, len(self.packs)))
        if draw < 0.75 and self.packs:
            return self.random.choice((("verify", self.random.choice(self.packs)), ("forget", [self.random.choice(self.packs)])))
        if draw < 0.8:
            return "condemn", self.random.randrange(2), self.random.choice(PIECES)
        if draw < 0.85:
            return "days_pass", self.random.randrange(1, 4)
        if draw < 0.95:
            return "prune", self.random.choice((1, 2, 3, 100))
        return "publish", self.random.choice((1, 2, 100))

    async def commit(self) -> tuple[Any, ...]:
        who = self.random.randrange(3)
        tree = await self.tree(who)
        head = await self.life.world.stores.metadata.head(self.life.people[who].caller.user_id, self.life.people[who].namespace)
        assert head is not None
        changes = self.draws[who].changeset(tree, head.sequence)
        said = ("commit", who, changes, f"key {len(self.keys)}")
        self.keys.append(said)
        return said

    async def tree(self, who: int) -> Tree:
        """What the drawer must know: every node there ever was, deleted ones too."""
        member, metadata = self.life.people[who], self.life.world.stores.metadata
        nodes = await metadata.nodes(member.namespace, list(self.life.world.named.values()))
        return {
            node.node_id: Modelled(node.parent_id, node.name, node.kind, node.revision, node.content_hash, deleted=node.deleted)
            for node in _by_id(nodes)
        }


def _still(world: World) -> World:
    """Its clock moves only when told, and its chance begins anew: the stores look at them differently often."""
    machine = world.machine
    machine.time_us, machine.drawn = START_US, 0
    machine.now_us = lambda: machine.time_us  # type: ignore[method-assign]
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_memory_and_database_answer_alike(seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path / "metadata.db"
    await fresh_database(path, tmp_path_factory)
    async with World.opened(path) as world:
        database, memory = await Life.begun(_still(world)), await Life.begun(_still(World.in_memory()))
        told = Told(seed, memory)
        done: list[str] = []
        for _ in range(STEPS):
            said = await told.next()
            answers = [await life.answer(*said) for life in (database, memory)]
            assert answers[0] == answers[1], said
            done.append(said[0])
            nodes = told.random.sample(nodes, min(3, len(nodes))) if (nodes := list(memory.world.named.values())) else []
            question = ("walk", told.random.randrange(3), told.random.randrange(8), told.random.choice((1, 3, 1000)), nodes)
            answers = [await life.answer(*question) for life in (database, memory)]
            assert answers[0] == answers[1], (said, question)
            for life in (database, memory):
                life.world.machine.time_us += 1_000_000
        assert len(set(done)) > 4
        for one, other in zip(database.people, memory.people, strict=True):
            assert await one.live() == await other.live()
