"""A folder becomes a shared one: everything in it keeps its id and place, and no device takes that for a deletion or a new file,
whichever journal it hears of it from first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.client.kit import Watching
from tests.unit.client.sharing_kit import Sharing, agreed_tree, looked, looked_in_vain, put

from syncline.client.plan.steps import Discard, Push, Relocate
from syncline.model.entries import Kind
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.protocol.commits import Change, Op
from syncline.testing.journal_remote import HOME


@pytest.fixture
def remote() -> Sharing:
    return Sharing()


@pytest.fixture
def device(remote: Sharing) -> Watching:
    return Watching(remote)


def is_as_it_was(device: Watching, folder: NodeId, inside: set[NodeId]) -> None:
    """Same ids, places and bytes; only the namespace is another, in what the server has and in what was agreed on alike."""
    shared = NamespaceId(folder)
    for node in inside:
        there, base, here = device.trees.remote[node], device.trees.synced[node], device.trees.local[node]
        assert there.namespace == base.namespace == shared
        assert (there.parent, there.name, there.content_hash) == (base.parent, base.name, base.content_hash)
        assert (here.parent, here.name, here.content_hash) == (base.parent, base.name, base.content_hash)
    assert device.trees.remote[folder].mount
    assert device.trees.synced[folder].namespace == HOME
    assert device.puller.resets == 0
    assert device.is_proven()
    device.store_is_the_tree()


async def test_the_row_of_the_root_carries_everything_below_over(remote: Sharing, device: Watching) -> None:
    folder, inside, beside = await agreed_tree(remote, device)
    remote.share(folder)
    await looked(device)
    is_as_it_was(device, folder, inside)
    assert device.trees.synced[beside].namespace == HOME


async def test_the_shared_journal_may_be_heard_of_first(remote: Sharing, device: Watching) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    remote.share(folder)
    await device.puller.refresh_namespaces()
    await device.puller.pull(NamespaceId(folder))
    await looked(device)
    is_as_it_was(device, folder, inside)


async def test_what_was_done_just_before_goes_along_in_the_same_page(remote: Sharing, device: Watching) -> None:
    folder, inside, beside = await agreed_tree(remote, device)
    out = sorted(inside)[0]
    remote.change(Change(op=Op.MOVE, node_id=out, parent_id=NodeId(HOME), name="out"))
    remote.change(Change(op=Op.MOVE, node_id=beside, parent_id=folder, name="in"))
    new = put(remote, "new", folder)
    remote.share(folder)
    assert remote.shared is not None
    put(remote.shared, "later", folder)
    await looked(device)
    shared = NamespaceId(folder)
    assert (device.trees.remote[out].namespace, device.trees.synced[out].namespace) == (HOME, shared)
    assert (device.trees.remote[beside].namespace, device.trees.synced[beside].namespace) == (shared, HOME)
    moves = [(step.node, step.parent, step.new_id) for step in device.planned() if isinstance(step, Relocate)]
    assert sorted(moves) == sorted([(out, NodeId(HOME), None), (beside, folder, None)]), "each stays what it is"
    assert device.trees.remote[new].namespace == shared
    assert "later" in device.names()
    assert device.puller.resets == 0
    assert device.is_proven()
    device.store_is_the_tree()


async def test_a_snapshot_taken_while_it_was_shared_adds_up(remote: Sharing, device: Watching) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    remote.page_entries = 2
    fresh = Watching(remote)

    def share_meanwhile(call: str, is_after: bool) -> None:
        if call == "snapshot" and is_after:
            remote.fault = lambda *_: None
            remote.share(folder)

    remote.fault = share_meanwhile
    await looked(fresh)
    assert {node for node in inside if fresh.trees.remote[node].namespace == NamespaceId(folder)} == inside
    assert fresh.is_proven()


async def test_something_deleted_there_and_not_yet_here_is_still_a_deletion(remote: Sharing, device: Watching) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    gone = next(node for node in inside if device.trees.remote[node].kind is Kind.FILE)
    remote.change(Change(op=Op.DELETE, node_id=gone))
    remote.share(folder)
    await looked(device)
    assert gone not in device.trees.remote
    assert device.trees.synced[gone].namespace == NamespaceId(folder), "in whose trash it is now"
    assert [type(step) for step in device.planned() if step.node == gone] == [Discard], "and nothing new in what others see"
    device.store_is_the_tree()


async def test_what_was_moved_out_is_something_new_also_for_a_server_that_lost_its_memory(
    remote: Sharing, device: Watching
) -> None:
    """Under the id it has, it would come to be in two namespaces."""
    folder, inside, _ = await agreed_tree(remote, device)
    remote.share(folder)
    await looked(device)
    assert remote.shared is not None
    moved = next(device.trees.local[node] for node in inside if device.trees.local[node].kind is Kind.FILE)
    device.trees.put_local(replace(moved, parent=NodeId(HOME)))
    remote.shared.new_epoch()
    await looked(device)
    assert {base.id for base in device.trees.synced if base.namespace == NamespaceId(folder)} == {moved.id}
    (step,) = (step for step in device.planned() if isinstance(step, Relocate))
    assert step.node == moved.id
    assert step.new_id is not None


async def test_nothing_is_taken_for_lost_before_the_server_could_be_asked_about_the_new_mount(
    remote: Sharing, device: Watching
) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    remote.share(folder)
    await looked_in_vain(remote, device)
    assert device.trees.remote[folder].mount, "its row was read"
    (edited,) = [node for node in device.trees.local if node.name == "a"]
    device.trees.put_local(replace(edited, content_hash=Digest("2" * 64)))
    (step,) = device.planned()
    assert isinstance(step, Push)
    assert (step.op, step.node, step.namespace) == (Op.EDIT, edited.id, NamespaceId(folder))
    device.trees.put_local(edited)
    remote.fault = lambda *_: None
    device.clock.pass_s(100)
    await looked(device)
    is_as_it_was(device, folder, inside)


async def test_a_snapshot_of_a_root_that_shared_a_folder_meanwhile_tells_deletions_all_the_same(
    remote: Sharing, device: Watching
) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    gone = next(node for node in inside if device.trees.remote[node].kind is Kind.FILE)
    remote.change(Change(op=Op.DELETE, node_id=gone))
    remote.share(folder)
    device.puller.doubt([HOME])
    await looked(device)
    assert device.trees.synced[gone].namespace == NamespaceId(folder)
    assert [type(step) for step in device.planned() if step.node == gone] == [Discard]
    assert {node for node in inside if device.trees.remote.get(node)} == inside - {gone}


async def test_what_was_taken_out_before_it_was_shared_is_moved_out_here_too(remote: Sharing, device: Watching) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    out = next(node for node in inside if device.trees.remote[node].kind is Kind.DIR)
    remote.change(Change(op=Op.MOVE, node_id=out, parent_id=NodeId(HOME), name="out"))
    remote.share(folder)
    await looked(device)
    (step,) = (step for step in device.planned() if isinstance(step, Relocate))
    assert (step.node, step.parent, step.name, step.new_id) == (out, NodeId(HOME), "out", None)


async def test_what_was_taken_out_of_the_tree_is_as_good_as_lost_until_it_comes_back(remote: Sharing, device: Watching) -> None:
    """Its members stay members: the server lists it still, and says that it is not in the tree."""
    folder, inside, _ = await agreed_tree(remote, device)
    remote.share(folder)
    await looked(device)
    remote.is_mounted = False
    remote.change(Change(op=Op.DELETE, node_id=folder))
    await looked(device)
    assert NamespaceId(folder) not in device.trees.access
    assert not inside & set(device.trees.remote.ids())
    assert inside <= set(device.trees.synced.ids()), "so that nothing of it is taken for a deletion"
    remote.is_mounted = True
    remote.change(Change(op=Op.UNDELETE, node_id=folder))
    remote.nodes[folder] = replace(remote.nodes[folder], mount=True)
    await device.puller.refresh_namespaces()
    await looked(device)
    assert NamespaceId(folder) in device.trees.access
    assert inside <= set(device.trees.remote.ids())


async def test_one_that_was_taken_away_before_it_was_ever_read_is_lost_and_not_forgotten(remote: Sharing, device: Watching) -> None:
    folder, inside, _ = await agreed_tree(remote, device)
    remote.share(folder)
    gone = remote.nodes[folder]
    remote._record(replace(gone, sequence=remote.head + 1, op="unmount", deleted=True))
    remote.is_listed = False
    await looked(device)
    assert not inside & set(device.trees.remote.ids())
    assert NamespaceId(folder) not in device.trees.access
    assert inside <= device.trees.open
    assert device.puller.cursors[NamespaceId(folder)].name == "d", "for what is kept from it"
    device.store_is_the_tree()
