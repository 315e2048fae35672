"""One interface, whoever carries the question: the same answers, and the same errors with the same fields."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

import pytest
from tests.contract.rooms.conftest import Asked

from syncline.model.blocks import Codec, PackEntry, PackOffer
from syncline.model.entries import Access, Kind
from syncline.model.errors import (
    BlocksMissing,
    CommitRefused,
    CorruptCursor,
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    TooBusy,
    Unauthenticated,
    WrongPassword,
)
from syncline.model.ids import Digest, NamespaceId, NodeId
from syncline.ports.content_store import ContentRef
from syncline.protocol import doors
from syncline.protocol.blocks import DoneRequest, GrantRequest, ManifestsRequest, MissingRequest, RevisionRef
from syncline.protocol.changes import PollRequest
from syncline.protocol.commits import Change, CommitRequest, Op
from syncline.protocol.copies import Copy, CopyRequest
from syncline.protocol.links import ChangeLink, NewLink
from syncline.protocol.past import PurgeRequest, RestoreRequest, RewindRequest, Undelete, UndeleteRequest, UndoRequest
from syncline.protocol.sessions import TokenRequest
from syncline.protocol.sharing import MountRequest, ShareRequest, ShareUser
from syncline.protocol.uploads import CompleteRequest, UploadFile, UploadRequest, UploadSessionRequest
from syncline.server.caller import Caller

CONTENT = b"what is in it"
HASH = Digest(hashlib.sha256(CONTENT).hexdigest())
LONG_AGO = datetime(1601, 1, 1, tzinfo=UTC)


async def test_people_sign_in_and_are_known(asked: Asked) -> None:
    accounts, ada = asked.metadata.accounts, await asked.person("ada@example.org")
    session = await accounts.authenticate(asked.token)
    assert (session.caller, session.email, session.device_name) == (ada, "ada@example.org", "test")
    assert session == await accounts.live(ada.device_id)
    assert session.root_namespace == await asked.root(ada)
    assert [one.id for one in (await accounts.devices(ada)).devices] == [ada.device_id]
    assert (await accounts.jwks())["keys"][0]["kid"]
    assert await accounts.server_id() == asked.rooms.ground.server_id
    with pytest.raises(Unauthenticated, match="access token"):
        await accounts.authenticate("no.such.token")
    await accounts.unlink(ada, ada.device_id)
    with pytest.raises(Unauthenticated, match="linked"):
        await accounts.live(ada.device_id)


async def test_a_wrong_password_is_told_so_and_then_to_wait(asked: Asked) -> None:
    await asked.person("ada@example.org")
    wrong = TokenRequest(email="ada@example.org", password="guess", device_name="test")
    for _ in range(10):
        with pytest.raises(WrongPassword):
            await asked.metadata.accounts.sign_in(wrong, "192.0.2.2")
    with pytest.raises(TooBusy) as busy:
        await asked.metadata.accounts.sign_in(wrong, "192.0.2.2")
    assert 1 <= busy.value.fields["retry_after"] <= 6


async def test_a_commit_is_made_once_for_its_key(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    metadata, here = asked.metadata.metadata, NamespaceId(await asked.root(ada))
    folder = Change(op=Op.CREATE, node_id=_node(asked), parent_id=NodeId(here), name="Füße 🐾", kind=Kind.DIR)
    first = await metadata.commit(ada, CommitRequest(namespace=here, changes=[folder]), "one")
    assert await metadata.commit(ada, CommitRequest(namespace=here, changes=[folder]), "one") == first
    with pytest.raises(IdempotencyMismatch):
        await metadata.commit(ada, CommitRequest(namespace=here, changes=[_file(asked, here, "other")]), "one")
    page = await metadata.changes(ada, here, None)
    assert [(entry.name, entry.kind) for entry in page.entries] == [("Füße 🐾", Kind.DIR)]
    assert page.entries[0].time.tzinfo is not None
    assert (await metadata.latest(ada)).sequence == first.sequence == (await metadata.snapshot(ada, here, None)).sequence
    found = await metadata.metadata_by_path(ada, "/Füße 🐾")
    assert found == await metadata.metadata_by_id(ada, folder.node_id)
    assert (await metadata.children(ada, here, NodeId(here))).entries == page.entries
    assert (await metadata.usage(ada)).used_bytes == 0


async def test_what_is_refused_is_refused_for_the_same_reasons(asked: Asked) -> None:
    ada, bob = await asked.person("ada@example.org"), await asked.person("bob@example.org")
    metadata, here = asked.metadata.metadata, NamespaceId(await asked.root(ada))
    astray = Change(op=Op.CREATE, node_id=_node(asked), parent_id=_node(asked), name="a", kind=Kind.DIR)
    unsent = _file(asked, here, "b")
    with pytest.raises(CommitRefused) as refused:
        await metadata.commit(ada, CommitRequest(namespace=here, changes=[astray, unsent]), "one")
    assert next((one["index"], one["code"]) for one in refused.value.fields["failures"]) == (0, "parent.gone")
    with pytest.raises((BlocksMissing, CommitRefused)) as absent:
        await metadata.commit(ada, CommitRequest(namespace=here, changes=[unsent]), "two")
    assert HASH in str(absent.value.fields)
    for work in (metadata.changes(bob, here, None), metadata.latest(bob, here), metadata.children(bob, here, NodeId(here))):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(CorruptCursor):
        await metadata.changes(ada, here, "no cursor")
    with pytest.raises(NotFound) as missing:
        await metadata.metadata_by_path(ada, "/nothing")
    assert missing.value.fields.keys() == {"what"}


async def test_a_commit_goes_on_when_who_asked_goes_away(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    metadata, here = asked.metadata.metadata, NamespaceId(await asked.root(ada))
    changes = [
        Change(op=Op.CREATE, node_id=_node(asked), parent_id=NodeId(here), name=f"{number}", kind=Kind.DIR) for number in range(300)
    ]
    request = CommitRequest(namespace=here, changes=changes)
    asking = asyncio.ensure_future(metadata.commit(ada, request, "one"))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    # Whether the question had left or not: under its key it is made once, and all of it.
    assert (await metadata.commit(ada, request, "one")).sequence == 300
    assert len((await metadata.children(ada, here, NodeId(here))).entries) == 300


async def test_folders_are_made_moved_copied_and_deleted_by_path(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    tree, key = asked.metadata.doors, "key"
    made = await tree.make_folder(ada, doors.NewFolder(path="/a/b", parents=True), key)
    assert await tree.make_folder(ada, doors.NewFolder(path="/a/b", parents=True), key) == made
    (moved,) = (await tree.move(ada, doors.MoveRequest(files=[doors.Move(path="/a/b", to_path="/c")]), None)).files
    assert moved.entry is not None
    assert (moved.entry.name, moved.error) == ("c", None)
    (copied,) = (await asked.metadata.copies.copy(ada, CopyRequest(files=[Copy(path="/a", to_path="/d")]), None)).files
    assert copied.nodes == 1
    (gone, absent) = (
        await tree.delete(ada, doors.DeleteRequest(files=[doors.Delete(path="/c"), doors.Delete(path="/nowhere")]), None)
    ).files
    assert (gone.error, absent.error) == (None, "not_found")


async def test_the_same_request_many_times_at_once_is_done_once(asked: Asked) -> None:
    """As when an answer was lost and the question went to another process while the first was still at it."""
    ada = await asked.person("ada@example.org")
    tree, copies = asked.metadata.doors, asked.metadata.copies
    folder = doors.NewFolder(path="/a")
    made = await asyncio.gather(*(tree.make_folder(ada, folder, "make") for _ in range(4)))
    move = doors.MoveRequest(files=[doors.Move(path="/a", to_path="/b")])
    moved = await asyncio.gather(*(tree.move(ada, move, "move") for _ in range(4)))
    copy = CopyRequest(files=[Copy(path="/b", to_path="/b", autorename=True)])
    copied = await asyncio.gather(*(copies.copy(ada, copy, "copy") for _ in range(4)))
    delete = doors.DeleteRequest(files=[doors.Delete(path="/b")])
    deleted = await asyncio.gather(*(tree.delete(ada, delete, "delete") for _ in range(4)))
    for answers in (made, moved, copied, deleted):
        assert all(answer == answers[0] for answer in answers)
    assert not [one.error for answer in (*moved, *copied, *deleted) for one in answer.files if one.error is not None]
    left = await asked.metadata.metadata.children(ada, None, NodeId(await asked.root(ada)))
    assert [entry.name for entry in left.entries] == ["b (1)"]


async def test_the_past_can_be_seen_and_gone_back_to(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    file = await _kept(asked, ada, "a.txt")
    side, here = asked.metadata, await asked.root(ada)
    assert [one.revision for one in (await side.versions.page(ada, None, file, None)).entries] == [1]
    await side.doors.delete(ada, doors.DeleteRequest(files=[doors.Delete(node_id=file)]), None)
    (deleted,) = (await side.trash.page(ada, None, None)).entries
    assert (deleted.node_id, deleted.path) == (file, "/a.txt")
    back = await side.trash.undelete(ada, UndeleteRequest(files=[Undelete(node_id=file)]), "again")
    assert await side.trash.undelete(ada, UndeleteRequest(files=[Undelete(node_id=file)]), "again") == back
    restored = await side.versions.restore(ada, file, RestoreRequest(revision=1), "restore")
    assert restored.path == "/a.txt"
    await side.doors.delete(ada, doors.DeleteRequest(files=[doors.Delete(node_id=file)]), None)
    undone = await side.travel.undo(ada, UndoRequest(changeset=(await _last(asked, ada))), "undo")
    assert undone.namespace == here
    with pytest.raises(InvalidRequest):
        await side.travel.rewind(ada, RewindRequest(to=datetime.fromisoformat("2026-01-01T00:00:00")), "rewind")
    assert (await side.trash.purge(ada, PurgeRequest(all=True))).purged == 0
    assert (await side.retention.explain(ada, "/a.txt", None, None)).policy.trash_days == 30


async def test_looking_about(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    file = await _kept(asked, ada, "a letter.txt")
    side = asked.metadata
    updates = await side.updates.updates(ada, "/", since=None, until=None, statuses=["created"], page=None, page_size=10)
    assert [(one.status, one.filepath) for one in updates.entries] == [("created", "/a letter.txt")]
    assert updates.entries[0].presignedUrl
    found = await side.search.search(ada, "letter", path="/", kind=Kind.FILE, page=None, limit=10)
    assert [one.path for one in found.entries] == ["/a letter.txt"]
    assert (await side.usage.usage(ada, "/", depth=1, held=True)).bytes == len(CONTENT)
    told = await side.activity.activity(ada, path="/", actor=None, device=None, before=None, limit=10)
    assert len(told.entries) == 1
    rows = await side.views.file_changes(ada, file, None, since=None, after=0, limit=10)
    assert [row.node_id for row in rows.entries] == [file]
    now = datetime.now(UTC).isoformat()
    assert (await side.views.changes_since(ada, None, now)).entries == []
    assert await side.views.cursor_at(ada, None, now)


async def test_folders_are_shared_and_links_are_made(asked: Asked) -> None:
    ada, bob = await asked.person("ada@example.org"), await asked.person("bob@example.org")
    made = await asked.metadata.doors.make_folder(ada, doors.NewFolder(path="/ours"), None)
    assert made.entry is not None
    folder, sharing = made.entry.node_id, asked.metadata.sharing
    shared = await sharing.share(ada, folder, ShareRequest(users=[ShareUser(email="bob@example.org", access=Access.WRITE)]))
    assert [(one.status, one.access) for one in shared.users] == [("invited", Access.WRITE)]
    mounted = await sharing.accept(bob, shared.namespace, MountRequest())
    assert [one.id for one in (await sharing.namespaces(bob)).namespaces][1:] == [shared.namespace]
    assert (await sharing.unmount(bob, shared.namespace)).namespace == mounted.namespace
    assert (await sharing.mount(bob, shared.namespace, MountRequest())).namespace == mounted.namespace
    assert (await sharing.shared_with(ada, folder, None)).owner
    assert (await sharing.shared(bob)) != (await sharing.shared(ada))
    await sharing.leave(bob, shared.namespace)
    await sharing.share(ada, folder, ShareRequest(users=[ShareUser(email="bob@example.org", access=Access.READ)]))
    await sharing.decline(bob, shared.namespace)
    await sharing.unshare(ada, folder, None, None)
    links = asked.metadata.links
    link = await links.make(ada, NewLink(node_id=folder, password="secret", downloads_max=3))
    assert [one.link_id for one in (await links.list(ada, None, None, 10)).links] == [link.link_id]
    changed = await links.change(ada, link.link_id, ChangeLink(password=None))
    assert changed.downloads_max == 3
    await links.revoke(ada, link.link_id)
    with pytest.raises(NotFound):
        await links.revoke(ada, link.link_id)


async def test_bytes_are_granted_taken_in_and_offered(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    file = await _kept(asked, ada, "a.txt")
    here, blocks = NamespaceId(await asked.root(ada)), asked.blocks
    manifests = await blocks.fetching.manifests(
        ada, ManifestsRequest(namespace=here, revisions=[RevisionRef(node_id=file, revision=1)])
    )
    (stored,) = manifests.manifests[0].blocks
    assert (stored.hash, stored.size, len(stored.key)) == (HASH, len(CONTENT), 32)
    offered, absent = await blocks.offers.offers(ada, [ContentRef(node_id=file), ContentRef(node_id=_node(asked))], inline=True)
    assert absent is None
    assert offered is not None
    assert offered.content.size == len(CONTENT)
    session = await blocks.shorthand.session(ada, UploadSessionRequest(block_list=[HASH]))
    assert session.missing == []
    assert (await blocks.shorthand.metadata(ada, file, None)).block_list == [HASH]
    begun = (await blocks.uploads.begin(ada, UploadRequest(files=[UploadFile(filepath="/b", size=10)]), "key")).files[0]
    assert begun.upload_id is not None
    assert (await blocks.uploads.status(ada, begun.upload_id)).missing
    assert len((await blocks.uploads.part_urls(ada, begun.upload_id, 1, only_missing=True)).part_urls) == 1
    with pytest.raises(Exception, match="1 parts have not arrived") as incomplete:
        await blocks.uploads.complete(ada, begun.upload_id, CompleteRequest())
    assert getattr(incomplete.value, "code", "") == "upload.incomplete"
    await blocks.uploads.abort(ada, begun.upload_id)
    assert (await blocks.uploads.find(ada, HASH)).uploads == []


async def test_who_waits_hears_of_a_commit(asked: Asked) -> None:
    ada = await asked.person("ada@example.org")
    latest = await asked.metadata.metadata.latest(ada)
    waiting = asyncio.ensure_future(asked.notify.polling.poll(ada, PollRequest(cursors=[latest.cursor], timeout=60)))
    hub = asked.rooms.ground.hub
    while not hub.waiting:
        await asyncio.sleep(0.01)
    await asked.metadata.doors.make_folder(ada, doors.NewFolder(path="/a"), None)
    answer = await waiting
    assert answer.changed
    assert answer.namespaces == {latest.namespace: 1}
    await asked.notify.synced.stands_at(ada, {latest.namespace: 1})
    with pytest.raises(CorruptCursor):
        await asked.notify.polling.poll(ada, PollRequest(cursors=["no cursor"]))


def _node(asked: Asked) -> NodeId:
    return NodeId(asked.rooms.ground.ids.fresh())


def _file(asked: Asked, parent: NamespaceId, name: str) -> Change:
    return Change(
        op=Op.CREATE,
        node_id=_node(asked),
        parent_id=NodeId(parent),
        name=name,
        kind=Kind.FILE,
        content_hash=HASH,
        size=len(CONTENT),
        mtime=LONG_AGO,
        executable=False,
        blocks=[HASH],
        cut="unknown",
    )


async def _kept(asked: Asked, caller: Caller, name: str) -> NodeId:
    """A file whose bytes are stored, committed as a device does."""
    here, blocks = NamespaceId(await asked.root(caller)), asked.blocks
    assert (await blocks.granting.missing(caller, MissingRequest(namespace=here, hashes=[HASH]))).missing == [HASH]
    offer = PackOffer(
        size=len(CONTENT), sha256=HASH, index=[PackEntry(HASH, 0, len(CONTENT), len(CONTENT), Codec.RAW)], pack_key=bytes(32)
    )
    (grant,) = (await blocks.granting.grant(caller, GrantRequest(namespace=here, packs=[offer]))).packs
    (state,) = (await blocks.receiving.done(caller, DoneRequest(pack_ids=[grant.pack_id]))).packs
    assert state.state == "absent"
    stores = asked.rooms.ground.stores
    (row,) = await stores.packs.packs([grant.pack_id])
    await asked.rooms.ground.objects.write(row.object_key, CONTENT)
    (state,) = (await blocks.receiving.done(caller, DoneRequest(pack_ids=[grant.pack_id]))).packs
    assert state.state == "done"
    change = _file(asked, here, name)
    await asked.metadata.metadata.commit(caller, CommitRequest(namespace=here, changes=[change]), f"keep {name}")
    return change.node_id


async def _last(asked: Asked, caller: Caller) -> str:
    """The changeset that came last."""
    return (await asked.metadata.metadata.changes(caller, None, None)).entries[-1].changeset
