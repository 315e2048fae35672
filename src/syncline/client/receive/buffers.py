"""Borrowed buffers: what is received, opened and written passes through the same memory again and again.

Memory touched for the first time costs more than everything else that is done with a block, and what the heap once had it keeps.
"""

from __future__ import annotations

from mmap import mmap
from typing import Final

from syncline.client.receive.ranges import RANGE_MAX_BYTES
from syncline.model.limits import FRAME_OVERHEAD_MAX_BYTES, LARGE_BLOCK_MAX_BYTES

BUFFER_BYTES: Final = LARGE_BLOCK_MAX_BYTES + FRAME_OVERHEAD_MAX_BYTES
"""Address space; only what is used of it is memory."""
assert RANGE_MAX_BYTES <= BUFFER_BYTES


class Buffers:
    """For one event loop. Whoever borrows gives back once no thread uses the buffer any more."""

    def __init__(self) -> None:
        self._free: list[mmap] = []

    def lend(self) -> mmap:
        return self._free.pop() if self._free else mmap(-1, BUFFER_BYTES)

    def take_back(self, buffer: mmap) -> None:
        self._free.append(buffer)

    def rest(self) -> None:
        """Nothing is under way: gives the memory back."""
        self._free.clear()
