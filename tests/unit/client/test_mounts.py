"""Namespaces that come and go: asked about as soon as the journal tells, forgotten when they are gone, and seen again when they
return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.client.devices import Device
from tests.unit.client.kit import ONE, HandClock, Steady, Watching, node_id, push

from syncline.client.intents import Intents
from syncline.client.observe.pull import Puller
from syncline.model.entries import Access, Kind, SyncedNode
from syncline.model.errors import Unavailable
from syncline.model.ids import ChangesetId, NamespaceId, NodeId, ulid
from syncline.model.journal import JournalEntry
from syncline.ports.clock import Ids
from syncline.protocol.changes import ChangesPage, SnapshotPage
from syncline.protocol.commits import Change, Op
from syncline.protocol.sessions import Namespaces
from syncline.testing.journal_remote import HOME, JournalRemote

TEAM = NamespaceId(ulid(5, bytes(10)))


class Shared(JournalRemote):
    """A user's own namespace, and one of a team that is mounted in it or not."""

    def __init__(self) -> None:
        super().__init__()
        self.team = JournalRemote(TEAM)
        self.is_member = False

    def mount(self, *, parent: str = HOME) -> None:
        self.is_member = True
        self._mount(parent, deleted=False)

    def unmount(self, *, parent: str = HOME) -> None:
        self.is_member = False
        self._mount(parent, deleted=True)

    def _mount(self, parent: str, *, deleted: bool) -> None:
        self._record(
            JournalEntry(
                sequence=self.head + 1,
                changeset=ChangesetId(ulid(4, self.head.to_bytes(10, "big"))),
                op="delete" if deleted else "create",
                node_id=NodeId(TEAM),
                parent_id=NodeId(parent),
                name="team",
                kind=Kind.DIR,
                mount=True,
                deleted=deleted,
            )
        )

    async def namespaces(self) -> Namespaces:
        own = await super().namespaces()
        if not self.is_member:
            return own
        (theirs,) = (await self.team.namespaces()).namespaces
        theirs = replace(theirs, name="team", access=Access.WRITE, is_root=False)
        return replace(own, namespaces=[*own.namespaces, theirs])

    async def changes(self, namespace: NamespaceId, cursor: str) -> ChangesPage:
        return await (self.team.changes(namespace, cursor) if namespace == TEAM else super().changes(namespace, cursor))

    async def snapshot(self, namespace: NamespaceId, page: str | None = None) -> SnapshotPage:
        return await (self.team.snapshot(namespace, page) if namespace == TEAM else super().snapshot(namespace, page))


@pytest.fixture
def remote() -> Shared:
    return Shared()


@pytest.fixture
def device(remote: Shared) -> Watching:
    return Watching(remote)


async def looked(device: Watching) -> None:
    device.contact.want()
    assert await device.contact.look()


async def test_a_mount_that_comes_is_read_in_the_look_that_saw_it(remote: Shared, device: Watching) -> None:
    await looked(device)
    remote.team.put("theirs")
    remote.mount()
    await looked(device)
    assert device.names() == {"team", "theirs"}
    assert device.trees.access == {HOME: Access.OWNER, TEAM: Access.WRITE}
    assert not device.puller.wants_namespaces
    assert remote.calls.count("namespaces") == 2
    await looked(device)
    assert remote.calls.count("namespaces") == 2, "asked once"
    device.store_is_the_tree()


async def test_a_mount_that_only_a_snapshot_shows_is_asked_about_too(remote: Shared, device: Watching) -> None:
    await looked(device)
    remote.mount()
    remote.prune(1)
    await device.puller.pull(HOME)
    assert device.puller.wants_namespaces
    await looked(device)
    assert device.puller.follows(TEAM)
    remote.unmount()
    remote.prune(2)
    await device.puller.pull(HOME)
    assert device.puller.wants_namespaces, "one that a snapshot lacks has gone"


async def test_an_ordinary_change_asks_nothing(remote: Shared, device: Watching) -> None:
    await looked(device)
    remote.put("a")
    await looked(device)
    assert remote.calls.count("namespaces") == 1


async def test_a_look_that_fails_before_it_could_ask_asks_at_the_next(remote: Shared, device: Watching) -> None:
    await looked(device)
    remote.mount()
    calm = remote.fault

    def fault(call: str, is_after: bool) -> None:
        if call == "namespaces":
            raise Unavailable(what="The server")

    remote.fault = fault
    device.contact.want()
    assert not await device.contact.look()
    remote.fault = calm
    device.contact.try_now()
    await looked(device)
    assert device.puller.follows(TEAM)


async def left(remote: Shared, device: Watching) -> NodeId:
    """A namespace that was here and may not be seen any more; a file that was in it."""
    theirs = remote.team.put("theirs")
    remote.mount()
    await looked(device)
    device.agree()
    remote.unmount()
    await looked(device)
    return theirs


async def test_what_lay_in_a_lost_namespace_is_forgotten_and_not_deleted(remote: Shared, device: Watching) -> None:
    theirs = await left(remote, device)
    assert device.names() == set()
    assert TEAM not in device.trees.access
    assert theirs in device.trees.local
    assert theirs in device.trees.synced, "what was agreed on tells an edit from what is as it was"
    assert theirs in device.trees.open, "and it is looked at"
    device.store_is_the_tree()


async def test_what_was_deleted_in_a_namespace_before_it_was_lost_is_looked_at_as_lost(remote: Shared, device: Watching) -> None:
    theirs = remote.team.put("theirs")
    remote.mount()
    await looked(device)
    device.agree()
    device.trees.remove_remote(theirs)
    device.trees.open.clear()
    remote.unmount()
    await device.puller.refresh_namespaces()
    assert theirs in device.trees.open


async def test_a_lost_namespace_is_neither_read_nor_polled(remote: Shared, device: Watching) -> None:
    await left(remote, device)
    assert not device.puller.follows(TEAM)
    assert device.puller.cursors[TEAM].name == "team", "its name is still needed, for what is kept from it"
    assert device.contact._cursors() == [device.puller.cursors[HOME].cursor]
    remote.team.calls.clear()
    await looked(device)
    assert remote.team.calls == []


async def test_a_namespace_that_returns_is_seen_though_nothing_in_it_changed(remote: Shared, device: Watching) -> None:
    theirs = await left(remote, device)
    remote.mount()
    await looked(device)
    assert device.names() == {"team", "theirs"}
    assert device.trees.remote[theirs].namespace == TEAM
    assert device.puller.roots.text(TEAM) == device.puller.cursors[TEAM].root
    assert device.puller.resets == 0, "that is no reset"
    device.store_is_the_tree()


async def test_what_was_told_to_a_lost_namespace_is_not_waited_for(remote: Shared, device: Watching) -> None:
    clock = HandClock()
    intents = Intents(device.store, Ids(clock, Steady()), clock)
    server: Any = remote
    device.puller = Puller(server, device.trees, device.store, (), fresh_id=lambda: node_id(99), intents=intents)
    remote.mount()
    await device.pull()
    await device.puller.pull(TEAM)
    intents.begin(TEAM, [push(Op.CREATE, 1, namespace=TEAM, content=True)], {node_id(1): ONE})
    remote.unmount()
    await device.puller.refresh_namespaces()
    assert device.store.inflight == {}


async def test_after_a_restart_a_lost_namespace_is_still_lost(tmp_path: Path, remote: Shared) -> None:
    """Else the folder it was in would be taken for one that may be written to."""
    watching = Watching(remote)
    await left(remote, watching)
    device = Device(tmp_path, "laptop", remote)
    device.store.cursors = dict(watching.store.cursors)
    trees = device.start().parts.trees
    assert list(trees.access) == [HOME]


async def test_a_mount_that_went_and_came_back_within_a_reset_is_asked_about(remote: Shared, device: Watching) -> None:
    """It looks as it did, and what may be seen was asked for before it came back."""
    remote.mount()
    theirs = remote.team.put("theirs")
    await looked(device)
    device.agree()
    remote.unmount()
    remote.new_epoch()

    def give_back(call: str, is_after: bool) -> None:
        if call == "snapshot" and not remote.is_member:
            remote.mount()

    remote.fault = give_back
    device.contact.lose(Unavailable(what="The server"))
    device.contact.try_now()
    await looked(device)
    assert TEAM in device.trees.access
    assert theirs in device.trees.remote


async def test_what_a_server_without_memory_does_not_show_gets_other_ids(remote: Shared, device: Watching) -> None:
    """The shared folder may be there still, and come back one day, with all that is in it under the ids it had."""
    remote.mount()
    theirs, mine = remote.team.put("theirs"), remote.put("mine")
    await looked(device)
    device.agree()
    remote.unmount()
    remote.truncate(0)
    remote.new_epoch()
    device.contact.lose(Unavailable(what="The server"))
    device.contact.try_now()
    await looked(device)
    assert not len(device.trees.synced)
    assert {node.id == {"mine": mine, "theirs": theirs, "team": TEAM}[node.name] for node in device.trees.local} == {True, False}
    assert mine in device.trees.local, "a thing of its own keeps its id, which other devices know it by"
    assert {theirs, NodeId(TEAM)}.isdisjoint(device.trees.local.ids())
    device.store_is_the_tree()


# -- a tree and its cursor ---------------------------------------------------------------------------------------------------------


async def test_a_cursor_that_was_refused_is_written_with_its_rows_by_whoever_writes_next(tmp_path: Path, remote: Shared) -> None:
    device = Device(tmp_path, "laptop", remote)
    await device.sync()
    parts = device.start().parts
    remote.put("a")
    honest, before = device.store.write, device.store.cursors[HOME]

    def full(_: object) -> None:
        raise OSError("no space left")

    device.store.write = full  # type: ignore[assignment]
    with pytest.raises(OSError, match="no space"):
        await parts.puller.pull(HOME)
    device.store.write = honest  # type: ignore[method-assign]
    assert device.store.cursors[HOME] == before
    await parts.executor.save()
    assert device.store.remote == {node.id: node for node in parts.trees.remote} != {}
    assert device.store.cursors[HOME] == parts.puller.cursors[HOME] != before
    remote.calls.clear()
    await device.start().parts.puller.pull(HOME)
    assert "snapshot" not in remote.calls, "nothing looks damaged"


async def test_a_later_cursor_is_not_overwritten_by_one_that_was_refused(remote: Shared, device: Watching) -> None:
    await device.pull()
    remote.put("a")
    await device.pull()
    old = device.puller.cursors[HOME]
    device.trees.put_cursor(old)
    refused = device.trees.drain()
    newer = replace(old, sequence=old.sequence + 1)
    device.trees.put_cursor(newer)
    device.trees.undrain(refused)
    assert device.trees.drain().cursor_put == [newer]


async def test_a_cursor_alone_is_written_by_whoever_writes(remote: Shared, device: Watching) -> None:
    await device.pull()
    remote.change(Change(op=Op.CREATE, node_id=node_id(3), parent_id=NodeId(HOME), name="d", kind=Kind.DIR))
    await device.pull()
    row = device.puller.cursors[HOME]
    device.trees.put_cursor(replace(row, name="mine"))
    assert device.trees.drain().cursor_put == [replace(row, name="mine")]
    assert device.trees.drain().cursor_put == [], "once"


async def test_a_mount_that_a_server_forgot_was_taken_from_nobody(remote: Shared, device: Watching) -> None:
    remote.put("mine")
    before = remote.head
    theirs = remote.team.put("theirs", node=node_id(9))
    remote.mount()
    await looked(device)
    device.trees.put_synced(SyncedNode(id=theirs, namespace=TEAM, parent=NodeId(TEAM), name="theirs", kind=Kind.FILE, revision=1))
    remote.is_member = False
    remote.truncate(before)
    await looked(device)
    assert theirs not in device.trees.synced, "what is on the disk is new again, and goes up"


async def test_a_mount_that_was_taken_away_keeps_its_base(remote: Shared, device: Watching) -> None:
    theirs = remote.team.put("theirs", node=node_id(9))
    remote.mount()
    await looked(device)
    device.trees.put_synced(SyncedNode(id=theirs, namespace=TEAM, parent=NodeId(TEAM), name="theirs", kind=Kind.FILE, revision=1))
    remote.unmount()
    await looked(device)
    assert theirs in device.trees.synced
