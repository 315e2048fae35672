"""Sharing with people and by links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.server import RunningServer
from tests.unit.sdk.conftest import ANN, BOB

from syncline import AsyncClient, errors
from syncline.sdk import Access


async def test_a_shared_folder_from_invitation_to_leaving(ann: AsyncClient, bob: AsyncClient) -> None:
    await ann.upload_bytes(b"plan", "/Bridge/plan.txt")
    assert (await ann.share("/Bridge", BOB)).status == "invited"
    invitation = await bob.shared_folder("Bridge", invited=True)
    assert (invitation.owner, invitation.access) == (ANN, Access.READ)
    await bob.mkdir("/work")
    assert (await bob.accept(invitation, at="/work/Bridge")).path == "/work/Bridge"
    assert await bob.read("/work/Bridge/plan.txt") == b"plan"
    with pytest.raises(errors.Forbidden):
        await bob.upload_bytes(b"mine", "/work/Bridge/plan.txt")
    assert (await ann.share("/Bridge", BOB, access="write")).status == "changed"
    await bob.upload_bytes(b"mine", "/work/Bridge/plan.txt")
    assert await ann.read("/Bridge/plan.txt") == b"mine"
    assert [person.email for person in (await ann.shared_with("/Bridge")).members] == [ANN, BOB]
    assert (await bob.stat("/work/Bridge")).mount
    assert (await bob.unmount("/work/Bridge")).path is None
    assert not await bob.exists("/work/Bridge")
    assert (await bob.mount("Bridge", at="/Bridge")).path == "/Bridge"
    await bob.leave("Bridge")
    assert (await bob.shared()).folders == []
    with pytest.raises(errors.NotFound):
        await bob.leave("Bridge")
    with pytest.raises(errors.OwnerStays):
        await ann.leave("/Bridge")


async def test_declining_and_ending(ann: AsyncClient, bob: AsyncClient) -> None:
    await ann.mkdir("/one")
    await ann.mkdir("/two")
    await ann.share("/one", BOB)
    await bob.decline("one")
    with pytest.raises(errors.NotFound):
        await bob.accept("one")
    await ann.share("/two", BOB)
    await bob.accept("two")
    assert (await ann.unshare("/two", BOB)).ended == [BOB]
    assert not await bob.exists("/two")


async def test_two_of_one_name_need_an_id(ann: AsyncClient, bob: AsyncClient) -> None:
    for parent in ("/x", "/y"):
        await ann.mkdir(f"{parent}/same", parents=True)
        await ann.share(f"{parent}/same", BOB)
    with pytest.raises(errors.InvalidRequest):
        await bob.accept("same")
    for invitation in (await bob.shared()).invitations:
        await bob.accept(invitation.namespace)
    assert len((await bob.shared()).folders) == 2


async def test_who_is_not_there_is_told_for_each_or_raised(ann: AsyncClient) -> None:
    await ann.mkdir("/a")
    answer = await ann.share_all("/a", {BOB: "write", "nobody@example.org": Access.READ})
    assert [one.error is None for one in answer.users] == [True, False]
    with pytest.raises(errors.NotFound):
        await ann.share("/a", "nobody@example.org")
    with pytest.raises(errors.NotFound):
        await ann.share("/nothing", BOB)


async def test_links(ann: AsyncClient, bob: AsyncClient, server: RunningServer) -> None:
    await ann.upload_bytes(b"page", "/pub/page.txt")
    made = await ann.create_link("/pub/page.txt", expires=timedelta(days=1), max_downloads=3)
    assert made.url.startswith(server.url)
    assert made.expires is not None
    assert timedelta(hours=23) < made.expires - datetime.now(UTC) <= timedelta(days=1)
    drop = await ann.create_link("/pub", kind="drop", password="let me in")
    assert drop.has_password
    assert [link.link_id for link in await ann.links("/pub")] == [drop.link_id]
    assert len(await ann.links()) == 2
    await ann.revoke_link(made)
    assert await ann.revoke_links("/pub") == [drop.link_id]
    assert await ann.links() == []
    with pytest.raises(errors.NotFound):
        await bob.create_link("/pub")
    with pytest.raises(errors.NotFound):
        await ann.links("/nothing")
    with pytest.raises(errors.InvalidId):
        await ann.revoke_link("nonsense")
    with pytest.raises(errors.Refused):
        await ann.create_link("/pub", expires=datetime.now(UTC) - timedelta(days=1))
