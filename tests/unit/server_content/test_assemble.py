"""Assembling: few reads, a bound on what is held, and not one wrong byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.server_content.shelf import Shelf, noise

from syncline.adapters.sql.content.contents import GROUP_BLOCKS
from syncline.model.errors import Corrupt, CorruptBlock, Unavailable
from syncline.model.limits import KIB, MIB
from syncline.ports.content_store import Content
from syncline.server.content.assemble import AHEAD, RUN_MAX_BYTES


async def test_neighbours_come_in_one_read(shelf: Shelf) -> None:
    blocks = noise(12, 1000)
    keys = [await shelf.pack(*blocks[:5]), await shelf.pack(*blocks[5:])]
    file = await shelf.file("a", blocks)
    assert await shelf.read(file) == b"".join(blocks)
    assert [read[0] for read in shelf.objects.reads] == keys
    shelf.objects.reads.clear()
    assert await shelf.read(file, 4500, 5500) == b"".join(blocks)[4500:5500]
    assert [read[0] for read in shelf.objects.reads] == keys
    assert sum(read[2] for read in shelf.objects.reads) < 2200


async def test_a_block_out_of_order_is_read_by_itself(shelf: Shelf) -> None:
    blocks = noise(4, 1000)
    await shelf.pack(*blocks)
    order = [blocks[2], blocks[3], blocks[0], blocks[1], blocks[1]]
    assert await shelf.read(await shelf.file("a", order)) == b"".join(order)
    assert len(shelf.objects.reads) == 3


async def test_no_more_is_read_than_a_slow_reader_takes(shelf: Shelf) -> None:
    """At most `AHEAD` reads beyond the one being handed on, each of at most `RUN_MAX_BYTES`, however long the file is."""
    blocks = noise(64, 1 * MIB)
    for at in range(0, 64, 15):
        await shelf.pack(*blocks[at : at + 15])
    file = await shelf.file("a", blocks)
    taken = 0
    stream = shelf.assembler.stream(file, 0, file.size)
    async for piece in stream:
        begun = sum(read[2] for read in shelf.objects.reads)
        assert begun - taken <= (AHEAD + 1) * (RUN_MAX_BYTES + 64 * KIB)
        taken += len(piece)
    assert taken == file.size
    assert max(read[2] for read in shelf.objects.reads) <= RUN_MAX_BYTES + 64 * KIB
    assert len(shelf.objects.reads) <= 64 * MIB // RUN_MAX_BYTES + 5


async def test_a_reader_who_leaves_ends_the_reading(shelf: Shelf) -> None:
    blocks = noise(32, 1 * MIB)
    for at in range(0, 32, 8):
        await shelf.pack(*blocks[at : at + 8])
    stream = shelf.assembler.stream(await shelf.file("a", blocks), 0, 32 * MIB)
    assert bytes(await anext(stream)) == blocks[0]
    await stream.aclose()
    assert len(shelf.objects.reads) <= AHEAD + 1


async def test_a_part_far_down_a_long_list_is_found_without_reading_the_list(shelf: Shelf) -> None:
    blocks = noise(40, 50)
    await shelf.pack(*blocks)
    order = blocks * (GROUP_BLOCKS // 10)
    file = await shelf.file("a", order)
    whole = b"".join(order)
    assert len(order) > 3 * GROUP_BLOCKS
    for position in (0, 49, 50, GROUP_BLOCKS * 50 - 1, GROUP_BLOCKS * 50, len(whole) - 1):
        index, offset = await shelf.stores.contents.locate(file, position)
        assert (index, offset) == (position // 50, position // 50 * 50)
        assert await shelf.read(file, position, position + 1) == whole[position : position + 1]
    assert await shelf.stores.contents.locate(file, len(whole)) == (len(order), len(whole))
    assert await shelf.read(file, len(whole) - 120_000, len(whole)) == whole[-120_000:]


async def test_damage_ends_the_stream_before_it(shelf: Shelf) -> None:
    blocks = noise(12, 1 * MIB)
    await shelf.pack(*blocks[:8])
    key = await shelf.pack(*blocks[8:])
    file = await shelf.file("a", blocks)
    shelf.objects.corrupt(key, 2 * MIB + MIB // 2)
    read = bytearray()
    with pytest.raises(CorruptBlock):
        await shelf.read_into(read, file)
    assert read == b"".join(blocks[:8])
    assert await shelf.read(file, 11 * MIB, 12 * MIB) == blocks[11]


async def test_a_store_that_fails_or_lost_a_block_is_told(shelf: Shelf) -> None:
    blocks = noise(8, 1 * MIB)
    await shelf.pack(*blocks)
    file = await shelf.file("a", blocks)
    shelf.objects.fails_at = 1
    with pytest.raises(Unavailable):
        await shelf.read(file)
    await shelf.stores.packs._database.write(lambda connection: connection.exec_driver_sql("DELETE FROM block_copies"))
    with pytest.raises(Corrupt):
        await shelf.read(file)


async def test_raw_bytes_come_in_pieces(shelf: Shelf) -> None:
    data = noise(1, 1000)[0] * 10_000
    await shelf.objects.write("a" * 20, data)
    named = await shelf.file("a", [])
    fields: Mapping[str, Any] = {name: getattr(named, name) for name in ("namespace", "node_id", "revision", "name", "mtime_us")}
    raw = Content(**fields, size=len(data), content_hash=None, mime_type=None, raw_key="a" * 20)
    assert await shelf.read(raw) == data
    assert await shelf.read(raw, 5_000_000, 5_000_010) == data[5_000_000:5_000_010]
    assert max(read[2] for read in shelf.objects.reads) == RUN_MAX_BYTES
