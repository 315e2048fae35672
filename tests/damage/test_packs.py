"""Damaged and hostile packs: every flipped byte, every truncation, every lie of whoever holds the key, and bombs."""

from __future__ import annotations

import io
import resource
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from backports import zstd
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.golden.make_content import PACK_KEY, CountedChance, noise, prose

from syncline.content.digest import digest
from syncline.content.pack import PackWriter, read_index
from syncline.content.seal import FRAME_OVERHEAD_BYTES, block_key, index_key, open_frame, seal_frame
from syncline.model.blocks import Codec
from syncline.model.errors import Corrupt, CorruptBlock, CorruptPack
from syncline.model.ids import Digest
from syncline.model.limits import KIB, LARGE_BLOCK_MAX_BYTES, MIB, PACK_BLOCKS_MAX

MAGIC = b"slnpack\x01"
BOMB_BYTES = 256 * MIB


@pytest.fixture(scope="module")
def pack() -> bytes:
    file = io.BytesIO()
    writer = PackWriter(file, PACK_KEY, CountedChance())
    for data in (b"a", prose(400), noise("damage", 60)):
        writer.add(digest(data), data)
    writer.finish()
    return file.getvalue()


def read_all(pack: bytes) -> list[bytes]:
    """Everything a pack holds, as a checker reads it."""
    return [
        open_frame(pack[entry.offset : entry.offset + entry.length], block_key(PACK_KEY, entry.hash), entry.hash, entry.plain_size)
        for entry in read_index(io.BytesIO(pack), len(pack), PACK_KEY)
    ]


@contextmanager
def bounded(limit_bytes: int) -> Iterator[None]:
    """Fails if Python's memory, or the process's largest resident set so far, grows by more meanwhile."""
    unit = 1 if sys.platform == "darwin" else KIB
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit_bytes
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * unit < limit_bytes + 16 * MIB


def test_the_pack_is_whole_before_it_is_damaged(pack: bytes) -> None:
    assert read_all(pack) == [b"a", prose(400), noise("damage", 60)]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_told(pack: bytes, mask: int) -> None:
    for place in range(len(pack)):
        flipped = bytearray(pack)
        flipped[place] ^= mask
        with pytest.raises(Corrupt):
            read_all(bytes(flipped))


def test_a_pack_cut_off_anywhere_is_told(pack: bytes) -> None:
    for length in range(len(pack)):
        with pytest.raises(CorruptPack):
            read_index(io.BytesIO(pack[:length]), length, PACK_KEY)
        with pytest.raises(CorruptPack):
            read_index(io.BytesIO(pack[:length]), len(pack), PACK_KEY)


def test_bytes_added_or_removed_anywhere_are_told(pack: bytes) -> None:
    for place in range(len(pack)):
        for changed in (pack[:place] + b"\0" + pack[place:], pack[:place] + pack[place + 1 :]):
            with pytest.raises(Corrupt):
                read_all(changed)


def test_a_frame_cut_off_or_grown_anywhere_is_told(pack: bytes) -> None:
    for entry in read_index(io.BytesIO(pack), len(pack), PACK_KEY):
        key, frame = block_key(PACK_KEY, entry.hash), pack[entry.offset : entry.offset + entry.length]
        for wrong in (*(frame[:length] for length in range(len(frame))), frame + b"\0", frame + frame):
            with pytest.raises(CorruptBlock):
                open_frame(wrong, key, entry.hash, entry.plain_size)


def test_frames_that_changed_places_are_told(pack: bytes) -> None:
    first, second, *_ = read_index(io.BytesIO(pack), len(pack), PACK_KEY)
    frame = pack[second.offset : second.offset + second.length]
    with pytest.raises(CorruptBlock):
        open_frame(frame, block_key(PACK_KEY, first.hash), first.hash, second.plain_size)


# -- Whoever holds the key can seal any lie. The bytes below are made from docs/format/pack.md, not by the writer. --------


class Tape(io.BytesIO):
    """A file that notes how much was read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


Entry = tuple[bytes, int, int, int]
"""Name, frame length, plain size, codec."""
NAME_1, NAME_2 = bytes([1]) * 32, bytes([2]) * 32


def forged(
    entries: list[Entry], *, frames: bytes | None = None, count: int | None = None, sealed_length: int | None = None
) -> bytes:
    plain = b"".join(struct.pack(">32sIIB", *entry) for entry in entries)
    frames = bytes(sum(entry[1] for entry in entries)) if frames is None else frames
    count = len(entries) if count is None else count
    offset = len(MAGIC) + len(frames)
    nonce = bytes(12)
    sealed = nonce + AESGCM(index_key(PACK_KEY)).encrypt(nonce, plain, struct.pack(">8sQI", MAGIC, offset, count))
    length = len(sealed) if sealed_length is None else sealed_length
    return MAGIC + frames + sealed + struct.pack(">II8s", length, count, MAGIC)


def test_an_honest_forgery_is_read() -> None:
    forgery = forged([(NAME_1, 44, 10, 0), (NAME_2, 40, 10, 1)])
    assert [(entry.offset, entry.length) for entry in read_index(io.BytesIO(forgery), len(forgery), PACK_KEY)] == [
        (8, 44),
        (52, 40),
    ]


RAW_44: Entry = (NAME_1, 44, 10, 0)


@pytest.mark.parametrize(
    "forgery",
    [
        pytest.param(forged([]), id="no blocks"),
        pytest.param(forged([RAW_44], count=2), id="count above the index"),
        pytest.param(forged([RAW_44], count=0), id="count of none"),
        pytest.param(forged([RAW_44], count=0xFFFF_FFFF), id="count at its largest"),
        pytest.param(forged([RAW_44], sealed_length=0xFFFF_FFFF), id="index at its largest"),
        pytest.param(forged([RAW_44], sealed_length=0), id="index of nothing"),
        pytest.param(forged([RAW_44], sealed_length=28 + 41 * 4096, count=4096), id="index longer than the pack"),
        pytest.param(forged([(i.to_bytes(32, "big"), 35, 1, 0) for i in range(PACK_BLOCKS_MAX + 1)]), id="too many blocks"),
        pytest.param(forged([RAW_44], frames=bytes(45)), id="a byte no frame owns"),
        pytest.param(forged([RAW_44], frames=bytes(43)), id="a frame that reaches into the index"),
        pytest.param(forged([(NAME_1, 0xFFFF_FFFF, 0xFFFF_FFFF - 34, 0)], frames=bytes(44)), id="a frame beyond the pack"),
        pytest.param(forged([RAW_44, RAW_44]), id="a block twice"),
        pytest.param(forged([(NAME_1, 44, 9, 0)]), id="a raw frame of another length"),
        pytest.param(forged([(NAME_1, 44, 10, 1)]), id="a compressed frame that did not shrink"),
        pytest.param(forged([(NAME_1, 34, 10, 1)]), id="a frame without payload"),
        pytest.param(forged([(NAME_1, 0, 10, 1)]), id="a frame without bytes"),
        pytest.param(forged([(NAME_1, 34, 0, 0)]), id="an empty block"),
        pytest.param(forged([(NAME_1, 44, LARGE_BLOCK_MAX_BYTES + 1, 1)]), id="a block no cut makes"),
        pytest.param(forged([(NAME_1, 44, 10, 2)]), id="an unknown codec"),
        pytest.param(b"", id="nothing"),
        pytest.param(MAGIC + MAGIC, id="magic alone"),
        pytest.param(bytes(4096), id="zeros"),
    ],
)
def test_a_hostile_index_is_told_at_little_cost(forgery: bytes) -> None:
    tape = Tape(forgery)
    with bounded(2 * MIB), pytest.raises(CorruptPack):
        read_index(tape, len(forgery), PACK_KEY)
    assert tape.read_bytes < 200 * KIB


def test_a_hostile_size_is_told_at_little_cost(pack: bytes) -> None:
    for size in (-1, 0, 1, len(pack) - 1, len(pack) + 1, 1 << 62):
        with bounded(2 * MIB), pytest.raises(CorruptPack):
            read_index(io.BytesIO(pack), size, PACK_KEY)


# -- Bombs ---------------------------------------------------------------------------------------------------------------


def compressed_zeros(options: dict[int, int]) -> bytes:
    """`BOMB_BYTES` of zeros in a frame that may or may not say so."""
    compressor = zstd.ZstdCompressor(options=options)
    if options.get(zstd.CompressionParameter.content_size_flag, 1):
        compressor.set_pledged_input_size(BOMB_BYTES)
    piece = bytes(4 * MIB)
    return b"".join([*(compressor.compress(piece) for _ in range(BOMB_BYTES // len(piece))), compressor.flush()])


def sealed(payload: bytes, name: Digest, plain_size: int) -> tuple[bytes, bytes]:
    """A frame of whatever bytes, rightly sealed, and its key."""
    key = block_key(PACK_KEY, name)
    into = bytearray(len(payload) + FRAME_OVERHEAD_BYTES)
    seal_frame(payload, bytes.fromhex(name), key, bytes(12), codec=Codec.ZSTD, plain_size=plain_size, into=memoryview(into))
    return bytes(into), key


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({zstd.CompressionParameter.content_size_flag: 1}, id="that says how large it is"),
        pytest.param({zstd.CompressionParameter.content_size_flag: 0}, id="that does not"),
        pytest.param(
            {zstd.CompressionParameter.content_size_flag: 0, zstd.CompressionParameter.window_log: 27}, id="with a huge window"
        ),
    ],
)
@pytest.mark.parametrize("declared", [KIB, LARGE_BLOCK_MAX_BYTES])
def test_a_bomb_is_told_in_little_memory(options: dict[int, int], declared: int) -> None:
    name = digest(bytes(declared))
    frame, key = sealed(compressed_zeros(options), name, declared)
    with bounded(3 * declared + MIB), pytest.raises(CorruptBlock):
        open_frame(frame, key, name, declared)
