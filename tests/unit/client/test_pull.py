"""Pulling: the remote tree follows the journal, proves itself, and loses nothing to a server that lost its memory."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import ONE, TWO, Watching, local_of, node_id, push

from syncline.client.commits import Booking
from syncline.model.entries import Access, Kind
from syncline.model.errors import Corrupt, Unavailable
from syncline.model.ids import Digest, NodeId
from syncline.protocol.commits import Change, Op
from syncline.protocol.sessions import Namespaces
from syncline.testing.journal_remote import HOME, JournalRemote
from syncline.testing.memory import MemoryTreeStore

WRONG = Digest("f" * 64)


@pytest.fixture
def remote() -> JournalRemote:
    return JournalRemote(page_entries=3)


@pytest.fixture
def device(remote: JournalRemote) -> Watching:
    return Watching(remote)


def delete(node: NodeId) -> Change:
    return Change(op=Op.DELETE, node_id=node, recursive=True)


def move(node: NodeId, name: str) -> Change:
    return Change(op=Op.MOVE, node_id=node, parent_id=NodeId(HOME), name=name)


async def test_the_first_look_is_a_snapshot_of_many_pages(remote: JournalRemote, device: Watching) -> None:
    for number in range(10):
        remote.put(f"f{number}")
    assert await device.pull()
    assert device.names() == {f"f{number}" for number in range(10)}
    assert remote.calls.count("snapshot") == 4
    assert device.is_proven()
    assert device.puller.resets == 0, "a first look is no reset"


async def test_later_looks_follow_the_journal_page_by_page(remote: JournalRemote, device: Watching) -> None:
    old = remote.put("old")
    await device.pull()
    remote.calls.clear()
    for number in range(7):
        remote.put(f"f{number}")
    remote.change(move(old, "new"))
    remote.change(delete(node_id_of(remote, "f3")))
    assert await device.pull()
    assert device.names() == {"new", "f0", "f1", "f2", "f4", "f5", "f6"}
    assert remote.calls == ["namespaces", "changes", "changes", "changes"]
    assert device.is_proven()
    assert not await device.pull()


async def test_every_page_is_durable_with_its_cursor(remote: JournalRemote, device: Watching) -> None:
    await device.pull()
    for number in range(7):
        remote.put(f"f{number}")
    served = 0

    def fault(call: str, is_after: bool) -> None:
        nonlocal served
        served += call == "changes" and is_after
        if served == 2:
            raise Unavailable(what="the server")

    remote.fault = fault
    with pytest.raises(Unavailable):
        await device.pull()
    device.store_is_the_tree()
    assert len(device.names()) == 3
    again = Watching(remote, restarted(device.store))
    again.trees.load(device.store.remote.values(), (), ())
    again.start_pulling()
    served = -10
    remote.calls.clear()
    await again.pull()
    assert "snapshot" not in remote.calls
    assert len(again.names()) == 7
    assert again.is_proven()


async def test_a_store_that_cannot_write_loses_nothing(remote: JournalRemote, device: Watching) -> None:
    await device.pull()
    remote.put("a")
    honest = device.store.write

    def full(_: object) -> None:
        raise OSError("no space left")

    device.store.write = full  # type: ignore[assignment]
    with pytest.raises(OSError, match="no space"):
        await device.pull()
    device.store.write = honest
    remote.put("b")
    await device.pull()
    assert device.names() == {"a", "b"}
    assert device.is_proven()


async def test_a_chain_that_does_not_fit_is_another_history_and_deletes_nothing(remote: JournalRemote, device: Watching) -> None:
    remote.put("a")
    await device.pull()
    device.agree()
    remote.put("b")
    remote.lies = {"chain": WRONG}
    with pytest.raises(Corrupt):
        await device.pull()
    assert device.names() == {"a"}, "nothing of a page is believed before it adds up"
    assert len(device.trees.synced) == 1
    remote.lies = {}
    assert await device.pull()
    assert device.names() == {"a", "b"}


async def test_a_history_that_diverged_clears_synced_and_deletes_nothing(remote: JournalRemote, device: Watching) -> None:
    """A server put back to an older copy that does not know it: here are three files, there is one, and another one since."""
    for name in ("a", "b", "c"):
        remote.put(name)
    await device.pull()
    device.agree()
    remote.truncate(1)
    for name in ("x", "y", "z"):
        remote.put(name, node=node_id(ord(name)))
    await device.pull()
    assert device.names() == {"a", "x", "y", "z"}
    assert len(device.trees.synced) == 0
    assert len(device.trees.local) == 3
    assert device.puller.resets == 1
    assert "nothing was deleted" in device.puller.last_reset
    assert device.is_proven()


async def test_a_shorter_history_is_a_lost_memory_too(remote: JournalRemote, device: Watching) -> None:
    for name in ("a", "b"):
        remote.put(name)
    await device.pull()
    device.agree()
    remote.truncate(0)
    await device.pull()
    assert device.names() == set()
    assert len(device.trees.synced) == 0


async def test_a_new_epoch_clears_synced_and_deletes_nothing(remote: JournalRemote, device: Watching) -> None:
    for name in ("a", "b"):
        remote.put(name)
    await device.pull()
    device.agree()
    remote.truncate(1)
    remote.new_epoch()
    await device.pull()
    assert device.names() == {"a"}
    assert len(device.trees.synced) == 0
    assert device.puller.cursors[HOME].epoch == remote.epoch
    assert device.is_proven()


async def test_after_pruned_history_absences_are_deletes(remote: JournalRemote, device: Watching) -> None:
    gone, kept = remote.put("gone"), remote.put("kept")
    await device.pull()
    device.agree()
    remote.change(delete(gone))
    remote.prune(3)
    await device.pull()
    assert device.names() == {"kept"}
    assert {node.id for node in device.trees.synced} == {gone, kept}, "what was agreed on stays: its absence is a delete"
    assert gone in device.trees.open
    assert kept not in {node.id for node in device.trees.synced if node.id not in device.trees.remote}
    assert device.is_proven()


async def test_a_cursor_the_server_does_not_know_is_replaced_by_a_snapshot(remote: JournalRemote, device: Watching) -> None:
    remote.put("a")
    await device.pull()
    device.agree()
    row = device.puller.cursors[HOME]
    device.puller.cursors[HOME] = type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | {"cursor": "odd"})
    remote.put("b")
    await device.pull()
    assert device.names() == {"a", "b"}
    assert len(device.trees.synced) == 1


async def test_a_wrong_root_is_healed_from_a_snapshot_even_when_nothing_is_new(remote: JournalRemote, device: Watching) -> None:
    """The device's own tree went wrong (a bug, a flipped bit): the next look notices and heals."""
    kept = remote.put("kept")
    remote.put("lost")
    await device.pull()
    device.agree()
    broken = node_id_of(remote, "lost")
    old = device.trees.remote[broken]
    device.trees.remove_remote(broken)
    device.puller.roots.replace(old, None)
    assert await device.pull()
    assert device.names() == {"kept", "lost"}
    assert len(device.trees.synced) == 2
    assert kept in device.trees.remote
    assert device.puller.resets == 1
    assert device.is_proven()


async def test_a_root_that_never_fits_changes_nothing(remote: JournalRemote, device: Watching) -> None:
    remote.put("a")
    await device.pull()
    device.agree()
    before = device.puller.cursors[HOME]
    remote.put("b")
    remote.lies = {"root": WRONG}
    for _ in range(3):
        with pytest.raises(Corrupt):
            await device.pull()
    assert device.names() == {"a"}
    assert len(device.trees.synced) == 1
    assert device.puller.cursors[HOME] == before
    device.store_is_the_tree()


async def test_a_doubted_tree_is_taken_anew_though_nothing_seems_wrong(remote: JournalRemote, device: Watching) -> None:
    kept = remote.put("kept")
    await device.pull()
    device.agree()
    device.trees.remote.put(replace(device.trees.remote[kept], size=99))  # Size is no part of the root.
    assert not await device.pull()
    device.puller.doubt([HOME])
    calm = remote.fault

    def fault(call: str, is_after: bool) -> None:
        if call == "snapshot":
            raise Unavailable(what="The server")

    remote.fault = fault
    with pytest.raises(Unavailable):
        await device.pull()
    remote.fault = calm
    assert await device.pull()
    assert device.trees.remote[kept].size == 0
    assert device.trees.synced.get(kept) is not None
    assert device.puller.resets == 1
    assert not await device.pull(), "once is enough"


async def test_a_doubted_tree_is_kept_when_the_server_does_not_add_up(remote: JournalRemote, device: Watching) -> None:
    remote.put("kept")
    await device.pull()
    device.agree()
    device.puller.doubt([HOME])
    chain, root = remote.heads[-1]
    remote.heads[-1] = (chain, "0" * 64)
    with pytest.raises(Corrupt):
        await device.pull()
    remote.heads[-1] = (chain, root)
    assert not await device.pull()
    assert device.puller.resets == 0
    assert device.is_proven()


async def test_a_tree_that_lost_a_node_while_nobody_ran_deletes_nothing(remote: JournalRemote, device: Watching) -> None:
    kept, lost = remote.put("kept"), remote.put("lost")
    await device.pull()
    device.agree()
    del device.store.remote[lost]
    again = Watching(remote, restarted(device.store))
    again.trees.load(again.store.remote.values(), again.store.local.values(), again.store.synced.values())
    again.start_pulling()
    assert [base.id for base in again.trees.synced] == [kept], "without a base it is new here, and not deleted there"
    assert lost in again.trees.local
    assert await again.pull()
    assert again.names() == {"kept", "lost"}
    assert again.puller.roots.text(HOME) == again.puller.cursors[HOME].root


async def test_what_changes_while_the_snapshot_is_read_is_part_of_it(remote: JournalRemote, device: Watching) -> None:
    first = remote.put("a0")
    for number in range(1, 6):
        remote.put(f"a{number}")

    def fault(call: str, is_after: bool) -> None:
        if call == "snapshot" and is_after and remote.calls.count("snapshot") == 1:
            remote.change(delete(first))
            remote.put("z")

    remote.fault = fault
    await device.pull()
    assert device.names() == {"a1", "a2", "a3", "a4", "a5", "z"}
    assert device.is_proven()


async def test_a_server_replaced_while_the_snapshot_is_read_is_noticed(remote: JournalRemote, device: Watching) -> None:
    remote.put("a")

    def fault(call: str, is_after: bool) -> None:
        if call == "snapshot" and is_after:
            remote.lies = {"epoch": "other"}

    remote.fault = fault
    with pytest.raises(Corrupt):
        await device.pull()
    assert device.names() == set()


async def test_namespaces_are_learnt_anew(remote: JournalRemote, device: Watching) -> None:
    await device.pull()
    remote.access = Access.READ
    await device.puller.refresh_namespaces()
    assert device.trees.access == {HOME: Access.READ}
    assert device.puller.cursors[HOME].access is Access.READ


async def test_a_list_of_namespaces_without_ones_own_is_not_believed(remote: JournalRemote, device: Watching) -> None:
    async def none() -> Namespaces:
        return Namespaces(namespaces=[], server_id="memory")

    remote.namespaces = none
    with pytest.raises(Corrupt):
        await device.puller.refresh_namespaces()
    assert HOME in device.trees.access


async def test_own_changesets_become_the_base_before_what_came_after_them(remote: JournalRemote, device: Watching) -> None:
    """Read in one breath: our create, then another device's edit. The base is ours, so theirs is an edit and no conflict."""
    await device.pull()
    node = node_id(77)
    device.trees.put_local(local_of(node, "a", content=ONE))
    made = push(Op.CREATE, 77, parent=NodeId(HOME), name="a", content=True)
    create = Change(op=Op.CREATE, node_id=node, parent_id=NodeId(HOME), name="a", kind=Kind.FILE, content_hash=ONE, size=1)
    answer = remote.change(create)
    device.puller.expect(Booking(HOME, answer.sequence, [(made, answer.results[0].revision, ONE)]))
    assert len(device.trees.synced) == 0, "not before the journal says so"
    remote.change(Change(op=Op.EDIT, node_id=node, base_revision=1, content_hash=TWO, size=1))
    await device.pull()
    base, theirs = device.trees.synced[node], device.trees.remote[node]
    assert (base.revision, base.content_hash) == (1, ONE)
    assert (theirs.revision, theirs.content_hash) == (2, TWO)
    assert device.is_proven()


async def test_a_booking_waits_for_a_journal_that_lags(remote: JournalRemote, device: Watching) -> None:
    await device.pull()
    made = push(Op.CREATE, 77, parent=NodeId(HOME), name="a", content=True)
    device.puller.expect(Booking(HOME, 1, [(made, 1, ONE)]))
    await device.pull()
    assert len(device.trees.synced) == 0
    remote.put("a", node=node_id(77), content=ONE)
    await device.pull()
    assert len(device.trees.synced) == 1
    assert device.is_proven()


async def test_a_booking_of_a_history_that_is_gone_is_dropped(remote: JournalRemote, device: Watching) -> None:
    remote.put("b")
    await device.pull()
    made = push(Op.CREATE, 77, parent=NodeId(HOME), name="a", content=True)
    device.puller.expect(Booking(HOME, 2, [(made, 1, ONE)]))
    remote.new_epoch()
    await device.pull()
    remote.put("c")
    remote.put("d")
    await device.pull()
    assert len(device.trees.synced) == 0


def node_id_of(remote: JournalRemote, name: str) -> NodeId:
    return next(row.node_id for row in remote.nodes.values() if row.name == name)


def restarted(store: MemoryTreeStore) -> MemoryTreeStore:
    """What another process finds."""
    found = MemoryTreeStore()
    found.remote, found.cursors = dict(store.remote), dict(store.cursors)
    found.local, found.synced = dict(store.local), dict(store.synced)
    return found
