"""Sealing: RFC 5869 exactly, one key for one block, and only proven plaintext comes out."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.golden.make_content import CountedChance, prose

from syncline.content.compress import encode
from syncline.content.digest import digest
from syncline.content.seal import (
    FRAME_OVERHEAD_BYTES,
    block_key,
    derive,
    index_key,
    name_bytes,
    new_pack_key,
    open_frame,
    read_header,
    seal_frame,
)
from syncline.model.blocks import Codec
from syncline.model.errors import CorruptBlock, InvalidId
from syncline.model.ids import Digest
from syncline.model.limits import LARGE_BLOCK_MAX_BYTES

KEY = bytes(range(32))
NONCE = bytes(12)


def frame_of(data: bytes, key: bytes, *, dense: bool = False, name: Digest | None = None) -> bytes:
    codec, payload = encode(data, dense)
    into = bytearray(len(payload) + FRAME_OVERHEAD_BYTES)
    raw_name = name_bytes(name or digest(data))
    length = seal_frame(payload, raw_name, key, NONCE, codec=codec, plain_size=len(data), into=memoryview(into))
    assert length == len(into)
    return bytes(into)


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 §2, written from its text."""
    prk = hmac.digest(salt or bytes(32), key, "sha256")
    okm = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        okm += block
    return okm[:length]


RFC_5869 = [
    # Appendix A.1, A.2, A.3: key, salt, info, output.
    (
        bytes([0x0B]) * 22,
        bytes(range(0x0D)),
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (bytes([0x0B]) * 22, b"", b"", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
]


@pytest.mark.parametrize(("key", "salt", "info", "output"), RFC_5869)
def test_the_reference_and_the_library_give_the_vectors_of_rfc_5869(key: bytes, salt: bytes, info: bytes, output: str) -> None:
    expected = bytes.fromhex(output)
    assert hkdf(key, salt, info, len(expected)) == expected
    assert HKDF(SHA256(), len(expected), salt, info).derive(key) == expected


def test_derive_gives_the_head_of_the_saltless_vector_of_rfc_5869() -> None:
    key, _, info, output = RFC_5869[2]
    assert derive(key, info) == bytes.fromhex(output)[:32]


@given(pack_key=st.binary(min_size=32, max_size=32), data=st.binary())
def test_keys_are_hkdf_of_pack_key_and_name(pack_key: bytes, data: bytes) -> None:
    assert block_key(pack_key, digest(data)) == hkdf(pack_key, b"", hashlib.sha256(data).digest(), 32)
    assert index_key(pack_key) == hkdf(pack_key, b"", b"index", 32)


def test_pack_keys_are_chance() -> None:
    chance = CountedChance()
    assert len({new_pack_key(chance), new_pack_key(chance)}) == 2
    assert len(new_pack_key(chance)) == 32


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=2000) | st.integers(1, 50_000).map(prose), dense=st.booleans())
def test_a_frame_opens_to_its_plaintext(data: bytes, dense: bool) -> None:
    frame = frame_of(data, KEY, dense=dense)
    assert open_frame(frame, KEY, digest(data), len(data)) == data
    assert open_frame(memoryview(bytearray(frame)), KEY, digest(data), len(data)) == data
    assert read_header(frame).plain_size == len(data)


def test_a_frame_opens_under_its_own_key_name_and_size_alone() -> None:
    data = prose(500)
    key, frame = block_key(KEY, digest(data)), frame_of(data, block_key(KEY, digest(data)))
    other = digest(b"another block")
    assert open_frame(frame, key, digest(data), 500) == data
    for wrong_key, wrong_name, wrong_size in (
        (block_key(KEY, other), digest(data), 500),
        (index_key(KEY), digest(data), 500),
        (key[:16], digest(data), 500),
        (b"", digest(data), 500),
        (key, other, 500),
        (key, Digest("no digest"), 500),
        (key, Digest(digest(data).upper()), 500),
        (key, digest(data), 499),
        (key, digest(data), 501),
        (key, digest(data), 0),
        (key, digest(data), -1),
        (key, digest(data), 1 << 40),
    ):
        with pytest.raises(CorruptBlock):
            open_frame(frame, wrong_key, wrong_name, wrong_size)


def test_a_maker_who_lies_about_the_name_is_found_out() -> None:
    name = digest(b"what was promised")
    key = block_key(KEY, name)
    with pytest.raises(CorruptBlock, match="not those of its name"):
        open_frame(frame_of(b"what was sent", key, name=name), key, name, len(b"what was sent"))


def test_a_size_no_cut_makes_is_refused_before_anything_is_opened() -> None:
    size = LARGE_BLOCK_MAX_BYTES + 1
    frame = bytearray(100)
    seal_frame(bytes(10), bytes(32), KEY, NONCE, codec=Codec.ZSTD, plain_size=size, into=memoryview(frame))
    with pytest.raises(CorruptBlock):
        open_frame(frame, KEY, Digest("00" * 32), size)


@pytest.mark.parametrize("name", ["", "00", "zz" * 32, "00" * 33])
def test_a_name_that_is_no_digest_has_no_key(name: str) -> None:
    with pytest.raises(InvalidId):
        block_key(KEY, Digest(name))
