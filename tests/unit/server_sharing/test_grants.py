"""Single files shared by grant: what is granted, and nothing beside it."""

from __future__ import annotations

import pytest
from msgspec import convert
from tests.unit.server_metadata.world import Member
from tests.unit.server_sharing.kit import Office

from syncline.model.entries import Access
from syncline.model.errors import CommitRefused, Forbidden, NotFound
from syncline.model.ids import NamespaceId
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change, Failure
from syncline.server.sharing.rules import Act


async def test_a_reader_of_one_file_reads_it_and_nothing_else(office: Office, ann: Member, bob: Member) -> None:
    assert await office.share(ann, "f", ("bob", Access.READ)) == ["granted"]
    f, g = office.world.id("f"), office.world.id("g")
    metadata = office.world.metadata
    found = await metadata.metadata_by_id(bob.caller, f)
    assert (found.namespace, found.path) == (ann.namespace, "/f")
    assert len((await metadata.versions(bob.caller, ann.namespace, f)).entries) == 2
    assert await office.readable(bob, ann.namespace, f, 2)
    refs = [RevisionRef(node_id=g, revision=1), RevisionRef(node_id=f, revision=1)]
    blocks = await metadata.revision_blocks(bob.caller, ann.namespace, refs)
    assert [one.blocks is None for one in blocks] == [True, False]
    for refused in (
        metadata.metadata_by_id(bob.caller, g, ann.namespace),
        metadata.metadata_by_id(bob.caller, office.world.id("work"), ann.namespace),
        metadata.changes(bob.caller, ann.namespace, None),
        metadata.snapshot(bob.caller, ann.namespace, None),
        metadata.children(bob.caller, ann.namespace, office.world.id("work")),
        metadata.revision_blocks(bob.caller, ann.namespace, refs[:1]),
        metadata.may_send(bob.caller, ann.namespace),
        metadata.access(bob.caller, ann.namespace),
    ):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(Forbidden):
        await Member(office.world, bob.caller, ann.namespace).commit(ann.edit("f", 2, b"one"))


async def test_a_writer_of_one_file_gives_it_new_versions_only(office: Office, ann: Member, bob: Member) -> None:
    await office.share(ann, "f", ("bob", Access.WRITE))
    there = Member(office.world, bob.caller, ann.namespace)
    assert await office.world.metadata.may_send(bob.caller, ann.namespace) is Access.WRITE
    await there.put(b"new")
    answer = await there.commit(ann.edit("f", 2, b"new"))
    assert answer.cursor is None
    assert await _codes(there, ann.delete("f", 3), ann.move("f", name="h"), ann.create("k"), ann.edit("g", 1, b"new")) == {
        0: "access.denied",
        1: "access.denied",
        2: "node.missing",
        3: "node.missing",
    }
    # What else lies in the namespace cannot be read by naming it.
    assert await _codes(there, ann.edit("f", 3, b"mine")) == {0: "blocks.missing"}
    await there.commit(ann.edit("f", 3, b"one"))
    await office.check(ann)


async def test_a_grant_ends_at_once(office: Office, ann: Member, bob: Member) -> None:
    f = office.world.id("f")
    await office.share(ann, "f", ("bob", Access.WRITE))
    assert await office.share(ann, "f", ("bob", Access.READ)) == ["changed"]
    assert await office.unshare(ann, "f", "bob") == ["bob@example.org"]
    with pytest.raises(NotFound):
        await office.world.metadata.metadata_by_id(bob.caller, f, ann.namespace)
    with pytest.raises(NotFound):
        await Member(office.world, bob.caller, ann.namespace).commit(ann.edit("f", 2, b"one"))


async def test_whoever_a_file_was_granted_to_may_let_go_of_it(office: Office, ann: Member, bob: Member) -> None:
    cat = await office.person("cat")
    await office.share(ann, "f", ("bob", Access.WRITE), ("cat", Access.READ))
    with pytest.raises(Forbidden):
        await office.unshare(bob, "f", "cat")
    with pytest.raises(Forbidden):
        await office.unshare(bob, "f")
    assert await office.unshare(bob, "f", "bob") == ["bob@example.org"]
    assert [one.entry.name for one in (await office.sharing.shared(cat.caller)).files] == ["f"]
    assert [(one.email, one.access) for one in (await office.sharing.shared(ann.caller)).by_me] == [
        ("cat@example.org", Access.READ)
    ]


async def test_a_deleted_file_is_not_there_for_those_it_was_granted_to(office: Office, ann: Member, bob: Member) -> None:
    await office.share(ann, "f", ("bob", Access.READ))
    await ann.commit(ann.delete("f", 2))
    with pytest.raises(NotFound):
        await office.world.metadata.metadata_by_id(bob.caller, office.world.id("f"))
    assert (await office.sharing.shared(bob.caller)).files == []


async def test_grants_go_along_with_a_folder_and_end_with_who_gave_them(office: Office, ann: Member, bob: Member) -> None:
    cat, f = await office.person("cat"), office.world.id("f")
    await office.share(ann, "f", ("cat", Access.READ))
    inside = await office.join(ann, "work", bob, "bob")
    assert (await office.access.may_read(cat.caller, None, f)).namespace == inside.namespace
    assert await office.share(bob, "g", ("cat", Access.WRITE)) == ["granted"]
    assert await office.share(bob, "f", ("cat", Access.OWNER)) == ["request.invalid"]
    await office.unshare(ann, "work", "bob")
    assert [one.entry.name for one in (await office.sharing.shared(cat.caller)).files] == ["f"]


async def test_who_may_read_here_may_not_share(office: Office, ann: Member, bob: Member) -> None:
    await office.person("cat")
    await office.join(ann, "work", bob, "bob", Access.READ)
    with pytest.raises(Forbidden):
        await office.share(bob, "f", ("cat", Access.READ))


async def test_access_says_where_a_node_is_and_what_may_be_done(office: Office, ann: Member, bob: Member) -> None:
    f, namespace = office.world.id("f"), NamespaceId(office.world.id("work"))
    await office.join(ann, "work", bob, "bob", Access.READ)
    reach = await office.access.may_read(bob.caller, None, f)
    assert (reach.namespace, reach.standing.value, reach.owner) == (namespace, "read", ann.caller.user_id)
    with pytest.raises(Forbidden):
        await office.access.may_write(bob.caller, namespace, f)
    with pytest.raises(Forbidden):
        reach.check(Act.CHANGE)
    with pytest.raises(NotFound):
        await office.access.may_read(bob.caller, ann.namespace, f)
    assert (await office.access.may_read(bob.caller, None, office.world.id("work"))).namespace == bob.namespace
    assert (await office.access.may_read(bob.caller, namespace, office.world.id("work"))).entry is None


async def _codes(member: Member, *changes: Change) -> dict[int, str]:
    with pytest.raises(CommitRefused) as caught:
        await member.commit(*changes)
    failures = [convert(failure, Failure) for failure in caught.value.fields["failures"]]
    return {failure.index: failure.code for failure in failures}
