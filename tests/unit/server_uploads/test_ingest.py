"""Taking in: a raw object becomes blocks, and the journal says so, whatever became of its node meanwhile."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from sqlalchemy import delete
from tests.unit.server_metadata.world import Member, digest
from tests.unit.server_uploads.yard import Yard

from syncline.adapters.sql.schema import revisions
from syncline.content.cut import LARGE_CUT
from syncline.model.errors import CommitRefused, Corrupt
from syncline.model.ids import NodeId
from syncline.model.limits import MIB, PACK_MAX_BYTES, RAW_KEPT_S
from syncline.protocol.blocks import RevisionRef
from syncline.protocol.commits import Change, CommitAnswer, Op
from syncline.server.workers.ingest import CLAIM_S, READ_BYTES, RETRY_FIRST_S, RETRY_MAX_S

SECOND_US = 1_000_000
BYTES = random.Random(3)


async def _change(ada: Member, op: Op, node: NodeId, **fields: object) -> CommitAnswer:
    return await ada.commit(Change(op=op, node_id=node, **fields))  # type: ignore[arg-type]


async def test_a_raw_file_settles_and_its_object_goes_when_no_url_can_hold_any_more(yard: Yard, ada: Member) -> None:
    content = BYTES.randbytes(3 * MIB)
    done = await yard.upload(ada, "/f", content)
    assert (await yard.entry(ada, done.file_id)).content == "raw"
    ref = RevisionRef(node_id=done.file_id, revision=1)
    raws = await yard.stores.raws.of_revisions(ada.namespace, [ref])
    raw = raws[done.file_id, 1]
    assert await yard.objects.read(raw.object_key, 0, raw.size) == content
    assert await yard.ingest.step()
    assert not await yard.ingest.step()
    assert yard.failures == []
    found = await yard.entry(ada, done.file_id)
    assert (found.op, found.content_hash, found.content) == ("settled", digest(content), None)
    assert await yard.content(ada, done.file_id, 1) == content
    assert await yard.stores.raws.of_revisions(ada.namespace, [ref]) == {}
    await ada.check()
    assert yard.world.committed[-1] == (ada.namespace, found.sequence)
    assert await yard.ingest.sweep(10) == 0
    assert raw.object_key in yard.object_files()
    yard.world.machine.time_us += RAW_KEPT_S * SECOND_US
    assert await yard.ingest.sweep(10) == 1
    assert raw.object_key not in yard.object_files()
    assert (await yard.world.metadata.usage(ada.caller)).used_bytes == len(content)


async def test_a_new_version_is_cut_as_the_one_before_and_shares_its_blocks(yard: Yard, ada: Member) -> None:
    content = BYTES.randbytes(4 * MIB)
    first = await yard.upload(ada, "/f", content)
    await yard.ingest.step()
    changed = content[: 2 * MIB] + b"inserted" + content[2 * MIB :]
    await yard.upload(ada, "/f", changed, base_revision=1)
    before = (await yard.world.metadata.usage(ada.caller)).used_bytes
    assert before == len(content) + len(changed)
    await yard.ingest.step()
    assert await yard.content(ada, first.file_id, 2) == changed
    after = (await yard.world.metadata.usage(ada.caller)).used_bytes
    assert len(content) < after < len(content) + 2 * MIB
    raw = next(iter(await yard.stores.raws.leftovers(1 << 60, 10)))
    assert raw.previous_cut is None or raw.previous_cut != LARGE_CUT
    await ada.check()


async def test_a_node_that_moved_on_keeps_its_state_and_the_older_revision_learns_its_blocks(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"raw one")
    await ada.put(b"blocks two")
    await ada.commit(Change(op=Op.EDIT, node_id=done.file_id, base_revision=1, **_content(b"blocks two")))
    head = (await ada.entries())[-1]
    await yard.ingest.step()
    assert (await ada.entries())[-1] == head
    assert await yard.content(ada, done.file_id, 1) == b"raw one"
    versions = await yard.world.metadata.versions(ada.caller, ada.namespace, done.file_id)
    assert [one.content_hash for one in versions.entries] == [digest(b"blocks two"), digest(b"raw one")]
    await ada.check()


async def test_a_node_that_was_moved_or_deleted_settles_where_it_is(yard: Yard, ada: Member) -> None:
    moved, deleted = await yard.upload(ada, "/m", b"moved"), await yard.upload(ada, "/d", b"deleted")
    await ada.commit(ada.mkdir("folder"))
    await _change(ada, Op.MOVE, moved.file_id, parent_id=ada.world.id("folder"), name="n")
    await _change(ada, Op.DELETE, deleted.file_id, base_revision=1)
    await yard.ingest.step()
    await yard.ingest.step()
    found = await yard.entry(ada, moved.file_id)
    assert (found.op, found.name, found.content_hash) == ("settled", "n", digest(b"moved"))
    gone = await yard.entry(ada, deleted.file_id)
    assert (gone.op, gone.deleted, gone.content_hash) == ("settled", True, digest(b"deleted"))
    await _change(ada, Op.UNDELETE, deleted.file_id)
    assert await yard.content(ada, deleted.file_id, 1) == b"deleted"
    await ada.check()


async def test_a_raw_file_that_was_deleted_and_undeleted_settles_too(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"there and back")
    await _change(ada, Op.DELETE, done.file_id, base_revision=1)
    await _change(ada, Op.UNDELETE, done.file_id)
    await yard.ingest.step()
    assert (await yard.entry(ada, done.file_id)).content_hash == digest(b"there and back")
    await ada.check()


async def test_a_false_checksum_is_no_revision_whatever_its_node_does(yard: Yard, ada: Member) -> None:
    false = "ab" * 32
    new = await yard.upload(ada, "/new", b"x", checksum=false)
    gone = await yard.upload(ada, "/gone", b"y", checksum=false)
    await _change(ada, Op.DELETE, gone.file_id, base_revision=1)
    over = await yard.upload(ada, "/over", b"z", checksum=false)
    await ada.put(b"better")
    await ada.commit(Change(op=Op.EDIT, node_id=over.file_id, base_revision=1, **_content(b"better")))
    for _ in range(3):
        assert await yard.ingest.step()
    assert yard.failures == []
    for done in (new, gone):
        found = await yard.entry(ada, done.file_id)
        assert (found.op, found.deleted) == ("rejected", True)
        with pytest.raises(CommitRefused):
            await _change(ada, Op.UNDELETE, done.file_id)
    found = await yard.entry(ada, over.file_id)
    assert (found.op, found.revision, found.content_hash) == ("edit", 2, digest(b"better"))
    versions = await yard.world.metadata.versions(ada.caller, ada.namespace, over.file_id)
    assert [one.revision for one in versions.entries] == [2]
    await ada.check()


async def test_several_raw_versions_are_taken_in_one_after_another(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"one")
    await yard.upload(ada, "/f", b"two", base_revision=1, checksum="ab" * 32)
    await yard.upload(ada, "/f", b"three", base_revision=2)
    order = []
    while (raw := await yard.stores.raws.next_waiting(1 << 60)) is not None:
        order.append(raw.revision)
        await yard.ingest.step()
    assert order == [1, 2, 3]
    versions = await yard.world.metadata.versions(ada.caller, ada.namespace, done.file_id)
    assert [(one.revision, one.content_hash) for one in versions.entries] == [(3, digest(b"three")), (1, digest(b"one"))]
    await ada.check()


async def test_of_several_workers_one_has_a_content_in_hand_and_what_a_dead_one_had_is_due_again(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"content")
    raws, machine, other = yard.stores.raws, yard.world.machine, yard.new_ingest()
    now_us = machine.now_us()
    raw = await raws.next_waiting(now_us)
    assert raw is not None
    assert await raws.claim(raw, now_us, now_us + CLAIM_S * SECOND_US)
    assert not await raws.claim(raw, now_us, now_us + CLAIM_S * SECOND_US)
    assert not await other.step()
    assert (await yard.entry(ada, done.file_id)).content == "raw"
    machine.time_us += CLAIM_S * SECOND_US
    assert await other.step()
    settled = await yard.entry(ada, done.file_id)
    assert settled.content_hash == digest(b"content")
    await yard.ingest.take_in(raw)
    await raws.hold(raw, 0)
    assert await yard.entry(ada, done.file_id) == settled
    assert not await other.step()
    await ada.check()


async def test_what_fails_is_told_put_off_and_tried_again(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"content")
    raw = await yard.stores.raws.next_waiting(1 << 60)
    assert raw is not None
    path = yard.objects.path(raw.object_key)
    part = next(path.glob("*-*"))
    kept = part.read_bytes()
    part.write_bytes(kept[:-1])
    assert await yard.ingest.step()
    ((told, error),) = yard.failures
    assert (told.node, type(error)) == (done.file_id, Corrupt)
    assert not await yard.ingest.step()
    waits: list[int] = []
    for _ in range(14):
        now = yard.world.machine.time_us
        while not await yard.ingest.step():
            yard.world.machine.time_us += RETRY_FIRST_S * SECOND_US
        waits.append((yard.world.machine.time_us - now) // SECOND_US)
    assert waits[-1] <= RETRY_MAX_S + RETRY_FIRST_S
    assert waits[0] < waits[3] < waits[6] < waits[10]
    part.write_bytes(kept)
    yard.world.machine.time_us += RETRY_MAX_S * SECOND_US
    assert await yard.ingest.step()
    assert (await yard.entry(ada, done.file_id)).content_hash == digest(b"content")


async def test_a_revision_that_was_purged_meanwhile_is_let_go(yard: Yard, ada: Member) -> None:
    done = await yard.upload(ada, "/f", b"purged")
    await ada.put(b"kept")
    await ada.commit(Change(op=Op.EDIT, node_id=done.file_id, base_revision=1, **_content(b"kept")))
    these = (revisions.c.node_id == done.file_id, revisions.c.revision == 1)
    await yard.world._write(delete(revisions).where(*these))
    assert await yard.ingest.step()
    assert yard.failures == []
    yard.world.machine.time_us += RAW_KEPT_S * SECOND_US
    assert await yard.ingest.sweep(10) == 1


async def test_a_large_content_passes_in_pieces(yard: Yard, ada: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 96 * MIB
    begun = await yard.begin(ada, "/large", size)
    row = await yard.stores.uploads.get(begun.upload_id)  # type: ignore[arg-type]
    assert row is not None
    for number in range(1, row.part_count + 1):
        await yard.put(row.object_key, number, BYTES.randbytes(row.part_bytes))
    done = await yard.complete(ada, begun)
    reads: list[int] = []
    writes: list[int] = []
    read, write = yard.objects.read, yard.objects.write

    async def noted_read(key: str, offset: int, length: int) -> bytes:
        reads.append(length)
        return await read(key, offset, length)

    async def noted_write(key: str, data: bytes) -> None:
        writes.append(len(data))
        await write(key, data)

    monkeypatch.setattr(yard.objects, "read", noted_read)
    monkeypatch.setattr(yard.objects, "write", noted_write)
    tracemalloc.start()
    try:
        assert await yard.ingest.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert yard.failures == []
    assert sum(reads) == size
    assert max(reads) <= READ_BYTES
    assert (len(writes), max(writes) <= PACK_MAX_BYTES) == (7, True)
    assert peak < 80 * MIB
    assert (await yard.entry(ada, done.file_id)).content is None


def _content(data: bytes) -> dict[str, object]:
    return {"content_hash": digest(data), "size": len(data), "blocks": [digest(data)], "cut": "test-1"}
