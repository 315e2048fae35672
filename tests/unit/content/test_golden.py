"""What was stored yesterday is read today, and today's cut is yesterday's."""

from __future__ import annotations

import io

import msgspec
import pytest
from tests.golden.make_content import FOLDER, PACK_KEY, cut_inputs, manifest, pack_blocks, write_pack

from syncline.content.cut import cut
from syncline.content.manifest import pack_manifest, unpack_manifest
from syncline.content.pack import read_index
from syncline.content.seal import block_key, open_frame
from syncline.model.blocks import PackOffer


@pytest.fixture(scope="module")
def golden_cuts() -> dict[str, list[int]]:
    return msgspec.json.decode((FOLDER / "cuts.json").read_bytes(), type=dict[str, list[int]])


@pytest.mark.parametrize(("name", "cut_name", "data"), [pytest.param(*case, id=case[0]) for case in cut_inputs()])
def test_borders_are_those_of_the_golden_vectors(golden_cuts: dict[str, list[int]], name: str, cut_name: str, data: bytes) -> None:
    assert [len(block) for block in cut(io.BytesIO(data), cut_name)] == golden_cuts[name]


@pytest.mark.parametrize("name", ["mixed", "raw"])
def test_a_golden_pack_is_read(name: str) -> None:
    pack = (FOLDER / f"{name}.pack").read_bytes()
    offer = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=PackOffer)
    index = read_index(io.BytesIO(pack), len(pack), PACK_KEY)
    assert (index, len(pack), PACK_KEY) == (offer.index, offer.size, offer.pack_key)
    plain = [
        open_frame(pack[entry.offset : entry.offset + entry.length], block_key(PACK_KEY, entry.hash), entry.hash, entry.plain_size)
        for entry in index
    ]
    assert plain == [data for data, _ in pack_blocks()]


def test_the_raw_golden_pack_is_written_byte_for_byte() -> None:
    pack, offer = write_pack(dense=True)
    assert pack == (FOLDER / "raw.pack").read_bytes()
    assert offer == msgspec.json.decode((FOLDER / "raw.json").read_bytes(), type=PackOffer)


def test_the_golden_manifest_is_written_and_read_byte_for_byte() -> None:
    stored = (FOLDER / "manifest.bin").read_bytes()
    assert pack_manifest(manifest()) == stored
    assert unpack_manifest(stored) == manifest()
