"""Packs: what goes in comes out, from a file that takes what it likes, within the limits."""

from __future__ import annotations

import hashlib
import io
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden.make_content import PACK_KEY, CountedChance, noise, prose

from syncline.content.digest import digest
from syncline.content.pack import PackWriter, read_index
from syncline.content.seal import block_key, open_frame
from syncline.model.blocks import Codec, PackEntry
from syncline.model.errors import CorruptPack, LimitExceeded
from syncline.model.limits import KIB, LARGE_BLOCK_MAX_BYTES, MIB, PACK_BLOCKS_MAX, PACK_MAX_BYTES


class Narrow(io.RawIOBase):
    """An unbuffered file that takes a few bytes at a time, and fails for good after a number of them."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.data, self._room = bytearray(), room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if len(self.data) >= self._room:
            raise OSError(28, "No space left on device")
        self.data += bytes(data[:7])
        return min(len(data), 7)


def write(blocks: list[bytes], *, dense: bool = False, file: BinaryIO | None = None) -> tuple[BinaryIO, Any]:
    file = file or io.BytesIO()
    writer = PackWriter(file, PACK_KEY, CountedChance())
    for block in blocks:
        assert writer.fits(len(block))
        writer.add(digest(block), block, dense=dense)
    return file, writer.finish()


def open_entry(pack: bytes, entry: PackEntry) -> bytes:
    frame = memoryview(pack)[entry.offset : entry.offset + entry.length]
    return open_frame(frame, block_key(PACK_KEY, entry.hash), entry.hash, entry.plain_size)


plaintexts = st.lists(st.binary(min_size=1, max_size=300) | st.integers(1, 20_000).map(prose), min_size=1, max_size=12, unique=True)


@settings(deadline=None, max_examples=60)
@given(blocks=plaintexts, dense=st.booleans())
def test_blocks_come_back_in_order(blocks: list[bytes], dense: bool) -> None:
    file, offer = write(blocks, dense=dense)
    pack = cast("io.BytesIO", file).getvalue()
    assert (offer.size, offer.sha256, offer.pack_key) == (len(pack), hashlib.sha256(pack).hexdigest(), PACK_KEY)
    assert read_index(file, len(pack), PACK_KEY) == offer.index
    assert [entry.hash for entry in offer.index] == [digest(block) for block in blocks]
    assert [open_entry(pack, entry) for entry in offer.index] == blocks


def test_a_file_that_takes_few_bytes_at_a_time_gets_them_all() -> None:
    narrow = Narrow()
    _, offer = write([prose(3000), noise("narrow", 100)], file=cast("BinaryIO", narrow))
    assert hashlib.sha256(narrow.data).hexdigest() == offer.sha256
    assert read_index(io.BytesIO(narrow.data), offer.size, PACK_KEY) == offer.index


def test_a_writer_whose_file_failed_does_not_go_on() -> None:
    writer = PackWriter(cast("BinaryIO", Narrow(room=300)), PACK_KEY, CountedChance())
    with pytest.raises(OSError):
        writer.add(digest(prose(5000)), prose(5000))
    with pytest.raises(ValueError):
        writer.add(digest(b"next"), b"next")
    with pytest.raises(ValueError):
        writer.finish()


def test_a_block_added_twice_is_stored_once() -> None:
    writer = PackWriter(io.BytesIO(), PACK_KEY, CountedChance())
    first = writer.add(digest(b"again"), b"again")
    size = writer.size
    assert writer.add(digest(b"again"), b"again") == first
    assert (writer.size, writer.block_count) == (size, 1)


def test_equal_blocks_look_different_in_every_pack() -> None:
    chance = CountedChance()
    packs = []
    for _ in range(2):
        file = io.BytesIO()
        writer = PackWriter(file, PACK_KEY, chance)
        writer.add(digest(b"secret" * 20), b"secret" * 20)
        writer.finish()
        packs.append(file.getvalue())
    assert packs[0] != packs[1]
    assert b"secret" not in packs[0]
    assert bytes.fromhex(digest(b"secret" * 20)) not in packs[0]


def test_a_pack_filled_as_long_as_blocks_fit_is_full_and_within_the_limit() -> None:
    file, writer, count = io.BytesIO(), None, 0
    writer = PackWriter(file, PACK_KEY, CountedChance())
    while writer.fits(MIB):
        block = noise(f"full {count}", MIB)
        writer.add(digest(block), block)
        count += 1
    with pytest.raises(LimitExceeded):
        writer.add(digest(b"x" * MIB), b"x" * MIB)
    while writer.fits(KIB):
        block = noise(f"rest {count}", KIB)
        writer.add(digest(block), block)
        count += 1
    size = writer.finish().size
    assert PACK_MAX_BYTES - 2 * KIB < size <= PACK_MAX_BYTES


def test_a_pack_holds_no_more_blocks_than_the_limit() -> None:
    file = io.BytesIO()
    writer = PackWriter(file, PACK_KEY, CountedChance())
    for number in range(PACK_BLOCKS_MAX):
        assert writer.fits(4)
        writer.add(digest(number.to_bytes(4, "big")), number.to_bytes(4, "big"))
    assert not writer.fits(1)
    offer = writer.finish()
    assert read_index(file, offer.size, PACK_KEY) == offer.index


def test_an_empty_pack_fits_the_largest_block() -> None:
    file = io.BytesIO()
    writer = PackWriter(file, PACK_KEY, CountedChance())
    assert writer.fits(LARGE_BLOCK_MAX_BYTES)
    block = noise("largest", LARGE_BLOCK_MAX_BYTES)
    entry = writer.add(digest(block), block, dense=True)
    assert entry.codec is Codec.RAW
    writer.finish()
    assert open_entry(file.getvalue(), entry) == block


@pytest.mark.parametrize("size", [0, LARGE_BLOCK_MAX_BYTES + 1])
def test_a_block_no_cut_makes_is_refused(size: int) -> None:
    writer = PackWriter(io.BytesIO(), PACK_KEY, CountedChance())
    with pytest.raises(LimitExceeded):
        writer.add(digest(bytes(size)), bytes(size))


def test_a_pack_without_blocks_and_a_pack_finished_twice_are_mistakes() -> None:
    writer = PackWriter(io.BytesIO(), PACK_KEY, CountedChance())
    with pytest.raises(ValueError):
        writer.finish()
    writer.add(digest(b"one"), b"one")
    writer.finish()
    with pytest.raises(ValueError):
        writer.add(digest(b"two"), b"two")
    with pytest.raises(ValueError):
        PackWriter(io.BytesIO(), b"short", CountedChance())


def test_the_index_opens_under_its_pack_key_alone() -> None:
    file, offer = write([b"one", b"two"])
    entry_key = block_key(PACK_KEY, offer.index[0].hash)
    for key in (bytes(32), entry_key, PACK_KEY[:16], b""):
        with pytest.raises(CorruptPack):
            read_index(file, offer.size, key)
