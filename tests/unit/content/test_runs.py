"""Runs: neighbours together, the order kept, no run too large, and what comes out is what went in."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden.make_content import PACK_KEY, CountedChance, noise, prose

from syncline.content.digest import digest
from syncline.content.pack import PackWriter
from syncline.content.runs import open_run, runs, span
from syncline.content.seal import block_key
from syncline.model.errors import CorruptBlock
from syncline.model.ids import Digest


class Placed(NamedTuple):
    hash: Digest
    size: int
    pack: str
    offset: int
    length: int
    key: bytes


def placed(pack: str, offset: int, length: int, size: int) -> Placed:
    return Placed(Digest("0" * 64), size, pack, offset, length, b"")


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(1, 3)), max_size=30),
    st.integers(1, 6),
)
def test_runs_keep_the_order_and_the_bound(drawn: list[tuple[str, int, int]], limit: int) -> None:
    blocks = [placed(pack, 10 * place, 10, size) for pack, place, size in drawn]
    found = runs(blocks, limit)
    assert [block for run in found for block in run] == blocks
    for run in found:
        assert len(run) == 1 or sum(block.size for block in run) <= limit
        for before, after in pairwise(run):
            assert (after.pack, after.offset) == (before.pack, before.offset + before.length)
        assert span(run) == (run[0].offset, 10 * len(run))
    for before, after in pairwise(found):
        neighbours = (before[-1].pack, before[-1].offset + 10) == (after[0].pack, after[0].offset)
        assert not neighbours or sum(block.size for block in before) + after[0].size > limit


def test_a_run_is_opened_from_the_bytes_of_its_span() -> None:
    file, blocks = io.BytesIO(), [b"a", prose(400), noise("runs", 600)]
    writer = PackWriter(file, PACK_KEY, CountedChance())
    for block in blocks:
        writer.add(digest(block), block)
    index = writer.finish().index
    run = [Placed(one.hash, one.plain_size, "p", one.offset, one.length, block_key(PACK_KEY, one.hash)) for one in index]
    offset, length = span(run[1:])
    sealed = bytearray(file.getvalue()[offset : offset + length])
    assert open_run(sealed, run[1:]) == blocks[1:]
    sealed[-1] ^= 1
    with pytest.raises(CorruptBlock):
        open_run(sealed, run[1:])
