"""Zeros that need no place on the disk: runs of them are left as holes of a sparse file, as they were where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from syncline.model.limits import KIB

RUN_BYTES: Final = 16 * KIB
"""Shorter runs are written: a hole costs the file system a row of its own."""
_ZEROS: Final = bytes(RUN_BYTES)


def is_zero(data: memoryview) -> bool:
    """Whether every byte is zero. Of most others two bytes tell."""
    if not len(data) or data[0] or data[-1]:
        return not len(data)
    return all(data[at : at + RUN_BYTES].tobytes() == _ZEROS[: len(data) - at] for at in range(0, len(data), RUN_BYTES))


def filled(data: memoryview, offset: int) -> Iterator[tuple[int, int]]:
    """The parts of `data` that are to be written, as (start, end) in order, where it will lie at `offset` of a file that reads as
    zeros there: all but its whole runs of zeros, which begin and end at multiples of `RUN_BYTES` in the file."""
    start = at = 0
    size = len(data)
    while at < size:
        end = min(size, (offset + at) // RUN_BYTES * RUN_BYTES + RUN_BYTES - offset)
        if is_zero(data[at:end]):
            if start < at:
                yield start, at
            start = end
        at = end
    if start < size:
        yield start, size
