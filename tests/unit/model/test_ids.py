"""Identifiers: they sort by birth, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.model.errors import InvalidId
from syncline.model.ids import EMPTY_DIGEST, NodeId, is_digest, is_ulid, parse_digest, parse_ulid, ulid

times = st.integers(0, (1 << 48) - 1)
chances = st.binary(min_size=10, max_size=10)


def test_a_known_ulid() -> None:
    assert ulid(0, bytes(10)) == "0" * 26
    assert ulid((1 << 48) - 1, b"\xff" * 10) == "7" + "Z" * 25
    assert ulid(1_469_918_176_385, bytes(10)).startswith("01ARYZ6S41")


@given(times, chances, times, chances)
def test_ulids_sort_by_birth(one: int, chance: bytes, other: int, more: bytes) -> None:
    assert (ulid(one, chance) < ulid(other, more)) == ((one, chance) < (other, more))


@given(times, chances)
def test_every_ulid_is_one(time_ms: int, chance: bytes) -> None:
    made = ulid(time_ms, chance)
    assert is_ulid(made)
    assert parse_ulid(NodeId, made) == made


@pytest.mark.parametrize(
    "text", ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "I", "0" * 25 + "a", "é" * 26, "../" + "0" * 23]
)
def test_what_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)
    with pytest.raises(InvalidId, match="NodeId"):
        parse_ulid(NodeId, text)


def test_a_ulid_takes_ten_bytes() -> None:
    with pytest.raises(ValueError, match="ten bytes"):
        ulid(0, bytes(9))


@pytest.mark.parametrize("text", ["", "e3b0", EMPTY_DIGEST.upper(), EMPTY_DIGEST + "0", "g" * 64, "é" * 64])
def test_what_is_no_digest(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidId):
        parse_digest(text)


def test_a_digest() -> None:
    assert parse_digest(EMPTY_DIGEST) == EMPTY_DIGEST
