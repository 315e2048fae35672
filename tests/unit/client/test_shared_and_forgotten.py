"""Folders that become shared ones while a server loses its memory, a line its end, or a device its power: nothing is deleted on
such an account, nothing set aside, and nothing that was deleted comes to be seen by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.client.devices import Device
from tests.unit.client.kit import Watching, local_of, node_id
from tests.unit.client.sharing_kit import ONE, Sharing, agreed_tree, looked, looked_in_vain

from syncline.client.plan.books import keep_books
from syncline.client.plan.steps import Adopt, Discard, Fetch, Hash, Push, Relocate
from syncline.model.entries import Access
from syncline.model.errors import NotFound
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.protocol.changes import SnapshotPage
from syncline.protocol.commits import Change, Op
from syncline.protocol.sessions import Namespaces
from syncline.testing.journal_remote import HOME, JournalRemote

TWO = Digest("2" * 64)


class Forgetful(Sharing):
    """It knows a shared folder no more once `shared` is None."""

    async def snapshot(self, namespace: NamespaceId, page: str | None = None) -> SnapshotPage:
        if namespace != HOME and self.shared is None:
            raise NotFound(what="The namespace")
        return await super().snapshot(namespace, page)


@pytest.fixture
def remote() -> Forgetful:
    return Forgetful()


@pytest.fixture
def device(remote: Sharing) -> Watching:
    return Watching(remote)


def named(device: Watching, name: str) -> Any:
    (found,) = [node for node in device.trees.local if node.name == name]
    return found


@pytest.mark.parametrize("asked_first", [False, True])
async def test_what_a_server_without_memory_lacks_in_a_folder_shared_since_is_told_again(
    asked_first: bool, remote: Forgetful, device: Watching
) -> None:
    folder, _, _ = await agreed_tree(remote, device)
    lacking = named(device, "a")
    remote.change(Change(op=Op.DELETE, node_id=lacking.id))
    del remote.nodes[lacking.id]
    remote.new_epoch()
    remote.share(folder)
    if asked_first:
        await device.puller.refresh_namespaces()
    await looked(device)
    (step,) = (step for step in device.planned() if step.node == lacking.id)
    assert isinstance(step, Push)
    assert step.op is Op.CREATE


async def test_a_snapshot_that_shows_a_folder_as_shared_takes_nothing_away(remote: Forgetful, device: Watching) -> None:
    folder, _, _ = await agreed_tree(remote, device)
    remote.share(folder)
    device.puller.doubt([HOME])
    await looked_in_vain(remote, device)
    edited = named(device, "a")
    device.trees.put_local(replace(edited, content_hash=TWO))
    (step,) = device.planned()
    assert isinstance(step, Push)
    assert (step.op, step.node, step.namespace) == (Op.EDIT, edited.id, NamespaceId(folder))


async def test_after_a_restart_too_it_is_known_whose_the_shared_folder_is(
    tmp_path: Path, remote: Forgetful, device: Watching
) -> None:
    folder, _, _ = await agreed_tree(remote, device)
    remote.share(folder)
    await looked_in_vain(remote, device)
    restarted = Device(tmp_path, "laptop", remote)
    restarted.store.remote = dict(device.store.remote)
    restarted.store.cursors = dict(device.store.cursors)
    trees = restarted.start().parts.trees
    assert trees.access == {HOME: Access.OWNER, NamespaceId(folder): Access.OWNER}


async def test_a_folder_that_the_server_forgot_was_shared_is_a_plain_one(remote: Forgetful, device: Watching) -> None:
    folder, _, _ = await agreed_tree(remote, device)
    before = dict(remote.nodes), list(remote.journal), list(remote.heads)
    remote.share(folder)
    await looked(device)
    device.agree()
    remote.nodes, remote.journal, remote.heads = before
    remote.shared, remote.is_listed = None, False
    remote.new_epoch()
    with pytest.raises(NotFound):
        await looked(device)
    device.clock.pass_s(100)
    await looked(device)
    device.trees.put_local(replace(local_of(node_id(700), "fresh", content=ONE), parent=folder))
    (step,) = (step for step in device.planned() if step.node == node_id(700))
    assert isinstance(step, Push)
    assert (step.namespace, step.parent) == (HOME, folder)


async def test_what_a_forgotten_mount_showed_gets_other_ids(remote: Forgetful, device: Watching) -> None:
    """Its members have it still, and it may come back."""
    folder, inside, beside = await agreed_tree(remote, device)
    remote.share(folder)
    await looked(device)
    device.agree()
    remote._record(replace(remote.nodes[folder], sequence=remote.head + 1, op="unmount", deleted=True))
    remote.is_mounted = False
    remote.new_epoch()
    await looked(device)
    assert {node.id for node in device.trees.local} & {folder, *inside, beside} == {beside}


async def test_what_was_in_a_folder_taken_out_and_then_shared_itself_is_gone_with_it(remote: Forgetful, device: Watching) -> None:
    folder, _, _ = await agreed_tree(remote, device)
    deep, gone = named(device, "deep"), named(device, "b")
    remote.change(Change(op=Op.MOVE, node_id=deep.id, parent_id=NodeId(HOME), name="deep"))
    remote.share(folder)
    first = remote.shared
    remote.change(Change(op=Op.DELETE, node_id=gone.id))
    remote.share(deep.id)
    spaces = {space.namespace: space for space in (first, remote.shared) if space is not None}
    server: Any = remote
    server._of = spaces.get

    async def namespaces() -> Namespaces:
        own = await JournalRemote.namespaces(remote)
        theirs = [(await space.namespaces()).namespaces[0] for space in spaces.values()]
        return replace(own, namespaces=[*own.namespaces, *(replace(one, access=Access.OWNER, is_root=False) for one in theirs)])

    server.namespaces = namespaces
    await looked(device)
    assert [type(step) for step in device.planned() if step.node == gone.id] == [Discard]


async def test_what_was_deleted_in_a_folder_before_it_left_is_gone_wherever_the_folder_is(
    remote: Forgetful, device: Watching
) -> None:
    """Here it has to be read first, and the folder has moved by then."""
    folder, _, _ = await agreed_tree(remote, device)
    deep, gone = named(device, "deep"), named(device, "b")
    device.trees.put_local(replace(gone, content_hash=None))
    remote.change(Change(op=Op.MOVE, node_id=deep.id, parent_id=NodeId(HOME), name="deep"))
    remote.change(Change(op=Op.DELETE, node_id=gone.id))
    remote.share(folder)
    await looked(device)
    assert {type(step) for step in device.planned()} >= {Relocate, Hash}
    device.trees.put_local(replace(deep, parent=NodeId(HOME)))
    keep_books(device.trees, Adopt(node=deep.id, why=""))
    device.trees.put_local(gone)
    assert [type(step) for step in device.planned() if not isinstance(step, Fetch)] == [Discard]
