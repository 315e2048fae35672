"""From blocks wanted to few reads, of packs at the store and of files on this disk: which bytes, and who needs what lies in them.

Pure. No read brings more than `RANGE_MAX_BYTES`, neither as it lies there nor opened, or else one larger block alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from syncline.client.receive.content import Content
from syncline.model.ids import Digest
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
    """Bytes `start` … `end` of one pack, with the blocks in them, in order; opened they are `plain_bytes`."""

    source: PackSource
    start: int
    end: int
    needs: list[Need]
    plain_bytes: int

    @property
    def contents(self) -> dict[Content, None]:
        return {content: None for need in self.needs for content, _ in need.targets}

    def joins(self, need: Need, source: PackSource) -> bool:
        """Takes the block in if one read brings it along."""
        start, end = need.block.offset, need.block.offset + need.block.length
        if (
            source is not self.source
            or not self.start <= start <= self.end + GAP_MAX_BYTES
            or max(end, self.end) - self.start > RANGE_MAX_BYTES
            or self.plain_bytes + need.block.size > RANGE_MAX_BYTES
        ):
            return False
        self.end = max(end, self.end)
        self.needs.append(need)
        self.plain_bytes += need.block.size
        return True


class Run(Struct):
    """Bytes of a file on this disk that should be these blocks, back to back."""

    path: str
    start: int
    needs: list[Need]
    plain_bytes: int

    def joins(self, need: Need, path: str, offset: int) -> bool:
        """Takes the block in if it lies right behind."""
        if path != self.path or offset != self.start + self.plain_bytes or self.plain_bytes + need.block.size > RANGE_MAX_BYTES:
            return False
        self.needs.append(need)
        self.plain_bytes += need.block.size
        return True


Near: TypeAlias = Mapping[Digest, tuple[str, int]]
"""Where on this disk blocks should lie: paths and offsets."""


def plan_ranges(needs: Iterable[Need], packs: list[PackSource]) -> Iterator[Range]:
    """Ranges that cover all `needs`, as few as can be: in the order of the packs."""
    ordered = sorted(needs, key=lambda need: (need.block.pack, need.block.offset))
    for source in plan_in_order(ordered, packs, {}):
        assert isinstance(source, Range)
        yield source


def plan_in_order(needs: Iterable[Need], packs: list[PackSource], near: Near) -> Iterator[Range | Run]:
    """Reads that bring `needs` in the order given, each from this disk where it should be."""
    current: Range | Run | None = None
    for need in needs:
        block, here = need.block, near.get(need.block.hash)
        if here is not None:
            if isinstance(current, Run) and current.joins(need, *here):
                continue
            following: Range | Run = Run(here[0], here[1], [need], block.size)
        else:
            source = packs[block.pack]
            if isinstance(current, Range) and current.joins(need, source):
                continue
            following = Range(source, block.offset, block.offset + block.length, [need], block.size)
        if current is not None:
            yield current
        current = following
    if current is not None:
        yield current
