"""Runs: blocks of one revision that lie one behind the other in one pack, so that one ranged read brings them all.

Between a manifest and the bytes: whoever reads, device or server, plans its reads with `runs` and opens what came with `open_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from syncline.content.digest import Buffer
from syncline.content.seal import open_frame
from syncline.model.ids import Digest


class Lying(Protocol):
    """Where a block lies; `pack` tells packs apart, whatever names them."""

    @property
    def hash(self) -> Digest: ...
    @property
    def size(self) -> int: ...
    @property
    def pack(self) -> object: ...
    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def key(self) -> bytes: ...


B = TypeVar("B", bound=Lying)


def runs(blocks: Sequence[B], limit_bytes: int) -> list[list[B]]:
    """The blocks in their order, neighbours together, no run above `limit_bytes` of plain bytes unless it is a single block."""
    found: list[list[B]] = []
    size = 0
    for block in blocks:
        last = found[-1][-1] if found else None
        joins = last is not None and last.pack == block.pack and last.offset + last.length == block.offset
        if joins and size + block.size <= limit_bytes:
            found[-1].append(block)
            size += block.size
        else:
            found.append([block])
            size = block.size
    return found


def span(run: Sequence[Lying]) -> tuple[int, int]:
    """(offset, length) of a run within its pack."""
    first, last = run[0], run[-1]
    return first.offset, last.offset + last.length - first.offset


def open_run(sealed: Buffer, run: Sequence[Lying]) -> list[bytes]:
    """The plain blocks of a run from the bytes of its span, each proven to be what its name says. Raises `CorruptBlock`."""
    view, start = memoryview(sealed), run[0].offset
    frames = (view[block.offset - start : block.offset - start + block.length] for block in run)
    return [open_frame(frame, block.key, block.hash, block.size) for frame, block in zip(frames, run, strict=True)]
