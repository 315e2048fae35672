"""Digests are what `sha256sum` prints, however the bytes come."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from syncline.content.digest import Digester, digest
from syncline.model.ids import EMPTY_DIGEST, is_digest


def test_the_digest_is_sha256_in_hexadecimal() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(b"") == EMPTY_DIGEST == Digester().digest()
    assert is_digest(digest(memoryview(b"xabcx")[1:4]))


@given(st.lists(st.binary(max_size=100)))
def test_pieces_give_the_digest_of_the_whole(pieces: list[bytes]) -> None:
    digester = Digester()
    for piece in pieces:
        digester.update(bytearray(piece))
        digester.digest()
    assert digester.digest() == digest(b"".join(pieces)) == hashlib.sha256(b"".join(pieces)).hexdigest()
