"""Cutting: nothing lost, borders that neither reads nor an insertion move, bounded memory."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from pickle import PickleBuffer
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC
from tests.golden.make_content import noise

from syncline.content.cut import LARGE_CUT, SMALL_CUT, _Cut, _cut, choose_cut, cut
from syncline.content.digest import digest
from syncline.model.errors import InvalidRequest
from syncline.model.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, GIB, KIB, MIB


class Trickle(io.RawIOBase):
    """A file whose reads come short, by a repeating list of lengths."""

    def __init__(self, data: bytes, lengths: list[int]) -> None:
        self._data, self._lengths, self._at, self._turn = memoryview(data), lengths, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + min(len(buffer), self._lengths[self._turn % len(self._lengths)])]
        buffer[: len(piece)] = piece
        self._at, self._turn = self._at + len(piece), self._turn + 1
        return len(piece)


class ReadOnlyByRead:
    """A file that offers `read` alone."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(size)


class Endless(io.RawIOBase):
    """Noise of a given length that is never all in memory."""

    def __init__(self, size: int) -> None:
        self._at, self._size, self._noise = 0, size, noise("endless", MIB)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        start = self._at % MIB
        count = min(self._size - self._at, len(buffer), MIB - start)
        buffer[:count] = self._noise[start : start + count]
        self._at += count
        return count


def names(file: BinaryIO, cut_name: str = SMALL_CUT) -> list[str]:
    return [digest(block) for block in cut(file, cut_name)]


def pieces(data: bytes, cut_name: str = SMALL_CUT) -> list[bytes]:
    return [bytes(block) for block in cut(io.BytesIO(data), cut_name)]


sizes = st.integers(0, 3 * MIB) | st.sampled_from(
    [0, 1, BLOCK_MIN_BYTES, BLOCK_MIN_BYTES + 1, BLOCK_MAX_BYTES, 4 * MIB, 4 * MIB + 1]
)


@settings(max_examples=20, deadline=None)
@given(size=sizes, seed=st.integers(0, 1000))
def test_blocks_are_the_file_in_order_and_of_the_promised_sizes(size: int, seed: int) -> None:
    data = noise(str(seed), size)
    blocks = pieces(data)
    assert b"".join(blocks) == data
    assert all(BLOCK_MIN_BYTES <= len(block) <= BLOCK_MAX_BYTES for block in blocks[:-1])
    assert all(0 < len(block) <= BLOCK_MAX_BYTES for block in blocks[-1:])
    if 0 < size <= BLOCK_MIN_BYTES:
        assert blocks == [data]


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(BLOCK_MIN_BYTES, 9 * MIB),
    lengths=st.lists(st.integers(4 * KIB, 5 * MIB) | st.just(1), min_size=1, max_size=6).filter(lambda lengths: max(lengths) > 1),
)
def test_borders_do_not_depend_on_how_reads_come(size: int, lengths: list[int]) -> None:
    data = noise("reads", size)
    assert names(cast("BinaryIO", Trickle(data, lengths))) == names(io.BytesIO(data))


def mixed(parts: list[tuple[bool, int]]) -> bytes:
    """Stretches of noise and of zeros; zeros have forced borders alone."""
    return b"".join(noise(f"part {size}", size) if noisy else bytes(size) for noisy, size in parts)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5 * MIB)), min_size=1, max_size=4))
@example([(True, 300 * KIB), (False, 9 * MIB)])
def test_borders_are_those_of_the_whole_file_in_memory(parts: list[tuple[bool, int]]) -> None:
    data = mixed(parts)
    whole = FastCDC(512 * KIB, min_size=128 * KIB, max_size=MIB, normalized_chunking=1, seed=0).cut_buf(data)
    assert [len(block) for block in cut(io.BytesIO(data), SMALL_CUT)] == [chunk.length for chunk in whole]


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), min_size=1, max_size=6),
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    buffer_bytes=st.integers(2048, 4096),
)
@example(parts=[(False, 9000)], lengths=[700], buffer_bytes=3 * 1024 - 1)
def test_the_end_of_the_buffer_makes_no_border(parts: list[tuple[bool, int]], lengths: list[int], buffer_bytes: int) -> None:
    """The same, with a cut so small that the buffer ends everywhere."""
    data, tiny = mixed(parts), _Cut(min_bytes=64, average_bytes=256, max_bytes=1024, buffer_bytes=buffer_bytes)
    blocks = [bytes(block) for block in _cut(Trickle(data, lengths).readinto, tiny)]
    assert b"".join(blocks) == data
    assert [len(block) for block in blocks] == [chunk.length for chunk in tiny.cutter().cut_buf(data)]


def test_large_borders_do_not_depend_on_how_reads_come() -> None:
    data = noise("large", 40 * MIB)
    whole = names(io.BytesIO(data), LARGE_CUT)
    assert names(cast("BinaryIO", Trickle(data, [3 * MIB + 7, 1, 65_536])), LARGE_CUT) == whole
    assert names(cast("BinaryIO", ReadOnlyByRead(data)), LARGE_CUT) == whole


@settings(max_examples=6, deadline=None)
@given(inserted=st.binary(min_size=1, max_size=1000), at_head=st.booleans())
def test_an_insertion_changes_few_blocks(inserted: bytes, at_head: bool) -> None:
    data = noise("insertion", 12 * MIB)
    place = 0 if at_head else 6 * MIB
    before = names(io.BytesIO(data))
    after = names(io.BytesIO(data[:place] + inserted + data[place:]))
    assert len(before) > 15
    assert len(set(after) - set(before)) <= 3


def test_cutting_starts_at_the_position_of_the_file() -> None:
    data = noise("position", 2 * MIB)
    file = io.BytesIO(data)
    file.seek(MIB)
    assert b"".join(bytes(block) for block in cut(file, SMALL_CUT)) == data[MIB:]


def test_memory_stays_bounded_for_a_long_file() -> None:
    tracemalloc.start()
    try:
        whole = hashlib.sha256()
        for block in cut(cast("BinaryIO", Endless(48 * MIB)), SMALL_CUT):
            whole.update(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole.hexdigest() == hashlib.sha256(noise("endless", MIB) * 48).hexdigest()
    assert peak < 6 * MIB


def test_a_stale_block_cannot_be_used() -> None:
    blocks = list(cut(io.BytesIO(noise("stale", 3 * MIB)), SMALL_CUT))
    with pytest.raises(ValueError):
        bytes(blocks[0])


def test_a_block_still_in_use_is_not_overwritten() -> None:
    step = cut(io.BytesIO(noise("kept", 3 * MIB)), SMALL_CUT)
    in_use = PickleBuffer(next(step))
    with pytest.raises(BufferError):
        next(step)
    assert bytes(in_use)[:20] == noise("kept", 20)


def test_giving_up_midway_is_quiet() -> None:
    step = cut(io.BytesIO(noise("given up", 3 * MIB)), SMALL_CUT)
    in_use = PickleBuffer(next(step))
    step.close()  # type: ignore[attr-defined]
    assert bytes(in_use)[:20] == noise("given up", 20)


def test_blocks_cannot_be_written_to() -> None:
    for size in (1000, 3 * MIB):
        assert next(cut(io.BytesIO(noise("read-only", size)), SMALL_CUT)).readonly


@pytest.mark.parametrize("name", ["", "fastcdc-2020/128K-512K-1M/2", "rabin"])
def test_an_unknown_cut_is_refused_at_the_call(name: str) -> None:
    with pytest.raises(InvalidRequest):
        cut(io.BytesIO(b"x"), name)


@pytest.mark.parametrize(
    ("size", "previous", "chosen"),
    [
        (0, None, SMALL_CUT),
        (4 * GIB, None, SMALL_CUT),
        (4 * GIB + 1, None, LARGE_CUT),
        (4 * GIB + 1, SMALL_CUT, SMALL_CUT),
        (16 * GIB, SMALL_CUT, SMALL_CUT),
        (16 * GIB + 1, SMALL_CUT, LARGE_CUT),
        (2 * GIB, LARGE_CUT, LARGE_CUT),
        (2 * GIB - 1, LARGE_CUT, SMALL_CUT),
        (1 << 42, LARGE_CUT, LARGE_CUT),
        (1000, "a cut of another time", SMALL_CUT),
        (5 * GIB, "a cut of another time", LARGE_CUT),
    ],
)
def test_a_revision_keeps_its_predecessors_cut_near_the_border(size: int, previous: str | None, chosen: str) -> None:
    assert choose_cut(size, previous) == chosen
