"""Commits: changesets of bounded size, groups kept whole, and refusals that hold back only what they are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.client.kit import ONE, TWO, HandClock, Steady, local_of, node_id, push, remote_of

from syncline.client.commits import REQUESTS_MAX, Committed, Committer, units_of
from syncline.client.intents import Intents
from syncline.client.plan.steps import Push
from syncline.client.send.jobs import Prepared
from syncline.client.trees.trees import Trees
from syncline.model.blocks import Block, Manifest
from syncline.model.entries import Kind
from syncline.model.errors import BlocksMissing, CommitRefused, Forbidden, QuotaExceeded, Unauthenticated, Unavailable
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import BATCH_MAX
from syncline.ports.clock import Ids
from syncline.protocol.commits import CommitAnswer, CommitRequest, Op
from syncline.testing.journal_remote import HOME, JournalRemote
from syncline.testing.memory import MemoryTreeStore


def committer_of(remote: Any, trees: Trees) -> Committer:
    clock, ids = HandClock(), Ids(HandClock(), Steady())
    return Committer(remote, trees, ids, Intents(MemoryTreeStore(), ids, clock))


class World:
    def __init__(self) -> None:
        self.remote = JournalRemote()
        self.trees = Trees(HOME)
        self.prepared: dict[NodeId, Prepared] = {}

    async def commit(self, *pushes: Push) -> Committed:
        committer = committer_of(self.remote, self.trees)
        return await committer.commit(units_of(pushes), self.prepared, {HOME: self.remote.head})

    def file(self, number: int, name: str, **options: Any) -> Push:
        """A new file whose bytes are at the server."""
        local = local_of(node_id(number), name, content=ONE)
        self.trees.put_local(local)
        manifest = Manifest(ONE, 3, "v1", (Block(ONE, 3),))
        self.prepared[local.id] = Prepared(
            node=local.id,
            namespace=HOME,
            signature=local.signature,
            content_hash=ONE,
            size=3,
            cut="v1",
            blocks=[ONE],
            manifest=manifest,
        )
        return self.folder(number, name, kind=Kind.FILE, content=True, **options)

    def folder(self, number: int, name: str, **options: Any) -> Push:
        return push(Op.CREATE, number, **({"kind": Kind.DIR, "parent": NodeId(HOME), "name": name} | options))

    def refuse(self, judge: Callable[[CommitRequest], Exception | None]) -> None:
        """The server asks `judge` before it takes a changeset."""
        honest = self.remote.commit

        async def commit(request: CommitRequest, *, key: str) -> CommitAnswer:
            if (error := judge(request)) is not None:
                self.remote.commits.append(request)
                raise error
            return await honest(request, key=key)

        self.remote.commit = commit  # type: ignore[method-assign]

    @property
    def sizes(self) -> list[int]:
        return [len(request.changes) for request in self.remote.commits]


@pytest.fixture
def world() -> World:
    return World()


def nodes(pushes: list[Push]) -> list[NodeId]:
    return [each.node for each in pushes]


async def test_many_changes_go_in_full_batches_in_order(world: World) -> None:
    pushes = [world.folder(number, f"f{number}") for number in range(1, 2 * BATCH_MAX + 6)]
    outcome = await world.commit(*pushes)
    assert world.sizes == [BATCH_MAX, BATCH_MAX, 5]
    assert outcome.done == pushes
    assert [row.node_id for row in world.remote.journal] == nodes(pushes)


async def test_a_group_is_never_split_over_requests(world: World) -> None:
    single = [world.folder(number, f"f{number}") for number in range(1, BATCH_MAX)]
    group = [world.folder(5000 + number, f"g{number}", group=7) for number in range(3)]
    outcome = await world.commit(*single, *group)
    assert world.sizes == [BATCH_MAX - 1, 3]
    assert outcome.done == [*single, *group]


async def test_namespaces_have_requests_of_their_own(world: World) -> None:
    other = NamespaceId("other")
    await world.commit(world.folder(1, "a"), world.folder(2, "b", namespace=other), world.folder(3, "c"))
    assert [request.namespace for request in world.remote.commits] == [HOME, other, HOME]


def test_members_of_a_group_gather_at_the_first() -> None:
    pushes = [push(Op.MOVE, 1), push(Op.MOVE, 2, group=1), push(Op.MOVE, 3), push(Op.MOVE, 4, group=1)]
    assert [nodes(list(unit)) for unit in units_of(pushes)] == [[node_id(1)], [node_id(2), node_id(4)], [node_id(3)]]


async def test_a_refusal_holds_back_what_it_names_with_its_group_and_the_rest_goes_at_once(world: World) -> None:
    world.remote.put("taken")
    good = [world.folder(1, "a"), world.folder(2, "b")]
    bad = [world.folder(3, "c", group=1), world.folder(4, "taken", group=1)]
    outcome = await world.commit(good[0], *bad, good[1])
    assert outcome.done == good
    assert outcome.refused == {node_id(4): "name.taken"}
    assert world.sizes == [4, 2]
    assert {row.name for row in world.remote.nodes.values()} == {"a", "b", "taken"}


async def test_a_refusal_is_held_against_nodes_that_were_sent_whatever_it_says(world: World) -> None:
    world.refuse(
        lambda request: (
            CommitRefused(failures=[{"index": 1, "code": "odd", "node_id": "somebody"}, {"index": 99, "code": "odd"}])
            if len(request.changes) == 3
            else None
        )
    )
    outcome = await world.commit(*(world.folder(number, f"f{number}") for number in (1, 2, 3)))
    assert outcome.refused == {node_id(2): "odd"}
    assert nodes(outcome.done) == [node_id(1), node_id(3)]


@pytest.mark.parametrize("failures", [[], None, [{"code": "odd"}], [{"index": -1, "code": "odd"}]])
async def test_a_refusal_that_names_nothing_is_narrowed_down(world: World, failures: Any) -> None:
    culprit = node_id(700)
    world.refuse(
        lambda request: CommitRefused(failures=failures) if any(one.node_id == culprit for one in request.changes) else None
    )
    pushes = [world.folder(number, f"f{number}") for number in range(1, BATCH_MAX + 1)]
    outcome = await world.commit(*pushes)
    assert set(outcome.failed) == {culprit}
    assert len(outcome.done) == BATCH_MAX - 1
    assert len(world.remote.commits) <= REQUESTS_MAX


async def test_when_everything_is_refused_the_requests_are_bounded(world: World) -> None:
    world.refuse(lambda _: Forbidden(what="write"))
    outcome = await world.commit(*(world.folder(number, f"f{number}") for number in range(1, BATCH_MAX + 1)))
    assert len(world.remote.commits) == REQUESTS_MAX
    assert outcome.failed
    assert not outcome.done
    assert outcome.lost is None


async def test_a_full_quota_lets_through_what_needs_no_room(world: World) -> None:
    world.refuse(
        lambda request: QuotaExceeded(limit=1) if any(one.content_hash for one in request.changes) else None,
    )
    outcome = await world.commit(world.file(1, "film"), world.folder(2, "folder"))
    assert nodes(outcome.done) == [node_id(2)]
    assert {node: error.code for node, error in outcome.failed.items()} == {node_id(1): QuotaExceeded.code}


async def test_missing_blocks_by_name_hold_back_that_file(world: World) -> None:
    world.remote.checks_blocks = True
    outcome = await world.commit(world.file(1, "a"), world.folder(2, "b"))
    assert outcome.unsent_blocks == {node_id(1)}
    assert not outcome.refused
    assert nodes(outcome.done) == [node_id(2)]


async def test_missing_blocks_without_a_name_hold_back_every_file(world: World) -> None:
    world.refuse(lambda request: BlocksMissing(count=1) if any(one.blocks for one in request.changes) else None)
    outcome = await world.commit(world.file(1, "a"), world.folder(2, "b"), world.file(3, "c"))
    assert outcome.unsent_blocks == {node_id(1), node_id(3)}
    assert nodes(outcome.done) == [node_id(2)]


@pytest.mark.parametrize("error", [Unavailable(what="the server"), Unauthenticated(reason="ended")])
async def test_a_server_lost_on_the_way_keeps_what_was_done_before(world: World, error: Exception) -> None:
    world.refuse(lambda _: error if len(world.remote.commits) == 1 else None)
    pushes = [world.folder(number, f"f{number}") for number in range(1, 3 * BATCH_MAX)]
    outcome = await world.commit(*pushes)
    assert outcome.lost is error
    assert outcome.done == pushes[:BATCH_MAX]
    assert len(world.remote.commits) == 2


async def test_what_was_committed_is_booked_with_its_revision_and_content(world: World) -> None:
    node = world.remote.put("old", node=node_id(9), content=TWO)
    moved = push(Op.MOVE, 9, parent=NodeId(HOME), name="new", base_revision=1)
    created = world.file(1, "a")
    outcome = await world.commit(created, moved)
    (booking,) = outcome.bookings
    assert booking.sequence == world.remote.head
    assert booking.pushes == [(created, 1, ONE), (moved, 1, None)]
    assert world.remote.nodes[node].name == "new"


async def test_a_folder_is_deleted_as_of_what_was_seen(world: World) -> None:
    await world.commit(world.folder(1, "f"))
    seen = world.remote.head
    delete = push(Op.DELETE, 1, kind=Kind.DIR, recursive=True)
    world.trees.put_remote(remote_of(node_id(1), "f"))
    world.remote.put("late", parent=node_id(1))
    committer = committer_of(world.remote, world.trees)
    outcome = await committer.commit(units_of([delete]), {}, {HOME: seen})
    assert outcome.refused == {node_id(1): "subtree.changed"}
    assert (await world.commit(delete)).done == [delete]


async def test_nothing_to_do_asks_nothing(world: World) -> None:
    assert await world.commit() == Committed()
    assert world.remote.commits == []
