"""Compression: the same bytes back, never larger, and no time spent on what is dense."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden.make_content import noise, prose

from syncline.content.compress import decode, dense_name, encode
from syncline.model.blocks import Codec
from syncline.model.errors import CorruptBlock
from syncline.model.limits import KIB, MIB

repetitive = st.builds(lambda piece, count: piece * count, st.binary(min_size=1, max_size=40), st.integers(1, 4000))


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=5000) | repetitive, dense=st.booleans())
def test_encoding_comes_back_and_never_grows(data: bytes, dense: bool) -> None:
    codec, stored = encode(data, dense)
    assert len(stored) <= len(data)
    assert decode(codec, bytes(stored), len(data)) == data
    assert (codec is Codec.RAW) == (len(stored) == len(data))


@pytest.mark.parametrize("size", [100, 4 * KIB, 64 * KIB, MIB])
def test_text_is_compressed(size: int) -> None:
    codec, stored = encode(prose(size), dense=False)
    assert codec is Codec.ZSTD
    assert len(stored) < 0.75 * size


@pytest.mark.parametrize("size", [1, 63, 4 * KIB, 64 * KIB + 1, MIB])
def test_noise_is_stored_as_it_is_without_a_copy(size: int) -> None:
    data = noise("dense", size)
    codec, stored = encode(data, dense=False)
    assert codec is Codec.RAW
    assert isinstance(stored, memoryview)
    assert stored.obj is data


def test_what_is_named_dense_is_not_even_tried() -> None:
    assert encode(bytes(MIB), dense=True)[0] is Codec.RAW


def test_a_dense_head_does_not_hide_a_body_that_shrinks() -> None:
    data = noise("head", 300 * KIB) + prose(700 * KIB)
    codec, stored = encode(data, dense=False)
    assert codec is Codec.ZSTD
    assert len(stored) < 0.9 * len(data)


def test_threads_do_not_disturb_each_other() -> None:
    def there_and_back(seed: int) -> bool:
        data = prose(20_000 + seed * 77)
        codec, stored = encode(data, dense=False)
        return decode(codec, bytes(stored), len(data)) == data

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(200)))


@pytest.mark.parametrize("codec", [Codec.RAW, Codec.ZSTD])
@pytest.mark.parametrize("declared", [1, 999, 1001, 8 * MIB])
def test_a_wrong_declared_size_is_damage(codec: Codec, declared: int) -> None:
    data = prose(1000)
    stored = data if codec is Codec.RAW else zstd.compress(data)
    with pytest.raises(CorruptBlock):
        decode(codec, stored, declared)


def test_damage_below_the_encryption_is_told() -> None:
    stored = zstd.compress(prose(1000))
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    for broken in (b"", b"x", stored[:-1], stored + b"\0", stored + stored, skippable, skippable + stored, stored + skippable):
        with pytest.raises(CorruptBlock):
            decode(Codec.ZSTD, broken, 1000)


def test_a_frame_whose_checksum_is_cut_off_is_damage_though_all_bytes_came() -> None:
    stored = zstd.compress(prose(1000), options={zstd.CompressionParameter.checksum_flag: 1})
    assert decode(Codec.ZSTD, stored, 1000) == prose(1000)
    for missing in range(1, 5):
        with pytest.raises(CorruptBlock):
            decode(Codec.ZSTD, stored[:-missing], 1000)


def test_a_frame_that_says_another_size_is_refused_unread() -> None:
    with pytest.raises(CorruptBlock, match="holds 1000 bytes where 999 were declared"):
        decode(Codec.ZSTD, zstd.compress(prose(1000)), 999)


@pytest.mark.parametrize(("window_log", "accepted"), [(23, True), (24, False), (27, False)])
def test_a_window_larger_than_any_block_is_refused(window_log: int, accepted: bool) -> None:
    parameter = zstd.CompressionParameter
    compressor = zstd.ZstdCompressor(options={parameter.content_size_flag: 0, parameter.window_log: window_log})
    stored = compressor.compress(prose(600)) + compressor.compress(prose(400)) + compressor.flush()
    if accepted:
        assert decode(Codec.ZSTD, stored, 1000) == prose(600) + prose(400)
    else:
        with pytest.raises(CorruptBlock):
            decode(Codec.ZSTD, stored, 1000)


@pytest.mark.parametrize("name", ["a.jpg", "A.JPG", "film.MKV", "x.tar.gz", "notes.docx", "path/to/b.zip", ".zip"])
def test_dense_names(name: str) -> None:
    assert dense_name(name)


@pytest.mark.parametrize("name", ["", "jpg", "a.txt", "a.jpg.txt", "index.ts", "a.", "photo jpg", "mail.pdf"])
def test_other_names(name: str) -> None:
    assert not dense_name(name)
