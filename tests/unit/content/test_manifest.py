"""Manifests: there and back, and nothing unsound passes either way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from syncline.content.cut import SMALL_CUT
from syncline.content.digest import digest
from syncline.content.manifest import check_manifest, pack_manifest, unpack_manifest
from syncline.model.blocks import Block, Manifest
from syncline.model.errors import CorruptManifest
from syncline.model.ids import EMPTY_DIGEST, Digest
from syncline.model.limits import FILE_MAX_BYTES, LARGE_BLOCK_MAX_BYTES, REVISION_BLOCKS_MAX


def manifest_of(*pieces: bytes, cut: str = SMALL_CUT) -> Manifest:
    blocks = tuple(Block(digest(piece), len(piece)) for piece in pieces)
    return Manifest(digest(b"".join(pieces)), sum(map(len, pieces)), cut, blocks)


SOUND = manifest_of(b"first", b"second", b"first")
A, B = SOUND.blocks[:2]


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=20), st.sampled_from(["", SMALL_CUT, "x" * 64]))
def test_a_manifest_comes_back(pieces: list[bytes], cut: str) -> None:
    manifest = manifest_of(*pieces, cut=cut)
    packed = pack_manifest(manifest)
    assert unpack_manifest(packed) == manifest
    assert len(packed) == 53 + len(cut) + 36 * len(pieces)


def test_every_flipped_bit_and_every_cut_off_end_is_told() -> None:
    packed = pack_manifest(SOUND)
    for place in range(len(packed)):
        for bit in range(8):
            flipped = bytearray(packed)
            flipped[place] ^= 1 << bit
            with pytest.raises(CorruptManifest):
                unpack_manifest(bytes(flipped))
        with pytest.raises(CorruptManifest):
            unpack_manifest(packed[:place])
    with pytest.raises(CorruptManifest):
        unpack_manifest(packed + b"\0")


@given(st.binary(max_size=400))
def test_noise_is_no_manifest(data: bytes) -> None:
    for head in (b"", pack_manifest(SOUND)[:4]):
        with pytest.raises(CorruptManifest):
            unpack_manifest(head + data)


@pytest.mark.parametrize(
    "unsound",
    [
        replace(SOUND, size=SOUND.size + 1),
        replace(SOUND, size=-1),
        replace(SOUND, blocks=SOUND.blocks[:-1]),
        replace(SOUND, content_hash=Digest("00")),
        replace(SOUND, content_hash=Digest(SOUND.content_hash.upper())),
        replace(SOUND, cut="x" * 65),
        replace(SOUND, cut="new\nline"),
        replace(SOUND, cut="schön"),
        replace(SOUND, blocks=(*SOUND.blocks, Block(A.hash, 0))),
        replace(SOUND, blocks=(Block(Digest("zz" * 32), 5), *SOUND.blocks[1:])),
        replace(SOUND, blocks=(A, B, Block(A.hash, 6)), size=17),
        replace(SOUND, blocks=(A, Block(B.hash, LARGE_BLOCK_MAX_BYTES + 1)), size=5 + LARGE_BLOCK_MAX_BYTES + 1),
        replace(SOUND, size=FILE_MAX_BYTES + 1),
        Manifest(A.hash, 0, SMALL_CUT, ()),
        Manifest(EMPTY_DIGEST, 5, SMALL_CUT, (A,)),
        Manifest(B.hash, A.size, SMALL_CUT, (A,)),
    ],
    ids=repr,
)
def test_an_unsound_manifest_is_refused_both_ways(unsound: Manifest) -> None:
    with pytest.raises(CorruptManifest):
        check_manifest(unsound)
    with pytest.raises(CorruptManifest):
        pack_manifest(unsound)


def test_the_count_of_blocks_is_bounded() -> None:
    blocks = (Block(A.hash, 1),) * (REVISION_BLOCKS_MAX + 1)
    with pytest.raises(CorruptManifest):
        check_manifest(Manifest(digest(b"many"), len(blocks), SMALL_CUT, blocks))
