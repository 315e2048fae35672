"""The tree by path or id: new folders, moves within and between namespaces, deletes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.server_metadata.world import Member
from tests.unit.server_sharing.kit import Office

from syncline.model.entries import Access
from syncline.model.errors import AlreadyExists, IdempotencyMismatch, InvalidName, NotFound
from syncline.protocol.doors import Move, MoveRequest, NewFolder


async def test_a_folder_is_made_by_path_with_those_above_it(office: Office, ann: Member) -> None:
    with pytest.raises(NotFound):
        await office.doors.make_folder(ann.caller, NewFolder(path="/a/b/c"), None)
    made = await office.doors.make_folder(ann.caller, NewFolder(path="/a/b/c", parents=True), "k")
    assert (await office.at(ann, "/a/b/c"))[1] == made.entry
    again = await office.doors.make_folder(ann.caller, NewFolder(path="/a/b/c", parents=True), "k")
    assert again == made
    assert (await office.doors.make_folder(ann.caller, NewFolder(path="/a/b/c", parents=True), None)).entry == made.entry
    with pytest.raises(AlreadyExists):
        await office.doors.make_folder(ann.caller, NewFolder(path="/a/b"), None)
    with pytest.raises(IdempotencyMismatch):
        await office.doors.make_folder(ann.caller, NewFolder(path="/other"), "k")
    with pytest.raises(InvalidName):
        await office.doors.make_folder(ann.caller, NewFolder(parent_id=office.world.id("work"), name="a/b"), None)
    await office.doors.make_folder(ann.caller, NewFolder(parent_id=office.world.id("work"), name="new"), None)
    assert (await office.at(ann, "/work/new"))[1].kind.value == "dir"
    await office.check(ann)


async def test_a_move_within_a_namespace_keeps_the_id(office: Office, ann: Member) -> None:
    moved = await office.move(ann, path="/work/f", to_path="/deeper")
    assert moved.entry is not None
    assert (moved.entry.node_id, moved.entry.op) == (office.world.id("f"), "move")
    assert (await office.move(ann, path="/own", to_path="/deeper")).error == "name.taken"
    assert (await office.move(ann, path="/nowhere", to_path="/x")).error == "not_found"
    assert (await office.move(ann, node_id=office.world.id("f"), name="renamed", base_revision=1)).error == "revision.stale"
    assert (await office.move(ann, node_id=office.world.id("f"), to_parent_id=office.world.id("deep"))).error is None
    assert (await ann.tree())["work/deep/deeper"] == "f"
    await office.check(ann)


async def test_a_move_between_namespaces_is_a_copy_and_a_delete_without_bytes(office: Office, ann: Member, bob: Member) -> None:
    await ann.commit(ann.mkdir("shared"), ann.edit("g", 1, b"mine", description="the plan", executable=True))
    inside = await office.join(ann, "shared", bob, "bob")
    moved = await office.move(ann, key="once", path="/work", to_path="/shared/Work")
    assert moved.namespace == inside.namespace
    assert moved.entry is not None
    assert moved.entry.node_id != office.world.id("work")
    assert set(await ann.tree()) == {"own", "shared"}
    assert set(await inside.tree()) == {"Work", "Work/f", "Work/deep", "Work/deep/g"}
    _, f = await office.at(bob, "/shared/Work/f")
    assert f.revision == 1
    assert await office.readable(bob, inside.namespace, f.node_id)
    _, g = await office.at(bob, "/shared/Work/deep/g")
    assert g.executable
    assert await office.move(ann, key="once", path="/work", to_path="/shared/Work") == moved
    # The trash of the old place has everything still.
    await ann.commit(ann.undelete("work", recursive=True))
    assert "work/deep/g" in await ann.tree()
    await office.check(ann, bob, inside)


async def test_what_was_copied_over_can_be_copied_on(office: Office, ann: Member, bob: Member) -> None:
    """The blocks' only copy lies in a pack of the first namespace that nobody has verified yet."""
    await ann.commit(ann.mkdir("shared"))
    inside = await office.join(ann, "shared", bob, "bob")
    await office.move(ann, path="/own", to_path="/shared/own")
    moved = await office.move(bob, path="/shared/own", to_path="/own")
    assert moved.entry is not None
    assert moved.namespace == bob.namespace
    assert await office.readable(bob, bob.namespace, moved.entry.node_id)
    usage = await office.world.metadata.usage(bob.caller)
    assert usage.used_bytes == len(b"mine")
    await office.check(ann, bob, inside)


async def test_a_move_needs_both_sides(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob", Access.READ)
    await bob.commit(bob.create("b"))
    assert (await office.move(bob, path="/work/f", to_path="/f")).error == "access.denied"
    assert (await office.move(bob, path="/b", to_path="/work/b")).error == "access.denied"
    assert (await office.move(bob, path="/work", to_path="/work/deep/work")).error == "access.denied"
    assert (await office.delete(bob, path="/work/f")).error == "access.denied"
    assert set(await inside.tree()) == {"f", "deep", "deep/g"}


async def test_a_shared_folder_moves_into_no_other(office: Office, ann: Member) -> None:
    await ann.commit(ann.mkdir("a"), ann.mkdir("b"), ann.mkdir("over"))
    await office.share(ann, "a")
    await office.share(ann, "b")
    assert (await office.move(ann, path="/a", to_path="/b/a")).error == "share.nested"
    await ann.commit(ann.move("a", "over"))
    assert (await office.move(ann, path="/over", to_path="/b/over")).error == "share.nested"
    assert set(await ann.tree()) >= {"over/a", "b"}


async def test_the_quota_holds_for_what_comes_in(office: Office, ann: Member) -> None:
    poor = await office.person("poor", quota_bytes=3)
    await poor.commit(poor.mkdir("box"))
    inside = await office.join(poor, "box", ann, "ann")
    assert (await office.move(ann, path="/own", to_path="/box/own")).error == "quota.exceeded"
    assert "own" in await ann.tree()
    assert await inside.tree() == {}
    await office.check(ann, poor, inside)


async def test_deletes_by_path(office: Office, ann: Member, bob: Member) -> None:
    inside = await office.join(ann, "work", bob, "bob")
    assert (await office.delete(bob, path="/work/deep")).error == "subtree.changed"
    assert (await office.delete(bob, path="/work/deep", recursive=True)).error is None
    assert await inside.tree() == {"f": "f"}
    gone = await office.delete(bob, path="/work")
    assert gone.entry is not None
    assert gone.entry.op == "unmount"
    assert await inside.tree() == {"f": "f"}
    assert (await office.delete(bob, path="/")).error == "request.invalid"
    await office.check(ann, bob, inside)


async def test_each_entry_of_a_batch_is_answered_by_itself(office: Office, ann: Member) -> None:
    moves = [Move(path="/own", to_path="/a"), Move(path="/none", to_path="/b"), Move(path="/a", to_path="/c"), Move(path="/c")]
    answer = await office.doors.move(ann.caller, MoveRequest(files=moves), "batch")
    assert [one.error for one in answer.files] == [None, "not_found", None, "request.invalid"]
    assert [one.error for one in (await office.doors.move(ann.caller, MoveRequest(files=moves), "batch")).files] == [
        None,
        "not_found",
        None,
        "request.invalid",
    ]
    changed = [replace(moves[0], to_path="/z"), *moves[1:]]
    assert (await office.doors.move(ann.caller, MoveRequest(files=changed), "batch")).files[0].error == "idempotency.mismatch"
