"""What was told and not answered: a row of the journal is this device's own only where a record expects just that, and then it is
the base at its own place."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import ONE, TWO, HandClock, Steady, Watching, local_of, node_id, push

from syncline.client.commits import Committer
from syncline.client.intents import OPEN_AT_LEAST_S, OPEN_MAX, Intents
from syncline.client.observe.pull import Puller
from syncline.client.plan.steps import Push
from syncline.model.entries import Kind, SyncedNode
from syncline.model.errors import Unavailable
from syncline.model.ids import DeviceId, NamespaceId, NodeId, UserId
from syncline.model.journal import JournalEntry
from syncline.ports.clock import Ids
from syncline.ports.tree_store import Changes, InflightRow
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME, JournalRemote
from syncline.testing.memory import MemoryTreeStore

ME, OTHER = DeviceId("me"), DeviceId("other")


class Memory:
    """A store, and the records over it."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryTreeStore(), HandClock()
        self.ids = Ids(self.clock, Steady())
        self.intents = self.started()

    def started(self) -> Intents:
        """Another process over the same store."""
        return Intents(self.store, self.ids, self.clock, list(self.store.inflight.values()))

    def begin(self, *pushes: Push, namespace: NamespaceId = HOME, **contents: Any) -> str:
        return self.intents.begin(namespace, pushes, {each.node: ONE for each in pushes} | contents)

    def write(self) -> None:
        self.store.write(Changes(inflight_remove=self.intents.drain()))


@pytest.fixture
def memory() -> Memory:
    return Memory()


def create(number: int = 1, **options: Any) -> Push:
    return push(Op.CREATE, number, **({"parent": NodeId(HOME), "name": "a", "content": True} | options))


def row(number: int = 1, **options: Any) -> JournalEntry:
    """What the journal says once `create` was taken."""
    given: dict[str, Any] = {
        "sequence": 7,
        "changeset": "c",
        "op": "create",
        "node_id": node_id(number),
        "parent_id": NodeId(HOME),
        "name": "a",
        "kind": Kind.FILE,
        "revision": 1,
        "content_hash": ONE,
        "device": ME,
    }
    return JournalEntry(**(given | options))


def pushes(intents: Intents, entry: JournalEntry) -> list[Push]:
    return [told.push for told in intents.match(HOME, entry, ME)]


# -- records -----------------------------------------------------------------------------------------------------------------------


def test_a_record_is_durable_before_anything_is_said_and_outlives_the_process(memory: Memory) -> None:
    said = create()
    row_id = memory.begin(said)
    assert [(stored.id, stored.kind) for stored in memory.store.inflight.values()] == [(row_id, "commit")]
    assert pushes(memory.started(), row()) == [said]


def test_an_answered_one_matches_nothing_and_goes_with_the_next_transaction(memory: Memory) -> None:
    row_id = memory.begin(create())
    memory.intents.over(row_id)
    assert pushes(memory.intents, row()) == []
    assert row_id in memory.store.inflight, "not in a transaction of its own"
    memory.write()
    assert memory.store.inflight == {}
    assert memory.intents.drain() == []


def test_a_transaction_that_failed_is_made_up_for(memory: Memory) -> None:
    row_id = memory.begin(create())
    memory.intents.over(row_id)
    memory.intents.undrain(memory.intents.drain())
    assert memory.intents.drain() == [row_id]


def test_a_store_that_cannot_write_keeps_anything_from_being_said(memory: Memory) -> None:
    def full(_: Changes) -> None:
        raise OSError("full")

    memory.store.write = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="full"):
        memory.begin(create())
    assert pushes(memory.intents, row()) == []


def test_records_of_others_in_the_same_table_are_left_alone(memory: Memory) -> None:
    memory.store.inflight["x"] = InflightRow(id="x", kind="move", fields={"node": "n"})
    intents = memory.started()
    intents.forget(HOME)
    assert intents.drain() == []


def test_of_very_many_the_oldest_go(memory: Memory) -> None:
    for number in range(1, OPEN_MAX + 3):
        memory.begin(create(number))
    assert pushes(memory.intents, row(2)) == []
    assert pushes(memory.intents, row(3)) == [create(3)]
    assert len(memory.intents.drain()) == 2


def test_what_was_sent_long_before_and_is_not_in_the_journal_never_will_be(memory: Memory) -> None:
    old, elsewhere = memory.begin(create(1)), memory.begin(create(2), namespace=NamespaceId("other"))
    memory.clock.pass_s(OPEN_AT_LEAST_S - 1)
    young = memory.begin(create(3))
    memory.intents.caught_up(HOME)
    assert memory.intents.drain() == [], "the request may still be on its way"
    memory.clock.pass_s(2)
    memory.intents.caught_up(HOME)
    assert memory.intents.drain() == [old]
    memory.write()
    assert sorted(memory.store.inflight) == sorted([old, elsewhere, young])


def test_one_that_an_earlier_run_left_is_given_its_time_anew(memory: Memory) -> None:
    memory.begin(create())
    memory.clock.pass_s(OPEN_AT_LEAST_S * 9)
    intents = memory.started()
    intents.caught_up(HOME)
    assert pushes(intents, row()) == [create()]


def test_a_history_observed_anew_ends_what_was_told_there(memory: Memory) -> None:
    here, elsewhere = memory.begin(create(1)), memory.begin(create(2), namespace=NamespaceId("other"))
    memory.intents.forget(HOME)
    assert memory.intents.drain() == [here]
    assert pushes(memory.intents, row(1)) == []
    memory.intents.forget(NamespaceId("other"))
    assert memory.intents.drain() == [elsewhere]


# -- what counts as one's own ------------------------------------------------------------------------------------------------------

EDIT = push(Op.EDIT, 1, content=True)
MOVE = push(Op.MOVE, 1, parent=node_id(9), name="b")
DELETE = push(Op.DELETE, 1)
DRESS = push(Op.EDIT, 1, executable=True)


@pytest.mark.parametrize(
    ("said", "entry", "mine"),
    [
        (create(), row(), True),
        (create(), row(device=OTHER), False),
        (create(), row(device=None), False),
        (create(), row(2), False),
        (create(), row(content_hash=TWO), False),
        (create(), row(name="b"), False),
        (create(), row(parent_id=node_id(9)), False),
        (create(), row(deleted=True), False),
        (EDIT, row(name="elsewhere by now"), True),
        (EDIT, row(content_hash=TWO), False),
        (MOVE, row(parent_id=node_id(9), name="b", content_hash=TWO), True),
        (MOVE, row(), False),
        (DELETE, row(deleted=True), True),
        (DELETE, row(), False),
        (DRESS, row(executable=True), True),
        (DRESS, row(executable=False), False),
    ],
)
def test_a_row_is_ones_own_only_where_it_is_just_what_was_told(memory: Memory, said: Push, entry: JournalEntry, mine: bool) -> None:
    memory.begin(said)
    assert pushes(memory.intents, entry) == ([said] if mine else [])


def test_two_changes_of_one_node_count_together_or_not_at_all(memory: Memory) -> None:
    both = (EDIT, MOVE)
    memory.begin(*both)
    assert pushes(memory.intents, row(parent_id=node_id(9), name="b")) == list(both)
    assert pushes(memory.intents, row(parent_id=node_id(9), name="b", content_hash=TWO)) == []


def test_what_was_told_again_and_again_counts_all_of_it(memory: Memory) -> None:
    """The move arrived with an answer at last; of its earlier tries nobody knows. The edit after it is a row of its own."""
    memory.begin(MOVE)
    memory.begin(EDIT, DRESS)
    memory.begin(EDIT)
    entry = row(parent_id=node_id(9), name="b")
    assert pushes(memory.intents, entry) == [MOVE, EDIT]
    assert pushes(memory.intents, replace(entry, executable=True)) == [MOVE, EDIT, DRESS, EDIT]


def test_a_row_of_another_namespace_is_not_what_was_told_here(memory: Memory) -> None:
    memory.begin(create())
    assert memory.intents.match(NamespaceId("other"), row(), ME) == []


# -- while the journal is read -----------------------------------------------------------------------------------------------------


class Teller(Watching):
    """A device that wrote down what it is going to tell."""

    def __init__(self, remote: JournalRemote) -> None:
        super().__init__(remote)
        self.ids = Ids(self.clock, Steady())
        self.restart()

    def restart(self) -> None:
        self.intents = Intents(self.store, self.ids, self.clock, list(self.store.inflight.values()))
        server: Any = self.remote
        rows = list(self.store.cursors.values())
        self.puller = Puller(
            server, self.trees, self.store, rows, fresh_id=lambda: node_id(99), user=UserId("u"), device=ME, intents=self.intents
        )

    def create(self) -> None:
        """A new file goes up, and the answer is lost."""
        self.trees.put_local(local_of(node_id(1), "a", content=ONE))
        self.intents.begin(HOME, [create()], {node_id(1): ONE})
        by(
            self.remote,
            ME,
            Change(op=Op.CREATE, node_id=node_id(1), parent_id=NodeId(HOME), name="a", kind=Kind.FILE, content_hash=ONE),
        )


def by(remote: JournalRemote, device: DeviceId, *changes: Change) -> None:
    """A changeset of `device`'s, as the journal says."""
    record = remote._record
    remote._record = lambda row: record(replace(row, device=device))  # type: ignore[method-assign]
    try:
        remote.change(*changes)
    finally:
        remote._record = record  # type: ignore[method-assign]


@pytest.fixture
def teller() -> Teller:
    return Teller(JournalRemote())


async def test_a_commit_whose_answer_was_lost_is_the_base_before_what_came_after_it(teller: Teller) -> None:
    await teller.pull()
    teller.create()
    by(teller.remote, OTHER, Change(op=Op.EDIT, node_id=node_id(1), base_revision=1, content_hash=TWO, size=1))
    teller.restart()
    await teller.pull()
    base, theirs = teller.trees.synced[node_id(1)], teller.trees.remote[node_id(1)]
    assert (base.revision, base.content_hash) == (1, ONE), "theirs is an edit on top of it, and no conflict"
    assert (theirs.revision, theirs.content_hash) == (2, TWO)
    assert teller.is_proven()


async def test_an_edit_whose_answer_was_lost_is_the_base_though_an_earlier_try_of_a_move_looks_like_it(teller: Teller) -> None:
    await teller.pull()
    teller.create()
    await teller.pull()
    place = {"parent": NodeId(HOME), "name": "b"}
    teller.intents.begin(HOME, [push(Op.MOVE, 1, **place)], {})
    by(teller.remote, ME, Change(op=Op.MOVE, node_id=node_id(1), base_revision=1, parent_id=NodeId(HOME), name="b"))
    await teller.pull()
    teller.intents.begin(HOME, [push(Op.EDIT, 1, content=True)], {node_id(1): TWO})
    by(teller.remote, ME, Change(op=Op.EDIT, node_id=node_id(1), base_revision=1, content_hash=TWO, size=1))
    teller.restart()
    await teller.pull()
    base, theirs = teller.trees.synced[node_id(1)], teller.trees.remote[node_id(1)]
    assert (base.name, base.revision, base.content_hash) == ("b", theirs.revision, TWO)


@pytest.mark.parametrize("again", [True, False])
async def test_a_deletion_whose_answer_was_lost_is_no_deletion_of_what_was_made_anew_since(teller: Teller, again: bool) -> None:
    await teller.pull()
    folder, below = ({"op": Op.CREATE, "kind": Kind.DIR, "node_id": node_id(number), "name": "d"} for number in (1, 2))
    by(teller.remote, ME, Change(parent_id=NodeId(HOME), **folder), Change(parent_id=node_id(1), **below))
    await teller.pull()
    for number, parent in ((1, NodeId(HOME)), (2, node_id(1))):
        teller.trees.put_synced(
            SyncedNode(id=node_id(number), namespace=HOME, parent=parent, name="d", kind=Kind.DIR, revision=1),
        )
        if again:
            teller.trees.put_local(replace(local_of(node_id(number), "d", parent=parent), kind=Kind.DIR))
    teller.intents.begin(HOME, [push(Op.DELETE, 1, kind=Kind.DIR, recursive=True)], {})
    by(teller.remote, ME, *(Change(op=Op.DELETE, node_id=node_id(number)) for number in (2, 1)))
    teller.restart()
    await teller.pull()
    assert len(teller.trees.remote) == 0
    assert len(teller.trees.synced) == 0, "with a base it would be deleted here, as if somebody else had"


@pytest.mark.parametrize("lost", [True, False])
async def test_what_is_sent_is_written_down_before_and_stays_so_only_where_the_answer_was_lost(teller: Teller, lost: bool) -> None:
    await teller.pull()
    server: Any = teller.remote
    told = push(Op.CREATE, 1, kind=Kind.DIR, parent=NodeId(HOME), name="d")
    seen: list[int] = []

    def fault(call: str, is_after: bool) -> None:
        if call == "commit":
            seen.append(len(teller.store.inflight))
            if lost and is_after:
                raise Unavailable(what="The server")

    teller.remote.fault = fault
    outcome = await Committer(server, teller.trees, teller.ids, teller.intents).commit([(told,)], {}, {HOME: 0})
    assert (set(seen), outcome.lost is not None) == ({1}, lost)
    assert len(teller.remote.journal) == 1
    assert len(teller.intents.drain()) == (0 if lost else 1)


async def test_without_a_record_a_row_of_this_device_is_nothing_that_it_holds(teller: Teller) -> None:
    """The device was put back to an older state: its own rows speak of what it has no more."""
    await teller.pull()
    teller.create()
    teller.store.inflight.clear()
    teller.restart()
    await teller.pull()
    assert len(teller.trees.synced) == 0


async def test_a_record_goes_once_the_journal_was_read_past_its_time(teller: Teller) -> None:
    await teller.pull()
    teller.create()
    await teller.pull()
    assert teller.store.inflight, "a request may come late"
    teller.clock.pass_s(OPEN_AT_LEAST_S + 1)
    await teller.pull()
    teller.remote.put("b")
    await teller.pull()
    assert teller.store.inflight == {}


async def test_records_of_a_history_that_is_gone_go_with_it(teller: Teller) -> None:
    teller.remote.put("b")
    await teller.pull()
    teller.create()
    teller.remote.new_epoch()
    await teller.pull()
    assert teller.store.inflight == {}


async def test_a_record_whose_removal_was_not_written_is_removed_with_the_next(teller: Teller) -> None:
    await teller.pull()
    row_id = teller.intents.begin(HOME, [create()], {})
    teller.intents.over(row_id)
    teller.remote.put("b")
    honest = teller.store.write

    def full(_: Changes) -> None:
        raise OSError("full")

    teller.store.write = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="full"):
        await teller.pull()
    teller.store.write = honest  # type: ignore[method-assign]
    teller.remote.put("c")
    await teller.pull()
    assert teller.store.inflight == {}
