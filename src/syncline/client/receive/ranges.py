"""From blocks wanted to few ranged reads: which bytes of which pack, and who needs what lies in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from syncline.client.receive.content import Content
from syncline.model.limits import KIB, MIB
from syncline.protocol.blocks import PackSource, StoredBlock

GAP_MAX_BYTES: Final = 64 * KIB
"""Reading so many bytes for nothing costs less than another request."""
RANGE_MAX_BYTES: Final = 4 * MIB

WHOLE: Final = -1
"""The block index of a content that is one block."""


class Need(Struct):
    """A block to get, and every place it goes to: a content and the block's index in it, or `WHOLE`."""

    block: StoredBlock
    targets: list[tuple[Content, int]]

    @property
    def is_wanted(self) -> bool:
        return any(content.takers for content, _ in self.targets)


class Range(Struct):
    """Bytes `start` … `end` of one pack, with the blocks in them, in order."""

    source: PackSource
    start: int
    end: int
    needs: list[Need]

    @property
    def contents(self) -> dict[Content, None]:
        return {content: None for need in self.needs for content, _ in need.targets}


def plan_ranges(needs: Iterable[Need], packs: list[PackSource]) -> Iterator[Range]:
    """Ranges that cover all `needs`, neighbours together: at most `RANGE_MAX_BYTES` each, or one larger block alone."""
    current: Range | None = None
    for need in sorted(needs, key=lambda need: (need.block.pack, need.block.offset)):
        start, end = need.block.offset, need.block.offset + need.block.length
        source = packs[need.block.pack]
        if (
            current is not None
            and current.source is source
            and start - current.end <= GAP_MAX_BYTES
            and max(end, current.end) - current.start <= RANGE_MAX_BYTES
        ):
            current.end = max(end, current.end)
            current.needs.append(need)
            continue
        if current is not None:
            yield current
        current = Range(source, start, end, [need])
    if current is not None:
        yield current
