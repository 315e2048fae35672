"""Folders that become shared ones, and who is in them."""

from __future__ import annotations

import pytest
from tests.unit.server_metadata.world import Member
from tests.unit.server_sharing.kit import Office

from syncline.model.entries import Access, Kind
from syncline.model.errors import Forbidden, InvalidRequest, LimitExceeded, NotFound, OwnerStays, ShareNested
from syncline.model.ids import NamespaceId, NodeId
from syncline.protocol.sharing import MountRequest
from syncline.server.sharing import convert


async def test_a_shared_folder_keeps_its_ids_revisions_and_trash(office: Office, ann: Member, bob: Member) -> None:
    before = await ann.tree()
    used = (await office.world.metadata.usage(ann.caller)).used_bytes
    assert await office.share(ann, "work", ("bob", Access.WRITE)) == ["invited"]
    inside = office.inside(ann, "work")
    assert await ann.tree() == {path: node for path, node in before.items() if not path.startswith("work/")}
    assert await inside.tree() == {path[5:]: node for path, node in before.items() if path.startswith("work/")}
    versions = await office.world.metadata.versions(ann.caller, inside.namespace, office.world.id("f"))
    assert [entry.revision for entry in versions.entries] == [2, 1]
    assert await office.readable(ann, inside.namespace, office.world.id("f"), 1)
    assert await office.readable(ann, inside.namespace, office.world.id("f"), 2)
    # The one block that both hold is named by both; nothing else counts twice.
    assert (await office.world.metadata.usage(ann.caller)).used_bytes == used + len(b"mine")
    await inside.commit(inside.undelete("gone"), inside.edit("f", 2, b"one"))
    await office.check(ann, inside)


async def test_its_journal_begins_with_what_is_there_under_the_changeset_of_the_mount(office: Office, ann: Member) -> None:
    await office.share(ann, "work")
    row = (await ann.entries())[-1]
    assert (row.op, row.node_id, row.mount, row.name) == ("mount", office.world.id("work"), True, "work")
    rows = await office.inside(ann, "work").entries()
    live = [entry for entry in rows if not entry.deleted]
    assert {entry.changeset for entry in live} == {row.changeset}
    assert {entry.op for entry in live} == {"create"}
    names = {node: name for name, node in office.world.named.items()}
    order = [names[entry.node_id] for entry in rows]
    assert order.index("deep") < order.index("g")
    assert order[-1] == "gone"
    assert office.published == [(ann.namespace, row.sequence)]


async def test_what_was_deleted_together_is_restored_together(office: Office, ann: Member) -> None:
    head = await office.world.metadata.latest(ann.caller, ann.namespace)
    await ann.commit(ann.delete("deep", recursive=True, subtree_as_of=head.sequence))
    await office.share(ann, "work")
    inside = office.inside(ann, "work")
    await inside.commit(inside.undelete("deep", recursive=True))
    assert await inside.tree() == {"f": "f", "deep": "deep", "deep/g": "g"}
    await office.check(ann, inside)


async def test_an_empty_folder_can_be_shared(office: Office, ann: Member, bob: Member) -> None:
    await ann.commit(ann.mkdir("void"))
    inside = await office.join(ann, "void", bob, "bob")
    await inside.commit(inside.create("new"))
    await office.check(ann, bob, inside)


async def test_an_invitation_is_no_membership_until_it_is_accepted(office: Office, ann: Member, bob: Member) -> None:
    await office.share(ann, "work", ("bob", Access.READ))
    inside = office.inside(bob, "work")
    with pytest.raises(NotFound):
        await inside.live()
    assert await office.share(ann, "work", ("bob", Access.READ)) == ["unchanged"]
    assert await office.share(ann, "work", ("bob", Access.WRITE)) == ["changed"]
    shared = await office.sharing.shared(bob.caller)
    assert [(one.name, one.access, one.invited_by) for one in shared.invitations] == [("work", Access.WRITE, "ann@example.org")]
    answer = await office.sharing.accept(bob.caller, inside.namespace, MountRequest())
    assert (answer.access, answer.path) == (Access.WRITE, "/work")
    assert await bob.tree() == {"work": "work"}
    await inside.commit(inside.create("h", "deep"))
    assert (await office.sharing.accept(bob.caller, inside.namespace, MountRequest())).path == "/work"
    await office.check(ann, bob, inside)


async def test_a_declined_invitation_is_gone(office: Office, ann: Member, bob: Member) -> None:
    await office.share(ann, "work", ("bob", Access.READ))
    namespace = NamespaceId(office.world.id("work"))
    await office.sharing.decline(bob.caller, namespace)
    for act in (office.sharing.decline(bob.caller, namespace), office.sharing.accept(bob.caller, namespace, MountRequest())):
        with pytest.raises(NotFound):
            await act


async def test_a_reader_reads(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob", Access.READ)
    assert await office.readable(bob, inside.namespace, office.world.id("f"), 2)
    with pytest.raises(Forbidden):
        await inside.commit(inside.create("h"))
    assert await office.share(ann, "work", ("bob", Access.WRITE)) == ["changed"]
    assert [entry.op for entry in await bob.entries()] == ["mount", "mount"]
    await inside.commit(inside.create("h"))
    await office.check(ann, bob, inside)


async def test_access_ends_with_a_row_in_the_root_of_who_loses_it(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob")
    cursor = (await office.world.metadata.latest(bob.caller, inside.namespace)).cursor
    office.published.clear()
    assert await office.unshare(ann, "work", "bob") == ["bob@example.org"]
    row = (await bob.entries())[-1]
    assert (row.op, row.deleted, row.actor) == ("unmount", True, ann.caller.user_id)
    assert office.published == [(bob.namespace, row.sequence)]
    with pytest.raises(NotFound):
        await office.world.metadata.changes(bob.caller, None, cursor)
    with pytest.raises(NotFound):
        await inside.commit(inside.create("h"))
    assert await office.readable(ann, inside.namespace, office.world.id("f"), 2)
    # The mount does not come back by undeleting it.
    assert await bob.refused_codes(bob.undelete("work")) == {0: "access.denied"}
    await office.check(ann, bob)


async def test_only_the_owner_says_who_is_in(office: Office, ann: Member, bob: Member) -> None:
    await office.person("eve")
    await office.join(ann, "work", bob, "bob")
    assert await office.share(bob, "work", ("eve", Access.READ)) == ["access.denied"]
    with pytest.raises(Forbidden):
        await office.unshare(bob, "work")
    with pytest.raises(Forbidden):
        await office.unshare(bob, "work", "ann")


async def test_members_leave_and_the_owner_stays(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob")
    with pytest.raises(OwnerStays):
        await office.sharing.leave(ann.caller, inside.namespace)
    await office.sharing.leave(bob.caller, inside.namespace)
    assert await bob.tree() == {}
    with pytest.raises(NotFound):
        await inside.live()
    await office.check(ann, bob)


async def test_handing_over_takes_the_quota_along(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob", Access.READ)
    assert await office.share(ann, "work", ("bob", Access.OWNER)) == ["share.not_a_member"]
    await office.share(ann, "work", ("bob", Access.WRITE))
    before = await office.world.metadata.usage(ann.caller)
    assert await office.share(ann, "work", ("bob", Access.OWNER)) == ["owner"]
    mine, theirs = [await office.world.metadata.usage(one.caller) for one in (ann, bob)]
    assert mine.used_bytes + theirs.used_bytes == before.used_bytes
    assert theirs.used_bytes > 0
    await office.sharing.leave(ann.caller, inside.namespace)
    assert (await office.sharing.shared_with(bob.caller, office.world.id("work"), None)).access is Access.OWNER
    await office.check(ann, bob, inside)


async def test_nobody_is_handed_more_than_their_quota(office: Office, ann: Member) -> None:
    cat = await office.person("cat", quota_bytes=5)
    await office.join(ann, "work", cat, "cat")
    assert await office.share(ann, "work", ("cat", Access.OWNER)) == ["quota.exceeded"]


async def test_shared_folders_do_not_lie_in_one_another(office: Office, ann: Member, bob: Member) -> None:
    await office.join(ann, "work", bob, "bob")
    with pytest.raises(ShareNested):
        await office.share(ann, "deep", ("bob", Access.READ))
    await ann.commit(ann.mkdir("over"), ann.move("work", "over"), ann.mkdir("other"))
    with pytest.raises(ShareNested):
        await office.share(ann, "over", ("bob", Access.READ))
    await office.share(ann, "other")
    assert await ann.refused_codes(ann.move("other", "work")) == {0: "mount.nested"}


async def test_too_large_a_folder_is_refused(office: Office, ann: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "COMMIT_NODES_MAX", 3)
    with pytest.raises(LimitExceeded):
        await office.share(ann, "work")
    assert "work/f" in await ann.tree()


async def test_what_cannot_be_shared(office: Office, ann: Member, bob: Member) -> None:
    with pytest.raises(InvalidRequest):
        await office.sharing.share(ann.caller, ann.root, _request())
    with pytest.raises(NotFound):
        await office.share(bob, "work", ("ann", Access.READ))
    with pytest.raises(NotFound):
        await office.share(ann, "work", ("nobody", Access.READ))
    assert (await office.at(ann, "/work"))[1].mount is False
    assert await office.share(ann, "work", ("nobody", Access.READ), ("ann", Access.READ), ("bob", Access.READ)) == [
        "not_found",
        "request.invalid",
        "invited",
    ]


async def test_commits_to_the_old_place_are_told_where_it_is_now(office: Office, ann: Member) -> None:
    await office.share(ann, "work")
    namespace = NamespaceId(office.world.id("work"))
    refused = await ann.refused(ann.edit("f", 2, b"one"), ann.create("h", "deep"), ann.create("k", "work"), ann.create("ok"))
    assert {index: (failure.code, failure.namespace) for index, failure in refused.items()} == {
        0: ("moved", namespace),
        1: ("moved", namespace),
        2: ("moved", namespace),
    }


async def test_a_mount_is_moved_and_deleted_like_a_folder_and_nothing_inside_goes(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob")
    await bob.commit(bob.mkdir("here"), bob.move("work", "here", "job"))
    head = await office.world.metadata.latest(bob.caller, bob.namespace)
    await bob.commit(bob.delete("here", recursive=True, subtree_as_of=head.sequence))
    assert [entry.op for entry in await bob.entries()][-2:] == ["unmount", "delete"]
    assert set(await inside.tree()) == {"f", "deep", "deep/g"}
    listed = (await office.sharing.shared(bob.caller)).folders
    assert [(one.name, one.path) for one in listed] == [("work", None)]
    assert (await office.sharing.mount(bob.caller, inside.namespace, MountRequest())).path == "/job"
    assert (await office.sharing.unmount(bob.caller, inside.namespace)).path is None
    await bob.commit(bob.undelete("work"))
    assert await bob.tree() == {"job": "work"}
    await office.check(ann, bob, inside)


async def test_no_new_folder_has_the_id_of_a_shared_one(office: Office, ann: Member, bob: Member) -> None:
    """One that was unmounted is still its members' own: they would see two things under one id."""
    await ann.commit(ann.mkdir("shared"), ann.mkdir("other"))
    await office.join(ann, "shared", bob, "bob")
    await office.share(ann, "other", ("bob", Access.WRITE))
    await ann.commit(ann.delete("shared"))
    other = office.inside(ann, "other")
    assert await other.refused_codes(other.mkdir("shared", "other")) == {0: "node.exists"}
    assert await other.refused_codes(other.undelete("shared", parent_id=NodeId(other.namespace), name="s", kind=Kind.DIR)) == {
        0: "node.exists"
    }
    await office.check(ann, bob, other)


async def test_nothing_new_has_the_id_of_what_another_namespace_of_ones_own_has(office: Office, ann: Member, bob: Member) -> None:
    """Be it in the trash there, from which it may come back. To strangers an id tells nothing."""
    await ann.commit(ann.mkdir("team"), ann.create("here", "team"), ann.create("trashed", "team"))
    inside = await office.join(ann, "team", bob, "bob")
    await inside.commit(inside.delete("trashed", 1))
    for person in (ann, bob):
        assert await person.refused_codes(person.create("here"), person.create("trashed")) == {0: "node.exists", 1: "node.exists"}
    stranger = await office.person("eve")
    await stranger.commit(stranger.create("here"))
    await office.check(ann, bob, stranger)


async def test_a_mount_finds_a_free_name_and_takes_a_place_one_names(office: Office, ann: Member, bob: Member) -> None:
    await bob.commit(bob.mkdir("taken", name="work"), bob.mkdir("sub"))
    await office.share(ann, "work", ("bob", Access.READ))
    namespace = NamespaceId(office.world.id("work"))
    assert (await office.sharing.accept(bob.caller, namespace, MountRequest())).path == "/work (2)"
    assert (await office.sharing.mount(bob.caller, namespace, MountRequest(path="/sub/Ann's"))).path == "/sub/Ann's"
    namespaces = (await office.sharing.namespaces(bob.caller)).namespaces
    shared = next(space for space in namespaces if not space.is_root)
    assert (shared.owner, shared.members, shared.path, shared.access) == ("ann@example.org", 2, "/sub/Ann's", Access.READ)
    await office.check(bob)


def _request() -> object:
    from syncline.protocol.sharing import ShareRequest

    return ShareRequest(users=[])


async def test_what_waits_for_removal_counts_for_nobody_until_it_is_named_again(office: Office, ann: Member, bob: Member) -> None:
    """Condemned blocks take no quota: they are not given back twice, and are taken again with what names them."""
    (spare,) = await ann.put(b"spare")
    await office.world.condemn(ann.namespace, spare)
    await ann.commit(ann.mkdir("box"))
    inside = await office.join(ann, "work", bob, "bob")
    box = await office.join(ann, "box", bob, "bob")
    await inside.put(b"spare")
    await inside.commit(inside.create("s", data=b"spare"))
    await box.put(b"spare")
    await office.world.condemn(box.namespace, spare)
    before = (await office.world.metadata.usage(ann.caller)).used_bytes
    moved = await office.move(bob, path="/work/s", to_path="/box/s")
    assert moved.error is None
    assert (await office.world.metadata.usage(ann.caller)).used_bytes == before + len(b"spare")
    await office.check(ann, bob, inside, box)
