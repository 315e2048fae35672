"""Cutting: a file's bytes become blocks whose borders depend on the bytes near them, so an insertion changes few blocks.

FastCDC (Xia et al., "The Design of Fast Content Defined Chunking for Data Deduplication Based Storage Systems", IEEE TPDS 2020),
as `pyfastcdc` computes it. First on the river after the plan.

Laws: a cut has a name, and a name means the same borders for ever, because deduplication lives on it (golden vectors in the tests
watch the library); borders never depend on how reads are split up; memory is one buffer of twice to four times the largest block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from pyfastcdc import FastCDC

from syncline.model.errors import InvalidRequest
from syncline.model.limits import (
    BLOCK_AVERAGE_BYTES,
    BLOCK_MAX_BYTES,
    BLOCK_MIN_BYTES,
    LARGE_BLOCK_AVERAGE_BYTES,
    LARGE_BLOCK_MAX_BYTES,
    LARGE_BLOCK_MIN_BYTES,
    LARGE_FILE_BYTES,
    MIB,
)

SMALL_CUT: Final = "fastcdc-2020/128K-512K-1M/1"
LARGE_CUT: Final = "fastcdc-2020/512K-2M-8M/1"

_NORMALIZATION: Final = 1
"""Part of what the `/1` at the end of a cut's name stands for, as is the unseeded gear table."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What a cut's name stands for. Sizes in bytes."""

    min_bytes: int
    average_bytes: int
    max_bytes: int
    buffer_bytes: int

    def cutter(self) -> FastCDC:
        return FastCDC(
            self.average_bytes,
            min_size=self.min_bytes,
            max_size=self.max_bytes,
            normalized_chunking=_NORMALIZATION,
            seed=0,
        )


_CUTS: Final = {
    SMALL_CUT: _Cut(BLOCK_MIN_BYTES, BLOCK_AVERAGE_BYTES, BLOCK_MAX_BYTES, 4 * MIB),
    LARGE_CUT: _Cut(LARGE_BLOCK_MIN_BYTES, LARGE_BLOCK_AVERAGE_BYTES, LARGE_BLOCK_MAX_BYTES, 16 * MIB),
}
assert all(cut.buffer_bytes >= 2 * cut.max_bytes for cut in _CUTS.values())


def choose_cut(size: int, previous: str | None = None) -> str:
    """The name of the cut for a file of `size` bytes whose predecessor was cut by `previous`.

    `SMALL_CUT` up to 4 GiB, `LARGE_CUT` above. A new revision keeps its predecessor's cut, and so shares its blocks, until its size
    leaves half to four times the range that cut is made for: a file that hovers around 4 GiB is not sent anew at each crossing.
    """
    if previous == SMALL_CUT and size <= 4 * LARGE_FILE_BYTES:
        return SMALL_CUT
    if previous == LARGE_CUT and size >= LARGE_FILE_BYTES // 2:
        return LARGE_CUT
    return SMALL_CUT if size <= LARGE_FILE_BYTES else LARGE_CUT


def cut(file: BinaryIO, cut_name: str) -> Iterator[memoryview]:
    """The file's blocks in order, from its position to its end; none if there are no bytes.

    Each block is a read-only view of a buffer used again for the next one: the step after releases it, so using a stale one raises
    `ValueError` and never yields other bytes. A block that other code still reads then (a hash or a write in another thread)
    raises `BufferError`; slices of a block are not watched.

    An unknown name raises `InvalidRequest`, at the call and not at the first step.
    """
    chosen = _CUTS.get(cut_name)
    if chosen is None:
        raise InvalidRequest(message=f"no such cut: {cut_name[:80]!r}")
    return _cut(_reader(file), chosen)


def _cut(read_into: Callable[[memoryview], int], chosen: _Cut) -> Iterator[memoryview]:
    """Most files are one small block, so a large buffer and a cutter are made only once a file proves longer than that."""
    head = memoryview(bytearray(chosen.min_bytes + 1))
    filled = _fill(read_into, head, 0)
    if filled <= chosen.min_bytes:
        if filled:
            yield from _lend(head[:filled].toreadonly())
        return
    buffer = memoryview(bytearray(chosen.buffer_bytes))
    buffer[:filled] = head
    del head
    yield from _cut_long(read_into, chosen, buffer, filled)


def _cut_long(read_into: Callable[[memoryview], int], chosen: _Cut, buffer: memoryview, filled: int) -> Iterator[memoryview]:
    """Seeks a border only where a whole largest block, or the file's end, is in the buffer: so reads do not shape the result."""
    cutter, blocks, ended, start = chosen.cutter(), buffer.toreadonly(), False, 0
    while not ended:
        buffer[: filled - start] = buffer[start:filled]
        start, filled = 0, _fill(read_into, buffer, filled - start)
        ended = filled < len(buffer)
        for chunk in cutter.cut_buf(blocks[:filled]):
            yield from _lend(blocks[start : start + chunk.length])
            start += chunk.length
            if not ended and filled - start < chosen.max_bytes:
                break


def _lend(block: memoryview) -> Iterator[memoryview]:
    """Releases the block at the next step, but not when the consumer gave up: then nothing overwrites it."""
    yield block
    block.release()


def _fill(read_into: Callable[[memoryview], int], buffer: memoryview, filled: int) -> int:
    """Reads on until the buffer is full or the file has ended; how much the buffer then holds."""
    while filled < len(buffer):
        count = read_into(buffer[filled:])
        if count <= 0:
            break
        filled += count
    return filled


def _reader(file: BinaryIO) -> Callable[[memoryview], int]:
    """`readinto`, which every real file has, else `read`."""
    read_into = getattr(file, "readinto", None)
    if read_into is not None:
        return cast("Callable[[memoryview], int]", read_into)

    def copy(buffer: memoryview) -> int:
        data = file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    return copy
