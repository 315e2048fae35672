"""An upload's life beyond its doors: what was cut short is gone on with, what nobody goes on with ends, the revoked stay out."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update
from tests.unit.server_metadata.world import DAY_US, Member
from tests.unit.server_uploads.yard import Yard

from syncline.adapters.objects.signing import UrlSigner
from syncline.adapters.sql.schema import members, nodes, uploads
from syncline.model.entries import Access
from syncline.model.errors import Forbidden, NotFound, QuotaExceeded, UploadEnded
from syncline.model.ids import UploadId
from syncline.model.limits import GRANT_TTL_S, UPLOAD_TTL_S
from syncline.ports.upload_store import Upload
from syncline.protocol.commits import Op
from syncline.protocol.uploads import CompleteRequest, PartsClaim, UploadBegun, UploadFile, UploadRequest

SECOND_US = 1_000_000


async def _row(yard: Yard, begun: UploadBegun) -> Upload | None:
    return await yard.stores.uploads.get(begun.upload_id or UploadId(""))


async def test_an_abandoned_upload_ends_and_its_parts_and_reservation_go(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/left", 5)
    await yard.send(begun, b"12345")
    assert (await yard.world.metadata.usage(ada.caller)).used_bytes == 5
    yard.world.machine.time_us += (UPLOAD_TTL_S - 60) * SECOND_US
    assert await yard.uploads.sweep(10) == 0
    # Asking for URLs is being heard of: its time begins anew.
    await yard.uploads.part_urls(ada.caller, begun.upload_id or UploadId(""), 1, only_missing=False)
    yard.world.machine.time_us += (UPLOAD_TTL_S - 60) * SECOND_US
    assert await yard.uploads.sweep(10) == 0
    yard.world.machine.time_us += 120 * SECOND_US
    assert await yard.uploads.sweep(10) == 1
    assert await _row(yard, begun) is None
    assert yard.object_files() == []
    assert (await yard.world.metadata.usage(ada.caller)).used_bytes == 0
    with pytest.raises(NotFound):
        await yard.complete(ada, begun)


async def test_a_sweep_sees_to_no_more_than_it_was_told(yard: Yard, ada: Member) -> None:
    for number in range(5):
        await yard.begin(ada, f"/f{number}", 1)
    yard.world.machine.time_us += (UPLOAD_TTL_S + 1) * SECOND_US
    assert [await yard.uploads.sweep(2) for _ in range(4)] == [2, 2, 1, 0]


async def test_what_the_store_never_heard_of_ends_soon(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/opening", 5)
    row = await _row(yard, begun)
    assert row is not None
    assert await yard.stores.uploads.move(row.id, "opening", out_of=("open",))
    with pytest.raises(UploadEnded):
        await yard.complete(ada, begun)
    assert row.expires_us > row.created_us + GRANT_TTL_S * SECOND_US


async def test_a_crash_after_the_stores_completion_is_gone_on_with(yard: Yard, ada: Member) -> None:
    yard.objects.completed = None
    begun = await yard.begin(ada, "/cut-short", 5)
    await yard.send(begun, b"12345")
    row = await _row(yard, begun)
    assert row is not None
    await yard.stores.uploads.move(row.id, "completing", out_of=("open",))
    await yard.objects.complete_multipart(row.object_key, row.store_upload_id, await yard.objects.list_parts(row.object_key, ""))
    assert await yard.uploads.sweep(10) == 0
    yard.world.machine.time_us += 61 * SECOND_US
    assert await yard.uploads.sweep(10) == 1
    row = await _row(yard, begun)
    assert row is not None
    assert (row.state, row.revision) == ("done", 1)
    assert (await yard.complete(ada, begun)).revision == 1
    await ada.check()


async def test_a_crash_before_the_stores_completion_is_gone_on_with(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/cut-short", 5)
    await yard.send(begun, b"12345")
    await yard.stores.uploads.move(begun.upload_id or UploadId(""), "completing", out_of=("open",))
    assert (await yard.complete(ada, begun)).revision == 1


async def test_the_stores_own_word_completes_an_upload_once(yard: Yard, ada: Member) -> None:
    yard.objects.completed = None
    begun = await yard.begin(ada, "/event", 5)
    await yard.send(begun, b"12345")
    row = await _row(yard, begun)
    assert row is not None
    assert not await yard.uploads.arrived(row.object_key)
    assert not await yard.uploads.arrived("f" * 40)
    await yard.objects.complete_multipart(row.object_key, row.store_upload_id, await yard.objects.list_parts(row.object_key, ""))
    status = await yard.uploads.status(ada.caller, row.id)
    assert (status.state, status.arrived_bytes, status.missing) == ("open", 5, [])
    with pytest.raises(UploadEnded):
        await yard.uploads.part_urls(ada.caller, row.id, 1, only_missing=True)
    with pytest.raises(UploadEnded):
        await yard.uploads.claim_parts(ada.caller, row.id, PartsClaim(parts=[]))
    assert await yard.uploads.arrived(row.object_key)
    assert await yard.uploads.arrived(row.object_key)
    assert (await yard.complete(ada, begun)).revision == 1
    assert [entry.op for entry in await ada.entries()] == ["create"]


async def test_the_disk_store_says_so_by_itself(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/event", 5)
    await yard.send(begun, b"12345")
    row = await _row(yard, begun)
    assert row is not None
    await yard.objects.complete_multipart(row.object_key, row.store_upload_id, await yard.objects.list_parts(row.object_key, ""))
    row = await _row(yard, begun)
    assert row is not None
    assert row.state == "done"


async def test_another_place_named_at_the_end_counts_for_the_stores_word_too(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/here", 5)
    await yard.send(begun, b"12345")
    await yard.uploads.complete(ada.caller, begun.upload_id or UploadId(""), CompleteRequest(filepath="/there/it-is"))
    assert sorted(entry.name for entry in await ada.live()) == ["it-is", "there"]


async def test_an_upload_that_is_given_up_while_it_is_completed_leaves_nothing(yard: Yard, ada: Member) -> None:
    yard.objects.completed = None
    begun = await yard.begin(ada, "/race", 5)
    await yard.send(begun, b"12345")
    row = await _row(yard, begun)
    assert row is not None
    await yard.objects.complete_multipart(row.object_key, row.store_upload_id, await yard.objects.list_parts(row.object_key, ""))
    await yard.uploads.abort(ada.caller, row.id)
    with pytest.raises(NotFound):
        await yard.complete(ada, begun)
    assert not await yard.uploads.arrived(row.object_key)
    assert (yard.object_files(), await ada.entries()) == ([], [])


async def test_what_was_refused_waits_for_its_client_and_is_not_tried_for_ever(yard: Yard, ada: Member) -> None:
    begun = [await yard.begin(ada, "/spot", 1) for _ in range(2)]
    for one in begun:
        await yard.send(one, b"x")
    await yard.complete(ada, begun[0])
    row = await _row(yard, begun[1])
    assert row is not None
    assert not await yard.uploads.arrived(row.object_key)
    with pytest.raises(Exception, match="exists already"):
        await yard.complete(ada, begun[1])
    yard.world.machine.time_us += 120 * SECOND_US
    assert await yard.uploads.sweep(10) == 0
    moved = await yard.uploads.complete(ada.caller, row.id, CompleteRequest(filepath="/free"))
    assert moved.revision == 1
    await ada.check()


async def test_done_rows_are_forgotten_and_their_files_are_not(yard: Yard, ada: Member) -> None:
    begun = await yard.begin(ada, "/kept", 4)
    await yard.send(begun, b"kept")
    done = await yard.complete(ada, begun)
    await yard.ingest.step()
    yard.world.machine.time_us += 8 * DAY_US
    assert await yard.uploads.sweep(10) == 1
    assert await _row(yard, begun) is None
    assert await yard.content(ada, done.file_id, 1) == b"kept"


async def test_whoever_may_write_no_more_gets_in_by_no_upload(yard: Yard, ada: Member) -> None:
    bob = await yard.world.person("bob")
    await yard.world.join(bob.caller.user_id, ada.namespace, Access.WRITE)
    guest = Member(yard.world, bob.caller, ada.namespace)
    folder = await ada.commit(ada.mkdir("folder"))
    assert folder.results
    upload = await _into(yard, guest, "/f", b"12345", key="once")
    again = UploadRequest(files=[UploadFile(filepath="/f", size=5)])
    (known,) = (await yard.uploads.begin(guest.caller, again, "once")).files
    assert (known.upload_id, len(known.part_urls)) == (upload.id, 1)
    for access, error in ((Access.READ, Forbidden), (None, NotFound)):
        await _set_access(yard, guest, access)
        for call in (
            yard.uploads.status(guest.caller, upload.id),
            yard.uploads.part_urls(guest.caller, upload.id, 1, only_missing=False),
            yard.uploads.claim_parts(guest.caller, upload.id, PartsClaim(parts=[])),
            yard.uploads.complete(guest.caller, upload.id, CompleteRequest()),
        ):
            with pytest.raises(error):
                await call
        assert not await yard.uploads.arrived(upload.object_key)
        (refused,) = (await yard.uploads.begin(guest.caller, again, "once")).files
        assert refused.error is not None
        assert (refused.error.code, refused.part_urls) == (error.code, [])
    assert [entry.name for entry in await ada.entries()] == ["folder"]


async def test_quota_lowered_meanwhile_is_told_at_the_end(yard: Yard) -> None:
    eve = await yard.world.person("eve", quota_bytes=100)
    begun = await yard.begin(eve, "/f", 80)
    await yard.send(begun, b"x" * 80)
    await eve.put(b"y" * 30)
    with pytest.raises(QuotaExceeded):
        await yard.complete(eve, begun)
    row = await _row(yard, begun)
    assert row is not None
    assert row.problem == "quota.exceeded"


async def test_begun_in_one_batch_they_count_together(yard: Yard) -> None:
    eve = await yard.world.person("eve", quota_bytes=100)
    files = [UploadFile(filepath=f"/f{number}", size=40) for number in range(3)]
    answers = (await yard.uploads.begin(eve.caller, UploadRequest(files=files))).files
    assert [one.error and one.error.code for one in answers] == [None, None, "quota.exceeded"]


async def test_a_mounted_folder_leads_into_its_namespace_while_it_may(yard: Yard, ada: Member) -> None:
    bob = await yard.world.person("bob")
    mount = (await ada.commit(ada.mkdir("shared"))).results[0].node_id
    # As sharing would have it: the folder stands for bob's namespace.
    these = (nodes.c.namespace_id == ada.namespace, nodes.c.node_id == mount)
    await yard.world._write(update(nodes).where(*these).values(mount=True, node_id=bob.namespace))
    await yard.world.join(ada.caller.user_id, bob.namespace, Access.WRITE)
    done = await yard.upload(ada, "/shared/deep/file", b"x")
    assert done.namespace == bob.namespace
    assert sorted(await bob.tree()) == ["deep", f"deep/{(await yard.entry(bob, done.file_id)).name}"]
    for access, code in ((Access.READ, "access.denied"), (None, "not_found")):
        await _set_access(yard, Member(yard.world, ada.caller, bob.namespace), access)
        files = [UploadFile(filepath=path, size=1) for path in ("/shared/deep/2", "/shared/new/3", "/mine")]
        answers = (await yard.uploads.begin(ada.caller, UploadRequest(files=files))).files
        assert [one.error and one.error.code for one in answers] == [code, code, None]


async def test_part_urls_hold_for_a_quarter_of_an_hour(yard: Yard, ada: Member) -> None:
    (part,) = (await yard.begin(ada, "/f", 5)).part_urls
    signer = UrlSigner(b"s" * 32, yard.world.machine)
    path, _, query = part.url.partition("?")
    key = path.rpartition("/")[2]
    assert signer.verify("PUT", key, query.encode(), part.headers) == {"partNumber": "1"}
    for wrong in (query.replace("partNumber=1", "partNumber=2"), query.replace("partNumber=1&", ""), query + "&uploadId=x"):
        with pytest.raises(Forbidden):
            signer.verify("PUT", key, wrong.encode(), part.headers)
    with pytest.raises(Forbidden):
        signer.verify("GET", key, query.encode(), part.headers)
    yard.world.machine.time_us += GRANT_TTL_S * SECOND_US
    with pytest.raises(Forbidden, match="expired"):
        signer.verify("PUT", key, query.encode(), part.headers)


async def test_folders_on_the_way_are_made_once_and_through_those_there(yard: Yard, ada: Member) -> None:
    await ada.commit(ada.mkdir("a"))
    files = [UploadFile(filepath=path, size=1) for path in ("/a/b/c/1", "/a/b/c/2", "/a/b/3", "/a/4", "/d/5")]
    answers = (await yard.uploads.begin(ada.caller, UploadRequest(files=files))).files
    assert all(one.error is None for one in answers)
    assert sorted(await ada.tree()) == ["a", "a/b", "a/b/c", "d"]
    assert {entry.op for entry in await ada.entries()} == {Op.CREATE.value}


async def _into(yard: Yard, guest: Member, path: str, content: bytes, key: str) -> Upload:
    """An upload into a namespace that is not mounted anywhere: as if its path led there."""
    request = UploadRequest(files=[UploadFile(filepath=path, size=len(content))])
    (begun,) = (await yard.uploads.begin(guest.caller, request, key)).files
    row = await _row(yard, begun)
    assert row is not None
    await yard.send(begun, content)
    await yard.world._write(
        update(uploads).where(uploads.c.upload_id == row.id).values(namespace_id=guest.namespace, parent_id=guest.namespace)
    )
    return row


async def _set_access(yard: Yard, guest: Member, access: Access | None) -> None:
    these = (members.c.namespace_id == guest.namespace, members.c.user_id == guest.caller.user_id)
    if access is None:
        await yard.world._write(delete(members).where(*these))
    else:
        await yard.world._write(update(members).where(*these).values(access=access.value))
